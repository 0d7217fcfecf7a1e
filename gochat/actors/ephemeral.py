"""Events that a room passes on without a seq, and that may be lost: users read, users type."""

from __future__ import annotations

from typing import TypeAlias

import trio

from gochat.actors.room_context import RoomContext
from gochat.actors.subscriber import send_best_effort
from gochat.domain import commands
from gochat.domain.draft import may_post
from gochat.domain.ids import dm_users, is_dm
from gochat.domain.receipts import SMALL_ROOM, tells_read
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import way
from gochat.protocol import replies

TYPING_EVERY_S = 3.0
#: The same for what comes from other nodes, which have kept to it: on the way the time between two may become shorter.
HEARD_EVERY_S = 2.0

Passed: TypeAlias = commands.Read | commands.Typing


class EphemeralEvents:
    """One room's memory of these events: how far users have read, and when they typed last."""

    __slots__ = ("_journal", "_live", "_now_ms", "_policy", "_reads", "_typed")

    def __init__(self, context: RoomContext) -> None:
        self._journal = context.journal
        self._live = context.live
        self._now_ms = context.clock.now_ms
        self._policy = context.rules.contacts
        self._typed: dict[str, float] = {}
        self._reads: dict[str, int] = {}

    def take(self, record: RoomRecord, command: Passed) -> None:
        """The command's user has a seat in the room."""
        if isinstance(command, commands.Read):
            seq = min(command.seq, record.head)
            if self._is_news(command.user, seq):
                self._journal.note_read(record, command.user, seq)
                shared = self._tell_read(record, command.user, seq)
                if self._live.ephemera is not None:
                    event = commands.Read(room=record.room, user=command.user, seq=seq)
                    self._live.ephemera.tell(event, withheld=not shared)
        elif self._type(record, command) and self._live.ephemera is not None:
            self._live.ephemera.tell(command)

    def hear(self, record: RoomRecord, command: Passed, *, withheld: bool) -> None:
        """The same of a command that another node took, and has noted. The rules are asked here once more: others are
        told only where both nodes let them be."""
        if isinstance(command, commands.Read):
            seq = min(command.seq, record.head)
            if self._is_news(command.user, seq):
                self._tell_read(record, command.user, seq, withheld=withheld)
        elif not withheld:
            self._type(record, command, HEARD_EVERY_S)

    def _open(self, record: RoomRecord, sender: str) -> bool:
        """Whether a message of the sender's would come to the other of a private room as any other."""
        relation = record.relation
        return relation is None or way(relation, sender, self._policy, self._now_ms()) == "open"

    def _is_news(self, user: str, seq: int) -> bool:
        """Whether the user has not been known to have read so far."""
        if seq <= self._reads.get(user, 0):
            return False
        self._reads.pop(user, None)
        self._reads[user] = seq
        if len(self._reads) > 2 * SMALL_ROOM:
            del self._reads[next(iter(self._reads))]
        return True

    def _tell_read(self, record: RoomRecord, user: str, seq: int, *, withheld: bool = False) -> bool:
        """Tell how far the user has read: those whom they let write, or with `withheld` themself alone. Whether the
        rules let others know of it."""
        relation = record.relation
        shared = _small(record) and (relation is None or tells_read(relation, user, self._policy, self._now_ms()))
        if shared and not withheld:
            sessions = self._live.seeing(record.room, seq, hides=record.hides)
        else:
            sessions = list(self._live.users.get(user, ()))
        if record.since:  # Of a private room, where one of the two sees nothing from before.
            sessions = [session for session in sessions if seq >= record.since.get(session.user, 1)]
        send_best_effort(sessions, replies.Read(room=record.room, sender=user, seq=seq))
        return shared

    def _type(self, record: RoomRecord, command: commands.Typing, every_s: float = TYPING_EVERY_S) -> bool:
        """Tell the others that the user types, if the rules let them know, and it was not told just now. Whether it was
        told."""
        user = command.user
        if not _small(record) or not self._open(record, user) or may_post(record, command, self._now_ms()):
            return False
        now = trio.current_time()
        if now - self._typed.get(user, -every_s) < every_s:
            return False
        self._typed[user] = now
        others = [session for session in self._live.listeners(record.room) if session.user != user]
        send_best_effort(others, replies.Typing(room=record.room, sender=user))
        return True


def has_seat(record: RoomRecord, user: str) -> bool:
    """An admin looks on without one."""
    return user in dm_users(record.room) if is_dm(record.room) else user in record.members


def _small(record: RoomRecord) -> bool:
    return len(record.members) <= SMALL_ROOM
