"""The events that a room passes on without recording them: reads, typing, and what devices have got."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from gochat.actors.delivery_receipts import DeliveryReceipts, RecordNow, StartTask
from gochat.actors.messages import Submit
from gochat.actors.read_receipts import ReadReceipts
from gochat.actors.room_context import RoomContext
from gochat.actors.typing_events import TypingEvents
from gochat.domain import commands
from gochat.domain.receipts import has_seat
from gochat.domain.record import RoomRecord
from gochat.domain.turn import Done, Outcome

log = logging.getLogger(__name__)


class RoomEvents:
    """Those of one room."""

    __slots__ = ("_got", "_reads", "_typing")

    def __init__(self, context: RoomContext, record: RecordNow, start: StartTask) -> None:
        self._reads = ReadReceipts(context, record, start)
        self._got = DeliveryReceipts(context, record, start)
        self._typing = TypingEvents(context)

    def pass_on(self, record: RoomRecord, batch: Sequence[Submit], outcomes: Sequence[Outcome]) -> None:
        """Those of a batch, as far as their users have a seat in the room; of each user's reads the highest. A fault of
        one is logged, and costs no other."""
        events = list(_events(batch, outcomes))
        highest = _highest_reads(events) if len(events) > 1 else None
        for command in events:
            if highest is not None and isinstance(command, commands.Read) and highest[command.user] is not command:
                continue
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
                self._got.hear(record, command.user, min(command.seq, record.head))
            elif isinstance(command, commands.Read):
                self._reads.hear(record, command.user, min(command.seq, record.head), withheld=withheld)
            else:
                self._typing.hear(record, command, withheld=withheld)
        except Exception:
            log.exception("%s: an event of another node could not be passed on", record.room)

    def _take(self, record: RoomRecord, command: commands.AnyEphemeral) -> None:
        if isinstance(command, commands.Got):
            self._got.take(record, command.user, min(command.seq, record.head))
        elif isinstance(command, commands.Read):
            self._reads.take(record, command.user, min(command.seq, record.head))
        else:
            self._typing.take(record, command)


def _events(batch: Sequence[Submit], outcomes: Sequence[Outcome]) -> Iterator[commands.AnyEphemeral]:
    for mail, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, Done) and isinstance(mail.command, commands.EPHEMERAL):
            yield mail.command


def _highest_reads(events: Sequence[commands.AnyEphemeral]) -> dict[str, commands.Read]:
    """Of each user."""
    highest: dict[str, commands.Read] = {}
    for command in events:
        if isinstance(command, commands.Read):
            known = highest.get(command.user)
            if known is None or command.seq > known.seq:
                highest[command.user] = command
    return highest
