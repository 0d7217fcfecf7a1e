"""The sessions on other nodes, as those tell of them. Without I/O; the time comes in.

Each node numbers its news. Where a number is missing, and where a node or its boot is new, all of its sessions are
asked for with a nonce, and nothing of a new boot is believed before it has answered with that. News that come meanwhile
wait, and those that the answer does not hold are then applied. Changes name sessions and not counts of them, so that a
change that is applied twice changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple, TypeAlias

from gochat.cluster.news import Answer, Ask, News, SessionRow

#: After how long without news a node counts as gone: with the half second between two looks, within 10 s of its death.
SILENCE_S: Final = 9.0
#: After how long its sessions take nobody's place any more. It may be dead, and they ghosts.
DOUBT_S: Final = 2.5
#: After how long without a part of its answer a node is asked for all sessions again.
ASK_AGAIN_S: Final = 1.0
#: For how long after the start answers to the question to all are taken.
FIRST_S: Final = 5.0
#: How old, by the clock of their node, events may be that are told with its first answer.
FRESH_MS: Final = 2_000
#: News that wait for an answer; past it they are dropped, and the answer is asked for again.
MOST_WAITING: Final = 100
#: Nodes that are known at once. Only nodes that know the cluster's secret are.
MOST_PEERS: Final = 1_000

#: Is told that a user's sessions on other nodes have changed: whether the user had any, whether the user has any, and
#: when that was by the clock of their node.
OnChange: TypeAlias = Callable[[str, bool, bool, int], None]


class OtherSession(NamedTuple):
    """A session on another node. Of two sessions of a user the greater one is the newer one."""

    since: int
    instance: str
    device: str | None


class _Peer:
    """Another node."""

    def __init__(self, now: float) -> None:
        self.boot = ""
        """The one that has answered; "" before."""
        self.counter = 0
        """The last of its news that was applied."""
        self.newest = 0
        """The greatest counter that was heard."""
        self.heard_at = now
        self.heard_ms = 0
        """Its clock at its latest news."""
        self.users: dict[str, dict[int, str | None]] = {}
        """Of each user the sessions: since when, and the device."""
        self.gone = False
        """Whether it has been silent for too long: its users are being dropped."""
        self.nonce: str | None = None
        """The number that it is to answer with; None while nothing is missing."""
        self.progress_at = float("-inf")
        """When it was asked, or the latest part of its answer came."""
        self.part = 0
        """The part of the answer that comes next."""
        self.answered: set[tuple[str, int]] = set()
        """The sessions of the answer so far."""
        self.waiting: list[News] = []
        self.over: set[tuple[str, str, int]] = set()
        """The boot, user and time of sessions that have ended by news that wait. They are not begun any more: a newer
        one here might give way to one that is over."""
        self.unheard: list[News] = []
        """Those that came before the boot had answered: their events may be believed once it has."""

    def must_be_asked(self, now: float) -> bool:
        """Whether something is missing, and no part of an answer has come for a while. A long answer takes longer than
        that: asked again meanwhile, the node would begin anew each time."""
        return self.nonce is not None and now - self.progress_at >= ASK_AGAIN_S

    def hold(self, news: News) -> None:
        """They wait for an answer."""
        if len(self.waiting) >= MOST_WAITING:
            self.release()
        self.waiting.append(news)
        self.over.update((news.boot, end.user, end.since) for end in news.ended)

    def release(self) -> tuple[list[News], set[tuple[str, str, int]]]:
        """None wait any more. Those that did, in their order, and what was over by them."""
        waiting, self.waiting = sorted(self.waiting, key=lambda each: each.counter), []
        over, self.over = self.over, set()
        return waiting, over

    def end_asking(self) -> None:
        """The node is gone: nothing is missing of it."""
        self.gone, self.nonce = True, None
        self.release()


class Roster:
    """See the module."""

    def __init__(self, instance: str, changed: OnChange) -> None:
        """`instance`: this node, whose own messages are passed over."""
        self._instance = instance
        self._changed = changed
        self._peers: dict[str, _Peer] = {}
        self._first = secrets.token_urlsafe(12)
        """The nonce by which all nodes are asked at the start."""
        self._first_until = float("-inf")

    def __len__(self) -> int:
        """How many other nodes are heard."""
        return sum(not peer.gone for peer in self._peers.values())

    def has(self, user: str) -> bool:
        return any(user in peer.users for peer in self._peers.values())

    def sessions(self, user: str, now: float) -> Iterator[OtherSession]:
        """The user's sessions on nodes that are not in doubt."""
        for instance, peer in self._peers.items():
            if user in peer.users and not peer.gone and now - peer.heard_at < DOUBT_S:
                for since, device in peer.users[user].items():
                    yield OtherSession(since, instance, device)

    def newest(self, user: str) -> int:
        """The greatest `since` of the user's sessions on other nodes; 0 without any."""
        return max((max(peer.users[user]) for peer in self._peers.values() if user in peer.users), default=0)

    # ------------------------------------------------------------------------------------------ asking

    def ask_all(self, now: float) -> Ask:
        """The message by which all nodes are asked at the start."""
        self._first_until = now + FIRST_S
        return Ask(self._instance, self._first)

    def asks(self, now: float) -> list[tuple[str, Ask]]:
        """The nodes that are to be asked now, and the messages for each."""
        found = []
        for instance, peer in self._peers.items():
            if peer.must_be_asked(now):
                peer.progress_at = now
                found.append((instance, Ask(self._instance, self._begin_asking(peer))))
        return found

    def has_asks(self, now: float) -> bool:
        """Whether `asks` has any."""
        return any(peer.must_be_asked(now) for peer in self._peers.values())

    def _begin_asking(self, peer: _Peer) -> str:
        """The nonce that the node is to answer with."""
        peer.nonce = secrets.token_urlsafe(12)
        peer.part, peer.answered = 0, set()
        return peer.nonce

    # ------------------------------------------------------------------------------------------ hearing

    def take_news(self, news: News, now: float) -> bool:
        """Whether they are new, and of a node that has answered: then their events may be believed."""
        if news.instance == self._instance:
            return False
        peer = self._peers.get(news.instance)
        if peer is None:
            if len(self._peers) < MOST_PEERS:
                peer = self._peers[news.instance] = _Peer(now)
                self._wait_for_boot(peer, news)
            return False
        if news.boot != peer.boot:
            self._wait_for_boot(peer, news)
            return False
        if news.counter <= peer.newest:
            return False  # It came twice, or late.
        was_in_doubt = now - peer.heard_at >= DOUBT_S
        peer.newest, peer.heard_at, peer.heard_ms = news.counter, now, news.now_ms
        if was_in_doubt:
            for user in peer.users:
                self._changed(user, True, True, peer.heard_ms)  # They count again.
        if news.leaving:
            peer.end_asking()
        elif peer.gone or peer.nonce is not None or news.counter != peer.counter + 1:
            peer.gone = False
            self._wait(peer, news)
        else:
            self._apply(peer, news)
        return True

    def _wait_for_boot(self, peer: _Peer, news: News) -> None:
        self._wait(peer, news)
        if news.events:
            if len(peer.unheard) >= MOST_WAITING:
                peer.unheard.clear()
            peer.unheard.append(news)

    def _wait(self, peer: _Peer, news: News) -> None:
        """Something is missing before these."""
        if peer.nonce is None:
            self._begin_asking(peer)
        peer.hold(news)
        if news.boot == peer.boot:
            for end in news.ended:  # Whatever is missing before it: no session begins twice.
                self._end(peer, end.user, end.since)

    def take_answer(self, answer: Answer, now: float) -> list[News]:
        """The news whose events are to be told now: they came before the node's boot had answered."""
        peer = self._peers.get(answer.instance)
        if answer.nonce == self._first and answer.part == 0 and now < self._first_until:
            if peer is None and len(self._peers) < MOST_PEERS and answer.instance != self._instance:
                peer = self._peers[answer.instance] = _Peer(now)
            if peer is not None and not peer.boot:
                peer.nonce, peer.part, peer.answered = self._first, 0, set()
        if peer is None or answer.nonce != peer.nonce or answer.part != peer.part:
            return []
        peer.part += 1
        peer.progress_at = peer.heard_at = now
        peer.heard_ms, peer.gone = answer.now_ms, False
        for row in answer.sessions:
            peer.answered.add((row.user, row.since))
            if (answer.boot, row.user, row.since) not in peer.over:
                self._begin(peer, row)
        if not answer.last:
            return []
        self._end_answer(answer, peer)
        unheard, peer.unheard = {news.counter: news for news in peer.unheard if news.boot == answer.boot}, []
        return [unheard[n] for n in sorted(unheard) if answer.now_ms - unheard[n].now_ms <= FRESH_MS]

    def _end_answer(self, answer: Answer, peer: _Peer) -> None:
        places = ((user, since) for user, sessions in peer.users.items() for since in sessions)
        for user, since in [place for place in places if place not in peer.answered]:
            self._end(peer, user, since)
        if peer.boot != answer.boot:
            peer.boot, peer.newest = answer.boot, 0
        peer.counter, peer.newest = answer.counter, max(peer.newest, answer.counter)
        peer.nonce, peer.answered = None, set()
        waiting, over = peer.release()
        for news in waiting:
            if news.boot != peer.boot or news.counter <= peer.counter:
                continue
            peer.newest = max(peer.newest, news.counter)
            if news.counter == peer.counter + 1:
                self._apply(peer, news, over)
            else:
                self._wait(peer, news)

    def _apply(self, peer: _Peer, news: News, over: Collection[tuple[str, str, int]] = ()) -> None:
        """`over`: sessions that are not begun any more."""
        peer.counter = news.counter
        for row in news.began:
            if (news.boot, row.user, row.since) not in over:
                self._begin(peer, row)
        for end in news.ended:
            self._end(peer, end.user, end.since)

    # ------------------------------------------------------------------------------------------ changes

    def _begin(self, peer: _Peer, row: SessionRow) -> None:
        sessions = peer.users.get(row.user)
        if sessions is None:
            had = self.has(row.user)
            peer.users[row.user] = {row.since: row.device}
        elif row.since in sessions:
            return
        else:
            had = True
            sessions[row.since] = row.device
        self._changed(row.user, had, True, peer.heard_ms)

    def _end(self, peer: _Peer, user: str, since: int) -> None:
        sessions = peer.users.get(user)
        if sessions is None or since not in sessions:
            return
        del sessions[since]
        if not sessions:
            del peer.users[user]
        self._changed(user, True, bool(sessions) or self.has(user), peer.heard_ms)

    def excuse(self, stood_still_s: float, now: float) -> None:
        """This node could hear nobody for so long."""
        for peer in self._peers.values():
            peer.heard_at = min(now, peer.heard_at + stood_still_s)

    def find_silent(self, now: float) -> None:
        """Nodes that have been silent for too long are gone: `drop_some` is to be called until it has nothing left."""
        for peer in self._peers.values():
            if now - peer.heard_at >= SILENCE_S:
                peer.end_asking()

    def drop_some(self, limit: int) -> bool:
        """Drop users of nodes that are gone, at most so many. Whether there are more."""
        for instance, peer in list(self._peers.items()):
            if not peer.gone:
                continue
            while peer.users and limit:
                user = next(iter(peer.users))
                del peer.users[user]
                limit -= 1
                self._changed(user, True, self.has(user), peer.heard_ms)
            if peer.users:
                return True
            del self._peers[instance]
        return False
