"""How far a room's facts have come to its users' devices: what devices say is put together, and told once a second.

In a group of 50 each message is confirmed 49 times, and each of these is news to 49 others. So what comes within a
second is one event, the same bytes for all, and each user's position is written at most once in that time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set
from typing import Final, TypeAlias

import trio

from gochat.actors.room_context import RoomContext
from gochat.actors.subscriber import send_best_effort
from gochat.actors.supervisor import Spec
from gochat.domain import commands
from gochat.domain.ids import is_dm
from gochat.domain.receipts import SMALL_ROOM, keeps_got, tells_got
from gochat.domain.record import RoomRecord
from gochat.errors import StoreError
from gochat.protocol import replies

log = logging.getLogger(__name__)

#: The room as it is when it is called; None where it has to be loaded.
RecordNow: TypeAlias = Callable[[], RoomRecord | None]
StartTask: TypeAlias = Callable[[Spec], None]
#: For so long positions are put together.
EVERY_S: Final = 1.0


class DeliveryReceipts:
    """One room's. It has a task while positions wait."""

    __slots__ = (
        "_elsewhere",
        "_journal",
        "_live",
        "_lookups",
        "_now_ms",
        "_policy",
        "_record",
        "_runs",
        "_start",
        "_told",
        "_waiting",
    )

    def __init__(self, context: RoomContext, record: RecordNow, start: StartTask) -> None:
        self._journal = context.journal
        self._lookups = context.lookups
        self._live = context.live
        self._now_ms = context.clock.now_ms
        self._policy = context.rules.contacts
        self._record = record
        self._start = start
        self._waiting: dict[str, int] = {}
        self._elsewhere: set[str] = set()
        """Users whose waiting position another node took, and notes."""
        self._told: dict[str, int] = {}
        """The latest users' positions that were taken, so that repeats cost nothing."""
        self._runs = False
        """Whether there is a task."""

    def take(self, record: RoomRecord, user: str, seq: int) -> None:
        """A device of a user of the room has its facts up to `seq`. Nothing is kept of a large group, nor of a room
        that the user is alone in."""
        if self._keep(record, user, seq):
            self._elsewhere.discard(user)
            relation = record.relation
            shared = relation is None or tells_got(relation, user, self._policy, self._now_ms())
            if shared and self._live.ephemera is not None:
                self._live.ephemera.tell(commands.Got(room=record.room, user=user, seq=seq))

    def hear(self, record: RoomRecord, user: str, seq: int) -> None:
        """The same of a device on another node, which notes it."""
        if self._keep(record, user, seq):
            self._elsewhere.add(user)

    def _keep(self, record: RoomRecord, user: str, seq: int) -> bool:
        """Have it told later, if it is news."""
        if seq <= self._told.get(user, 0) or seq <= self._waiting.get(user, 0):
            return False
        if not keeps_got(record) or seq < record.since.get(user, 1):
            return False
        if self._live.came_after(record.room, user, seq):
            return False
        self._waiting[user] = seq
        if not self._runs:
            self._runs = True
            self._start(Spec(f"got {record.room}", self._tell_later, "temporary", self._given_up))
        return True

    def _given_up(self) -> None:
        self._waiting.clear()
        self._runs = False

    def _note(self, record: RoomRecord, user: str, seq: int) -> None:
        self._told.pop(user, None)
        self._told[user] = seq
        if len(self._told) > 2 * SMALL_ROOM:
            del self._told[next(iter(self._told))]
        if user in self._elsewhere:
            self._elsewhere.discard(user)
        else:
            self._journal.note_got(record, user, seq)

    async def _tell_later(self) -> None:
        while self._waiting:
            await trio.sleep(EVERY_S)
            record = self._record()
            if record is None or not keeps_got(record):
                self._waiting.clear()  # Its devices say it again with the next facts.
            elif is_dm(record.room):
                self._tell_two(record)
            else:
                await self._tell_group(record)
            self._elsewhere.intersection_update(self._waiting)
        self._runs = False

    def _tell_two(self, record: RoomRecord) -> None:
        relation, waiting = record.relation, list(self._waiting.items())
        assert relation is not None
        self._waiting.clear()
        for user, seq in waiting:
            self._note(record, user, seq)
            other = relation.peer(user)
            if tells_got(relation, user, self._policy, self._now_ms()) and seq >= record.since.get(other, 1):
                event = replies.Got(room=record.room, got={user: seq})
                send_best_effort(list(self._live.users.get(other, ())), event)

    async def _tell_group(self, record: RoomRecord) -> None:
        asked, members = list(self._waiting), frozenset(record.members)
        blocks = await self._blocks(record, asked, members)
        now = self._record()
        if blocks is None or now is None or not keeps_got(now):
            self._waiting.clear()  # And again with what can't be looked up.
            return
        # Users who came to `_waiting` meanwhile have not been asked about: they are told the next time.
        waiting = {user: self._waiting.pop(user) for user in asked}
        got = {user: seq for user, seq in waiting.items() if user in now.members}
        for user, seq in got.items():
            self._note(now, user, seq)
        told: frozenset[str] = frozenset()
        while got and blocks is not None:
            self._send(now, got, members, blocks)
            told |= members
            # Listeners who came while it was looked up: nothing is known of them yet.
            members = frozenset(session.user for session in self._live.groups.get(now.room, ())) & now.members.keys()
            members -= told
            if not members:
                return
            blocks = await self._blocks(now, list(got), members)
            now = self._record()
            if now is None or not keeps_got(now):
                return
            got = {user: seq for user, seq in got.items() if user in now.members}

    async def _blocks(self, record: RoomRecord, users: Sequence[str], members: Set[str]) -> set[tuple[str, str]] | None:
        """The pairs of whom either has blocked the other; None where that can't be read."""
        try:
            return await self._lookups.blocks(users, list(members))
        except StoreError as error:
            log.warning("%s: it is not told what has come: %s", record.room, error)
            return None

    def _send(self, record: RoomRecord, got: dict[str, int], members: Set[str], blocks: set[tuple[str, str]]) -> None:
        """To all of `members` the same, but to users from whom some of it is to be kept. `blocks` says nothing of users
        who are not among them."""
        plain = []
        for session, since in list(self._live.groups.get(record.room, {}).items()):
            if session.user not in members:
                continue
            hides = since if record.hides else 1
            seen = {user: seq for user, seq in got.items() if seq >= hides and (user, session.user) not in blocks}
            if len(seen) == len(got):
                plain.append(session)
            elif seen:
                send_best_effort([session], replies.Got(room=record.room, got=seen))
        if plain:
            send_best_effort(plain, replies.Got(room=record.room, got=got))
