"""The events that a room passes on without recording them: reads, typing, and what devices have got."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gochat.actors.delivery_receipts import DeliveryReceipts, RecordNow, StartTask
from gochat.actors.ephemeral import EphemeralEvents, has_seat
from gochat.actors.messages import Submit
from gochat.actors.room_context import RoomContext
from gochat.domain import commands
from gochat.domain.record import RoomRecord
from gochat.domain.turn import Done, Outcome

log = logging.getLogger(__name__)


class RoomEvents:
    """Those of one room."""

    __slots__ = ("_ephemeral", "_receipts")

    def __init__(self, context: RoomContext, record: RecordNow, start: StartTask) -> None:
        self._ephemeral = EphemeralEvents(context)
        self._receipts = DeliveryReceipts(context, record, start)

    def pass_on(self, record: RoomRecord, batch: Sequence[Submit], outcomes: Sequence[Outcome]) -> None:
        """Those of a batch, as far as their users have a seat in the room. A fault of one is logged, and costs no
        other."""
        for mail, outcome in zip(batch, outcomes, strict=True):
            command = mail.command
            if isinstance(outcome, Done) and isinstance(command, commands.EPHEMERAL):
                try:
                    if has_seat(record, command.user):
                        self._take(record, command)
                except Exception:
                    log.exception("%s: an event could not be passed on", record.room)

    def hear(self, record: RoomRecord, command: commands.AnyEphemeral, *, withheld: bool) -> None:
        """Pass on what another node took, as far as its user has a seat in the room here. A fault is logged."""
        try:
            if not has_seat(record, command.user):
                return
            if isinstance(command, commands.Got):
                self._receipts.hear(record, command.user, min(command.seq, record.head))
            else:
                self._ephemeral.hear(record, command, withheld=withheld)
        except Exception:
            log.exception("%s: an event of another node could not be passed on", record.room)

    def _take(self, record: RoomRecord, command: commands.AnyEphemeral) -> None:
        if isinstance(command, commands.Got):
            self._receipts.take(record, command.user, min(command.seq, record.head))
        else:
            self._ephemeral.take(record, command)
