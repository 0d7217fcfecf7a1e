"""The nodes' way of telling each other what may be lost: who is online where, who types, who has read.

A node gathers what is to be told for a tenth of a second at least, and tells it to all in one message, on one channel.
Presence loses nothing for good: its messages are numbered, and after a gap everything is asked for (roster.py). Of
events each user has a share: they are told in the order of their users, a few of each at a time, and what would wait
for too long is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from typing import Final

import msgspec
import trio

from gochat.cluster.entry import Forged, TooNew, Unfit
from gochat.cluster.news import MOST_EVENTS, Answer, AnyMessage, EventRow, News, NewsCodec, row_of
from gochat.cluster.ports import Bulletin, ServerAway
from gochat.cluster.presence import ClusterPresence
from gochat.domain.commands import AnyEphemeral

log = logging.getLogger(__name__)

#: All nodes hear this channel; and each of them the one with its instance, on which it is answered.
CHANNEL: Final = "soft"
#: The least time between two messages of a node, and the greatest.
WINDOW_S: Final = 0.1
BEAT_S: Final = 1.0
#: After how long a message that the server did not take is sent again, and the channels are subscribed to anew.
RETRY_S: Final = 0.25
#: Events of one user that are told in a message, and that may wait; and events that may wait in all, past which each
#: user may have one. So a user is heard 40 times a second at most, and costs another node as many looks into a table.
OF_ONE_USER: Final = 4
WAITING_OF_ONE_USER: Final = 200
MOST_WAITING: Final = 5_000
#: How often one node is answered at most.
ANSWER_AGAIN_S: Final = 0.5
#: How often messages that are passed over are told in the log.
COMPLAIN_AGAIN_S: Final = 60.0
#: Nodes that wait for an answer.
MOST_ASKERS: Final = 100


class EventQueue:
    """Events that wait to be told. A later one of the same kind, room and user takes an earlier one's place."""

    def __init__(self) -> None:
        self._users: dict[str, dict[tuple[str, str], EventRow]] = {}
        self._count = 0
        self.dropped = 0
        """How many found no place."""

    def __len__(self) -> int:
        return self._count

    def put(self, row: EventRow) -> None:
        waiting = self._users.setdefault(row.user, {})
        place = row.kind, row.room
        if place not in waiting:
            if len(waiting) >= WAITING_OF_ONE_USER or (waiting and self._count >= MOST_WAITING):
                self.dropped += 1
                return
            self._count += 1
        waiting[place] = row

    def take(self) -> list[EventRow]:
        """The next, a few of each user; users who have more wait behind the others."""
        rows: list[EventRow] = []
        for user in list(islice(self._users, MOST_EVENTS // OF_ONE_USER)):
            waiting = self._users.pop(user)
            rows += [waiting.pop(place) for place in list(islice(waiting, OF_ONE_USER))]
            if waiting:
                self._users[user] = waiting
        self._count -= len(rows)
        return rows

    def clear(self) -> None:
        self.dropped += self._count
        self._users.clear()
        self._count = 0


class Soft:
    """One node's part in it, and its `ports.Ephemera`. `run` must be running."""

    def __init__(
        self,
        bulletin: Bulletin,
        codec: NewsCodec,
        instance: str,
        boot: str,
        presence: ClusterPresence,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._bulletin = bulletin
        self._codec = codec
        self._instance = instance
        self._boot = boot
        self._presence = presence
        self._now_ms = now_ms
        self._hear: Callable[[AnyEphemeral, bool], None] = _nobody
        self._events = EventQueue()
        self._counter = 0
        self._told_at = float("-inf")
        self._askers: dict[str, str] = {}
        """Nodes that are to be told everything, each with its nonce."""
        self._answered_at: dict[str, float] = {}
        self._something = trio.Event()
        self._subscribed = trio.Event()
        self.refused = 0
        """Messages that nobody who knows the cluster's secret wrote for their channel, or that can't be read."""
        self._complained_at = float("-inf")
        self.problem: str | None = "not connected"
        """Why nothing is heard now."""
        presence.when_changed(self._wake)

    def listen(self, hear: Callable[[AnyEphemeral, bool], None]) -> None:
        """`hear` is told the events of other nodes, each with whether nobody but its user may hear of it; it neither
        waits nor raises."""
        self._hear = hear

    @property
    def heard_nodes(self) -> int:
        """Other nodes that are heard now."""
        return len(self._presence.roster)

    @property
    def dropped(self) -> int:
        """Events that were too many to be told."""
        return self._events.dropped

    def tell(self, event: AnyEphemeral, *, withheld: bool = False) -> None:
        self._events.put(row_of(event, withheld=withheld))
        self._something.set()

    def _wake(self) -> None:
        self._something.set()

    async def run(self) -> None:
        """Tell and hear, until this is cancelled. Then the others are told that this node is leaving."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell_all)
                nursery.start_soon(self._hear_all)
                nursery.start_soon(self._presence.keep_up)
        finally:
            with trio.move_on_after(BEAT_S, shield=True):
                await self._publish(CHANNEL, self._news(leaving=True))

    # ------------------------------------------------------------------------------------------ telling

    async def _tell_all(self) -> None:
        await self._subscribed.wait()  # Or the answers would be missed.
        await self._publish(CHANNEL, self._presence.roster.ask_all(trio.current_time()))
        while True:
            await self._pause()
            await self._tell(self._news())
            await self._answer()
            for instance, ask in self._presence.roster.asks(trio.current_time()):
                await self._publish(_of(instance), ask)

    async def _pause(self) -> None:
        """Until it is time for the next message."""
        await trio.sleep_until(self._told_at + WINDOW_S)
        if not self._events and not self._presence.has_changes:
            with trio.move_on_at(self._told_at + BEAT_S):
                await self._something.wait()
        self._something = trio.Event()
        self._told_at = trio.current_time()

    def _news(self, *, leaving: bool = False) -> News:
        self._counter += 1
        began, ended = self._presence.take_changes()
        return News(
            self._instance, self._boot, self._counter, self._now_ms(), began, ended, self._events.take(), leaving
        )

    async def _tell(self, news: News) -> None:
        """Until the server has taken it: a number that is missing costs each node a question. It may come twice."""
        data = self._codec.encode(news, CHANNEL)
        while True:
            try:
                await self._bulletin.publish(CHANNEL, data)
                return
            except ServerAway:
                # Events are of this moment, and would come too late. So would the word that a session began which has
                # ended since: a newer one of the device might give way to it.
                self._events.clear()
                began = self._presence.going_on(news.began)
                if news.events or len(began) < len(news.began):
                    news = msgspec.structs.replace(news, events=[], began=began)
                    data = self._codec.encode(news, CHANNEL)
            await trio.sleep(RETRY_S)

    async def _publish(self, channel: str, message: AnyMessage) -> None:
        """Once: whatever is lost is asked for again."""
        try:
            await self._bulletin.publish(channel, self._codec.encode(message, channel))
        except ServerAway:
            pass  # Lost, as it may be.

    async def _answer(self) -> None:
        now = trio.current_time()
        for instance, nonce in list(self._askers.items()):
            if now - self._answered_at.get(instance, float("-inf")) < ANSWER_AGAIN_S:
                continue
            del self._askers[instance]
            self._answered_at.pop(instance, None)
            self._answered_at[instance] = now
            if len(self._answered_at) > MOST_ASKERS:
                del self._answered_at[next(iter(self._answered_at))]
            parts = list(self._presence.all_sessions())
            for part, sessions in enumerate(parts):
                last = part == len(parts) - 1
                now_ms = self._now_ms()
                answer = Answer(self._instance, self._boot, nonce, self._counter, now_ms, part, last, sessions)
                await self._publish(_of(instance), answer)

    # ------------------------------------------------------------------------------------------ hearing

    async def _hear_all(self) -> None:
        channels = [CHANNEL, _of(self._instance)]
        while True:
            try:
                async with self._bulletin.subscribe(channels) as subscription:
                    self.problem = None
                    self._subscribed.set()
                    while True:
                        for channel, data in await subscription.receive():
                            self._take(channel, data)
                            await trio.lowlevel.checkpoint()
            except ServerAway as error:
                if self.problem is None:
                    log.warning("other nodes' presence is not heard: %s", error)
                self.problem = str(error)
            await trio.sleep(RETRY_S)

    def _take(self, channel: str, data: bytes) -> None:
        now = trio.current_time()
        try:
            message = self._codec.decode(data, channel)
        except (Forged, TooNew, Unfit) as error:
            self.refused += 1
            if now >= self._complained_at + COMPLAIN_AGAIN_S:
                self._complained_at = now
                log.warning("messages of other nodes are passed over, %d so far: %s", self.refused, error)
            return
        roster = self._presence.roster
        if isinstance(message, News):
            if roster.take_news(message, now):
                for row in message.events:
                    self._hear(row.command(), row.withheld)
        elif isinstance(message, Answer):
            for news in roster.take_answer(message, now):
                for row in news.events:
                    self._hear(row.command(), row.withheld)
        elif message.instance != self._instance and len(self._askers) < MOST_ASKERS:
            self._askers[message.instance] = message.nonce
        if self._askers or roster.has_asks(now):
            self._something.set()  # Not for all that is heard, or nodes would keep each other awake.


def _of(instance: str) -> str:
    """The channel of one node."""
    return f"{CHANNEL}.{instance}"


def _nobody(event: AnyEphemeral, withheld: bool) -> None:
    """Nobody listens yet."""
