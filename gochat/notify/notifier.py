"""The notifier: hears of messages, looks at their rooms when they are due, and has notices kept for the channels.

Its memory is a timetable and no more. Rooms with news are marked in the store by the transaction that
brings the messages into the logs, so that a crash loses none; all decisions are made from the store, when they are
due. Ids are the same on repeat.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import trio

from gochat.domain.facts import AnyFact, Message
from gochat.domain.notices import Bounds, NewNotice, Reader, RoomLook, Route, UnseenRoom, burst_key
from gochat.domain.record import RoomRecord
from gochat.errors import StoreError
from gochat.notify.due import Timing, decide
from gochat.notify.retry import GIVE_UP_MS
from gochat.notify.timetable import Timetable
from gochat.ports.journal import ForeignBatch
from gochat.ports.notices import Notices

log = logging.getLogger(__name__)

#: Rooms that are looked at in one go, and members in one slice: some ms of a reading thread.
ROOMS, MEMBERS = 32, 96
#: Users who are decided on before the loop does something else, and kept in one transaction: a third of a ms of the
#: loop's, and of the writer's, which the acks of others wait for.
TOGETHER: Final = 16
#: The least time between two slices, so that commits and welcomes come first. A slice that took longer, because others
#: are at work, is followed by as long a rest.
REST_S: Final = 0.01
#: The least time between two looks at a room, for each slice of its members: somebody writes in a large group all the
#: time, and must not have it looked at all the time.
GAP_MS: Final = 100
#: How often it is looked for rooms that nobody told of: after a failed commit, or where the timetable was full.
RESCAN_S: Final = 300.0
#: After a failure of the store.
AGAIN_S: Final = 1.0
#: The wall clock may be set: no sleep is longer.
NAP_S: Final = 30.0
#: A node that stands by forgets rooms that have been due for so long, and how often it looks for some. The node that
#: notifies has looked at them by then; if it could not, they are marked in the store.
OVERDUE_MS: Final = 60_000
STAND_BY_S: Final = 15.0
PAGE: Final = 1_000


class NoticeRules(NamedTuple):
    """The operator's settings."""

    timing: Timing
    routes: Sequence[Route]
    bounds: Bounds


