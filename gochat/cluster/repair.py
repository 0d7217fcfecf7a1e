"""The repair of a partition: the nodes give a server back what it has lost, before anything new is appended.

A partition is in order on a server where its fence names that very server. It is not after a failover, after FLUSHALL,
after a restart without data: then entries that were told may be missing. Every node that takes part puts back what it
has recorded beyond the server's end, reads what others have put back, and answers once it has the same as the server.
A node that does not count by its own record answers, too: by that of others it may. When enough have answered, whoever
comes first of those that count seals the partition with the marker of a new term. Entries that are put back after a
node's answer are read when that is done.

Nothing that was told can be missing then: it is with enough nodes that one of them has answered.

An answer holds for good. Each is given in a ballot; ballots count up, a node answers one server alone in each, and the
term that a repair begins bears its ballot's number. A node that has answered records and appends nothing but in a term
of that ballot or of a later one, however long it takes, and past a restart: where it meets a server that is in order
with an earlier term, it ends that term, and all nodes have to answer once more. So nodes never go on at two servers,
whoever reaches which of them, and whenever an answer arrives. The answer of a node that does not count by its own
record binds it to nothing: it serves nowhere before one that counts has confirmed it there (membership.py).

A node that met an entry of a later release goes no further, and answers for the end that it has, which stays. It seals
nothing while the log is longer than that: it can't read who counts.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import trio

from gochat.cluster.counts import LogCounts
from gochat.cluster.forks import Forked, following, leading, reason_to_stop
from gochat.cluster.obstacles import Obstacles
from gochat.cluster.pace import SLOW_LOOK_S, Pace
from gochat.cluster.ports import (
    BEAT_LIFE_S,
    LEAP,
    MOST_BYTES,
    MOST_ENTRIES,
    START,
    Element,
    Fence,
    Fences,
    Log,
    Position,
    ServerAway,
    ballot_of,
)
from gochat.errors import StoreError
from gochat.replication import Answer

log = logging.getLogger(__name__)

#: How often a node that waits for others looks again, before it goes slowly (pace.py).
LOOK_S: Final = 0.02
#: After so long in which nothing moved a node makes its connections anew: the others may be at another server by now,
#: and one that lives on tells nobody that it is no longer named. Longer than a Sentinel takes to have an old primary
#: follow the new one, which breaks the connections anyway.
RENEW_S: Final = 3.0
#: The pause doubles up to so long: where a name leads now to one server and now to another, each change costs a ballot.
MOST_RENEW_S: Final = 15.0
#: How long a node that does not count leaves an empty server to those that count and live: longer than one that has
#: died may pass for living.
EMPTY_S: Final = 2 * BEAT_LIFE_S + 1.0
#: No server's id.
NOBODY: Final = "nobody"
_OLD: Final = "the server was a primary before another took its place: its partitions {} are old"


class Ring(Protocol):
    """The entries that a node has recorded, the latest of each partition as they were read."""

    answers: Mapping[int, Answer]
    """The latest of each partition, by this process or the one before it."""

    async def keep_answers(self, answers: Mapping[int, Answer]) -> None:
        """Keep the answers that the node is about to give, by partition; those of others stay. They survive power loss
        when this returns."""

    def end(self, partition: int) -> Position:
        """The last position that is recorded; START where none is."""

    def is_stopped(self, partition: int) -> bool:
        """Whether the partition's next entry can't be recorded: a later release wrote it."""

    async def record(self, news: Mapping[int, Sequence[Element]]) -> None:
        """Record elements that follow the ends without a gap. They survive power loss when this returns; but those of a
        partition from the one on that can't be recorded."""

    async def after(self, partition: int, position: Position | None, limit: int) -> list[Element]:
        """The elements that are kept after a position, in order; with None, from the oldest of them."""

    async def has(self, partition: int, position: Position) -> bool:
        """Whether the element at the position is recorded. One that is no longer kept, but is older than all that are,
        counts as recorded where its term is not above theirs."""


class _Ready(NamedTuple):
    """A node may answer."""

    server: str
    end: Position
    seen: Position
    """Up to where this node has looked who counts: to the server's end, or it may not seal."""
    need: int
    """How many nodes must."""
    counting: Collection[str] | None


