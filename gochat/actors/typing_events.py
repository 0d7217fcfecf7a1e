"""Users type: a room passes it on without a seq, and it may be lost."""

from __future__ import annotations

import trio

from gochat.actors.room_context import RoomContext
from gochat.actors.subscriber import send_best_effort
from gochat.domain import commands
from gochat.domain.draft import may_post
from gochat.domain.receipts import is_small
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import way
from gochat.protocol import replies

TYPING_EVERY_S = 3.0
#: The same for what comes from other nodes, which have kept to it: on the way the time between two may become shorter.
HEARD_EVERY_S = 2.0


class TypingEvents:
    """One room's memory of them: when users typed last."""

    __slots__ = ("_live", "_now_ms", "_policy", "_typed")

    def __init__(self, context: RoomContext) -> None:
        self._live = context.live
        self._now_ms = context.clock.now_ms
        self._policy = context.rules.contacts
        self._typed: dict[str, float] = {}

    def take(self, record: RoomRecord, command: commands.Typing) -> None:
        """The command's user has a seat in the room."""
        if self._tell(record, command, TYPING_EVERY_S) and self._live.ephemera is not None:
            self._live.ephemera.tell(command)

    def hear(self, record: RoomRecord, command: commands.Typing, *, withheld: bool) -> None:
        """The same of a command that another node took. The rules are asked here once more: others are told only where
        both nodes let them be."""
        if not withheld:
            self._tell(record, command, HEARD_EVERY_S)

    def _tell(self, record: RoomRecord, command: commands.Typing, every_s: float) -> bool:
        """Tell the others that the user types, if the rules let them know, and it was not told just now. Whether it was
        told."""
        user = command.user
        if not is_small(record) or not self._open(record, user) or may_post(record, command, self._now_ms()):
            return False
        now = trio.current_time()
        if now - self._typed.get(user, -every_s) < every_s:
            return False
        self._typed[user] = now
        others = [session for session in self._live.listeners(record.room) if session.user != user]
        send_best_effort(others, replies.Typing(room=record.room, sender=user))
        return True

    def _open(self, record: RoomRecord, sender: str) -> bool:
        """Whether a message of the sender's would come to the other of a private room as any other."""
        relation = record.relation
        return relation is None or way(relation, sender, self._policy, self._now_ms()) == "open"