class Notifier:
    """An observer of every room. `run` must be running; in a cluster by one node at a time, and `stand_by` by all."""

    def __init__(
        self,
        notices: Notices,
        rules: NoticeRules,
        *,
        seen: Callable[[str], int],
        now_ms: Callable[[], int],
        flush_positions: Callable[[], Awaitable[None]],
        added: Callable[[], None],
        is_fit: Callable[[], bool] = lambda: True,
    ) -> None:
        """`seen`: see Reader.seen_ms, as far as it is known in memory. `added` is called when there may be something
        for the channels. `is_fit`: see Sender."""
        self._notices = notices
        self._rules = rules
        self._seen = seen
        self._now_ms = now_ms
        self._flush_positions = flush_positions
        self._added = added
        self._is_fit = is_fit
        self._timetable = Timetable()
        self._running = False
        self._earlier = trio.Event()
        """Set when the timetable has something that is due before what it had."""

    def rooms(self) -> int:
        """How many are on the timetable."""
        return len(self._timetable)

    def recorded(self, room: str, record: RoomRecord, facts: Sequence[AnyFact], commit: int) -> None:
        """See actors.observer. Costs one look into a dict while the room is on the timetable."""
        if room in self._timetable:
            return
        for fact in facts:
            if type(fact) is Message:
                self._put(UnseenRoom(record.room_pk, room, fact.ts), fact.ts)
                return

    def recorded_unheard(self, batch: ForeignBatch) -> None:
        """See actors.observer."""
        if batch.room not in self._timetable:
            ts = next((fact.ts for fact in batch.facts if type(fact) is Message), None)
            if ts is not None:
                self._put(UnseenRoom(batch.room_pk, batch.room, ts), ts)

    def _put(self, room: UnseenRoom, ts: int, *, not_before: int = 0) -> None:
        first = self._timetable.next_ms
        at_ms = max(ts + self._rules.timing.after_ms, not_before)
        self._timetable.put(room, at_ms)
        if first is None or at_ms < first:
            self._earlier.set()

    async def stand_by(self) -> None:
        """Be ready to `run` at once, for ever: while another node notifies, keep the timetable without what that has
        done."""
        while True:
            await trio.sleep(STAND_BY_S)
            if not self._running:
                self._timetable.take(self._now_ms() - OVERDUE_MS, 5 * PAGE)

    async def run(self) -> None:
        """Look at rooms as they become due, for ever. After it was cancelled it may be run again."""
        self._running = True
        try:
            await self._run()
        finally:
            self._running = False

    async def _run(self) -> None:
        rescan_at = -RESCAN_S
        while True:
            try:
                if trio.current_time() >= rescan_at + RESCAN_S:
                    rescan_at = trio.current_time()
                    await self._rescan()
                rooms = self._timetable.take(self._now_ms(), ROOMS)
                if rooms:
                    await self._look_at(rooms)
                elif self._timetable.overflowed:
                    rescan_at = -RESCAN_S
                    self._timetable.overflowed = False
                    await trio.sleep(AGAIN_S)
                else:
                    await self._nap()
            except StoreError as error:
                log.warning("notifications wait: %s", error)
                rescan_at = -RESCAN_S
                await trio.sleep(AGAIN_S)

    async def _nap(self) -> None:
        self._earlier = trio.Event()
        next_ms = self._timetable.next_ms
        pause = NAP_S if next_ms is None else min(NAP_S, max(0.0, (next_ms - self._now_ms()) / 1000))
        with trio.move_on_after(pause):
            await self._earlier.wait()

    async def _rescan(self) -> None:
        after: int | None = 0
        while after is not None:
            found = await self._notices.unseen(after, PAGE)
            for room in found:
                if room.room not in self._timetable:
                    self._put(room, room.ts)
            after = found[-1].room_pk if len(found) == PAGE and not self._timetable.overflowed else None
            await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------ a look

    async def _look_at(self, rooms: Sequence[UnseenRoom]) -> None:
        """Decide for all members of these rooms. A large room takes several slices, each of which is kept by itself."""
        await self._flush_positions()
        now_ms = self._now_ms()
        if not self._is_fit():
            raise StoreError("this node's clock, or what it has of the cluster's log, is in doubt")
        found: list[NewNotice] = []
        looked: dict[int, int] = {}
        slices: dict[int, int] = {}
        following: dict[int, int | None] = {}
        for room in rooms:
            after_user, count = "", 0
            while True:
                began = trio.current_time()
                look = await self._look(room, after_user, now_ms)
                found += await self._decided(room, look, now_ms)
                looked[room.room_pk] = min(look.upto, looked.get(room.room_pk, look.upto))
                count += 1
                if look.next_user is None:
                    break
                after_user = look.next_user
                await _pause(began)
                await self._keep(found, {}, now_ms)
                found = []
            slices[room.room_pk] = count
            if len(found) >= TOGETHER:
                following |= await self._keep(found, looked, now_ms)
                found, looked = [], {}
        following |= await self._keep(found, looked, now_ms)
        for room in rooms:
            ts = following.get(room.room_pk)
            if ts is not None:
                self._put(room, ts, not_before=now_ms + GAP_MS * slices[room.room_pk])

    async def _look(self, room: UnseenRoom, after_user: str, now_ms: int) -> RoomLook:
        ripe_ts = now_ms - self._rules.timing.after_ms
        return await self._notices.look(
            room, after_user, MEMBERS, now_ms=now_ms, ripe_ts=ripe_ts, oldest_ts=ripe_ts - GIVE_UP_MS
        )

    async def _decided(self, room: UnseenRoom, look: RoomLook, now_ms: int) -> list[NewNotice]:
        found = []
        for number, reader in enumerate(look.readers, 1):
            burst = decide(seen_now(reader, self._seen), look.messages, now_ms, self._rules.timing)
            if burst is not None:
                name = burst_key(room.room_pk, reader.user, burst.first.seq)
                found.append(
                    NewNotice(
                        name, reader.user, room.room_pk, burst.after, burst.latest.seq, burst.read, burst.first.ts
                    )
                )
            if number % TOGETHER == 0:
                await trio.lowlevel.checkpoint()
        return found

    async def _keep(self, found: Sequence[NewNotice], looked: dict[int, int], now_ms: int) -> dict[int, int | None]:
        """Keep what was found, a slice at a time; the rooms that were looked at with the last one."""
        rules = self._rules
        following: dict[int, int | None] = {}
        for begin in range(0, max(len(found), 1 if looked else 0), TOGETHER):
            began = trio.current_time()
            piece = found[begin : begin + TOGETHER]
            done = looked if begin + TOGETHER >= len(found) else {}
            following = await self._notices.add(piece, done, rules.routes, rules.bounds, now_ms)
            if piece:
                self._added()
            await _pause(began)
        return following


async def _pause(began: float) -> None:
    """Let others work for as long as the slice took that began then, or REST_S."""
    await trio.sleep(max(REST_S, trio.current_time() - began))


def seen_now(reader: Reader, seen: Callable[[str], int]) -> Reader:
    """The reader with what memory knows of their sessions; the store knows it some moments later."""
    at_ms = seen(reader.user)
    return msgspec.structs.replace(reader, seen_ms=at_ms) if at_ms > reader.seen_ms else reader