class Repair:
    """Brings partitions in order, those that are not, on the servers that answer for them."""

    def __init__(
        self,
        shared: Log,
        ring: Ring,
        instance: str,
        need: Callable[[int], int],
        take: Callable[[int, Sequence[Element]], Awaitable[None]],
        pause: Callable[[frozenset[int], Mapping[int, Fence]], Awaitable[None]],
        counting: Callable[[int], Collection[str] | None] = lambda _: None,
        counts: LogCounts | None = None,
        coming: Callable[[int, Sequence[Element]], Collection[str] | None] = lambda _, __: (),
        sealing: Callable[[int, bool], None] = lambda _, __: None,
        others_live: Callable[[], bool] = lambda: True,
    ) -> None:
        """`need`: how many nodes must answer for a partition, this one included; 0 where this one may not. `take`:
        records elements that follow the ring's end, and hands them on. `pause`: from when it returns nobody else
        records anything of these partitions, nor appends to them, until it is called with others; the fences are those
        of all, and the others may be appended to. `counting`: the nodes whose answers count for a partition; None:
        those of all. `coming`: the nodes that count from some of these entries on, which are not recorded here; None:
        not all of them can be read.
        `sealing` is told of a partition, with True, right before the server is asked to seal it, and with False once
        the server has said that it did not. `others_live`: whether another node that a repair waits for gives signs
        of life."""
        self._log = shared
        self._ring = ring
        self._instance = instance
        self._need = need
        self._take = take
        self._pause = pause
        self._counting = counting
        self._counts = counts or LogCounts()
        self._coming = coming
        self._sealing = sealing
        self._others_live = others_live
        self._kept_to: dict[int, str] = {}
        """The server that the node keeps to, by partition that is being repaired."""
        self._left: dict[int, str] = {}
        """By partition a server of an older term than this node has recorded, from which it has turned away once."""
        self._highest: dict[int, int] = {}
        """By partition the highest ballot that a node was seen to have answered in."""
        self._ready: dict[int, _Ready] = {}
        """By partition, in the present round."""
        self._empty_since: dict[int, float] = {}
        """By partition, since when the server has had nothing while a node that counts lives; as this one, which does
        not count, has seen. Times of the loop."""
        self._obstacles = Obstacles()
        self._pace = Pace()
        self.is_running = False

    @property
    def problem(self) -> str | None:
        """Why this node can't do its part, and the way out."""
        return self._obstacles.problem

    def bound(self) -> frozenset[int]:
        """The partitions in which this node has answered, and has recorded no term of that ballot or of a later one.
        Nothing but `run` may record anything of them."""
        return frozenset(
            partition
            for partition, answer in self._ring.answers.items()
            if ballot_of(self._ring.end(partition).term) < answer.ballot and self._need(partition)
        )

    async def run(self, partitions: Sequence[int]) -> Mapping[int, Fence]:
        """Return the fences once all of the partitions are in order, and this node is bound in none of them, but for
        those that are stopped here.

        Each round looks at all of them: nodes that worked at one each, and waited for the others' answers, would wait
        for ever where two have broken. Raises Forked; and ServerAway, when the same is to be asked again: any server
        may answer then."""
        self.is_running, moved_at, renew_s = True, trio.current_time(), RENEW_S
        self._pace = Pace()
        try:
            while True:
                # Before the server is asked: meanwhile another node may seal a partition, and this one read it.
                recorded = {partition: self._ring.end(partition).term for partition in partitions}
                fences = await self._log.fences(partitions)
                old = [p for p in partitions if is_in_order(fences, p) and fences.by_partition[p].term < recorded[p]]
                await self._turn_away({partition: fences.servers[partition] for partition in old})
                bound = self.bound()
                todo = [p for p in partitions if p in old or not self._is_done(fences, p, p in bound)]
                await self._keep_to({partition: fences.servers[partition] for partition in todo})
                await self._pause(frozenset(todo), fences.by_partition)
                if not todo:
                    return fences.by_partition
                if await self._end_old_terms(fences, todo, old) or await self._step_all(fences, todo):
                    moved_at = trio.current_time()
                    self._pace.hurry()
                    continue
                await trio.sleep(SLOW_LOOK_S if self._pace.is_slow else LOOK_S)
                if trio.current_time() - moved_at > renew_s:
                    moved_at, self._kept_to = trio.current_time(), {}
                    renew_s = min(2 * renew_s, MOST_RENEW_S)
                    await leave(self._log, todo)
        finally:
            self.is_running = False
            self._obstacles.clear()
            self._highest.clear()
            self._empty_since.clear()
            if self._kept_to:
                self._kept_to = {}
                with trio.CancelScope(shield=True):
                    await self._log.keep_to(None)

    def _is_done(self, fences: Fences, partition: int, is_bound: bool) -> bool:
        """Whether nothing is left to be done by this node. Of a partition that is stopped here it can't record the term
        that its answer has led to; it keeps its word by recording nothing."""
        if not is_in_order(fences, partition):
            return False
        may_follow = not is_bound or self._may_follow(fences.by_partition[partition], partition)
        return may_follow and (not is_bound or self._ring.is_stopped(partition))

    async def _turn_away(self, old: dict[int, str]) -> None:
        """Have all connections made anew where servers hold terms that are older than what is recorded here, and others
        took their places: one that lives on tells nobody so. Raises ServerAway. A server that is met again is the one
        that is named."""
        if old and old != self._left:
            self._left = old
            await leave(self._log, old)
            raise ServerAway(_OLD.format(list(old)))
        self._left = old

    async def _keep_to(self, servers: dict[int, str]) -> None:
        """Speak to these servers alone."""
        if servers and servers != self._kept_to:
            self._kept_to = servers
            await self._log.keep_to(servers)

    async def _end_old_terms(self, fences: Fences, todo: Sequence[int], old: Collection[int]) -> bool:
        """End terms that are in order on their servers, and older than what this node has recorded, or than its
        answers: another server may have been sealed by these, and others may go on there. Whether there were any."""
        ended = [
            p for p in todo if p in old or (is_in_order(fences, p) and not self._may_follow(fences.by_partition[p], p))
        ]
        for partition in ended:
            term = fences.by_partition[partition].term
            log.info("partition %d: term %d is older than what this node did at another server", partition, term)
            await self._log.end_term(partition, fences.by_partition[partition])
        return bool(ended)

    def _may_follow(self, fence: Fence, partition: int) -> bool:
        return ballot_of(fence.term) >= self._ring.answers[partition].ballot

    async def _step_all(self, fences: Fences, todo: Sequence[int]) -> bool:
        """One step in each partition. Whether anything moved."""
        ends = await self._log.ends(todo)
        self._obstacles.begin_round()
        self._empty_since = {p: since for p, since in self._empty_since.items() if p not in ends}
        self._ready.clear()
        moved = [await self._step_or_wait(partition, ends.get(partition), fences) for partition in todo]
        self._obstacles.end_round(ends)
        self._pace.note((fences, ends, dict(self._ready), dict(self._highest)))
        # All at once: it costs the database one transaction.
        answers = {p: self._next_answer(p, ready, ends.get(p, START)) for p, ready in self._ready.items()}
        answers = {p: answer for p, answer in answers.items() if answer.ballot <= self._latest(p)}
        await self._ring.keep_answers(answers)
        moved += [await self._give(partition, answer) for partition, answer in answers.items()]
        return any(moved)

    def _next_answer(self, partition: int, ready: _Ready, there: Position) -> Answer:
        """The ballot is later than those in which the node has answered other servers, and not before any in which one
        has answered this server, or that has a term there, as far as nodes can have come to these."""
        last = self._ring.answers.get(partition)
        least = 0 if last is None else last.ballot + (last.server != ready.server)
        others = (ballot_of(there.term) + 1, self._highest.get(partition, 0))
        seen = (ballot for ballot in others if ballot <= self._latest(partition) - LEAP // 2)
        return Answer(ready.server, max(ballot_of(self._ring.end(partition).term) + 1, least, *seen))

    def _latest(self, partition: int) -> int:
        """The last ballot that a term after this node's end may have."""
        return ballot_of(self._ring.end(partition).term) + LEAP

    async def _step_or_wait(self, partition: int, there: Position | None, fences: Fences) -> bool:
        """A step, unless this node's own entries can't be read now: the other partitions do not wait for that."""
        try:
            return await self._step(partition, there, fences)
        except StoreError as error:
            self._obstacles.add_unreadable(partition, str(error))
            return False

    async def _step(self, partition: int, there: Position | None, fences: Fences) -> bool:
        """Bring the server and this node one step closer to each other. Whether anything moved."""
        server = self._kept_to[partition]
        own = self._ring.end(partition)
        if there is not None and there.term < own.term and not await self._ring.has(partition, there):
            # It came in when another server took this one's place. No node that counts has recorded it: all answered
            # there, before the term of this node's end began. So it was not acknowledged, and would be in the way.
            log.info("partition %d: nobody recorded the last entry %d-%d, the log is begun anew", partition, *there)
            return await self._log.drop(partition, server, there)
        if there is None or there.n < own.n:
            if there is not None and not await self._ring.has(partition, there):
                reason = await reason_to_stop(self._log, partition, own)
                raise reason or Forked(partition, f"the log has another entry at {there}")
            return await self._put_back(server, partition, there)
        if there.n > own.n:
            is_stopped = self._ring.is_stopped(partition)
            elements = await self._log.read({partition: own}, 1 if is_stopped else MOST_ENTRIES, wait=False)
            news = elements.get(partition, [])
            news = news[: leading(own, news)]
            if not news and (reason := await reason_to_stop(self._log, partition, own)) is not None:
                raise reason
            if news and is_stopped:
                # It goes no further, whoever seals this, and says so: the others need not wait for the next release
                # to be installed here. It seals nothing itself, for it has not seen who counts.
                return await self._answer(server, partition, own, own)
            if news and not is_in_order(fences, partition) and (partition in self.bound() or not self._need(partition)):
                # It may have answered another server, which does not have them; or it does not count, and they may be
                # nobody's. It reads them once they are sealed.
                return await self._answer_below(server, partition, own, news, there)
            if news:
                await self._take(partition, news)
            return self._ring.end(partition) != own
        if there != own:
            reason = await reason_to_stop(self._log, partition, own)
            raise reason or Forked(partition, f"the log has {there}, and this node {own}")
        return await self._answer(server, partition, own, own)

    def _may_begin(self, partition: int) -> bool:
        """Whether this node may put back the beginning of what an empty server has. The others have to go on from that,
        and one that does not count may end before anything that they keep: it leaves that to those that count, unless
        one of them lives and still does nothing. Where none lives nothing is lost by waiting: the repair needs them."""
        if self._need(partition):
            return True
        now = trio.current_time()
        if not self._others_live():
            self._empty_since[partition] = now
        return now - self._empty_since.setdefault(partition, now) >= EMPTY_S

    async def _put_back(self, server: str, partition: int, there: Position | None) -> bool:
        if there is None and not self._may_begin(partition):
            return False
        history = await self._ring.after(partition, there, MOST_ENTRIES)
        if not history:
            return False
        if there is not None and not following(there, history):
            self._obstacles.add_gap(partition, there, history[0].position)
            return False  # This node does not keep it any more; another may.
        size, fit = 0, 0
        for element in history:
            size += len(element.data)
            if fit and size > MOST_BYTES:
                break
            fit += 1
        outcome = await self._log.put_back(partition, server, there, history[:fit])
        if outcome == "done":
            self._counts.put_back += fit
            log.info("partition %d: %d entries after %s were put back", partition, fit, there)
        return outcome == "done"

    async def _answer(
        self, server: str, partition: int, end: Position, seen: Position, coming: Collection[str] = ()
    ) -> bool:
        """All that this node has stands there: be ready to answer. `coming`: nodes that count by what comes up to
        `seen`: they may have what no other has."""
        need, counting = self._need(partition), self._counting(partition)
        more = frozenset(coming) - frozenset(counting or ())
        if need and more:
            need, counting = len(counting or ()) + len(more), more.union(counting or ())
        self._ready[partition] = _Ready(server, end, seen, need, counting)
        return False

    async def _answer_below(
        self, server: str, partition: int, own: Position, news: Sequence[Element], there: Position
    ) -> bool:
        """As `_answer`, where the server goes on to `there` by news that this node must not record before it is
        sealed. All of them are looked at: nodes may count by them."""
        coming, seen = set[str](), own
        while news:
            by_these = self._coming(partition, news)
            if by_these is None:
                return await self._answer(server, partition, own, own)  # A node of the later release may seal.
            coming.update(by_these)
            seen = news[-1].position
            found = await self._log.read({partition: seen}, MOST_ENTRIES, wait=False) if seen < there else {}
            news = found.get(partition, [])
            news = news[: leading(seen, news)]
        return await self._answer(server, partition, own, seen, coming)

    async def _give(self, partition: int, answer: Answer) -> bool:
        """Give an answer that is kept. Whether anything moved."""
        server, end, seen, need, counting = self._ready[partition]
        highest = self._pace.highest(partition)
        if highest is None:
            highest = await self._log.offer(partition, server, self._instance, end, answer.ballot)
            self._pace.offered(partition, highest)
        if highest != answer.ballot:
            self._highest[partition] = highest
            return answer.ballot < highest <= self._latest(partition) - LEAP // 2
        if not need:
            # It does not count by what it has recorded. Others may have recorded more, or less, and wait for it.
            return False
        if not frozenset(self._counting(partition) or ()).issubset(counting or ()):
            return False  # A node counts again that was not waited for when the round began.
        self._sealing(partition, True)
        sealed = await self._log.seal(partition, server, need, counting, seen)
        if not isinstance(sealed, Fence):
            self._sealing(partition, False)
            return False
        log.info("partition %d is in order again, in term %d", partition, sealed.term)
        return True


async def leave(shared: Log, partitions: Iterable[int]) -> None:
    """Have all connections made anew that are for these partitions, to the servers that are named now."""
    await shared.keep_to(dict.fromkeys(partitions, NOBODY))
    await shared.keep_to(None)


def is_in_order(fences: Fences, partition: int) -> bool:
    """Whether the partition has been repaired on the server that told its fences."""
    fence = fences.by_partition.get(partition)
    return fence is not None and fence.server == fences.servers[partition]
