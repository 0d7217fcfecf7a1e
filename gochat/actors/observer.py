"""Parts of the node that hear of each batch once it is recorded, such as a notifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gochat.domain.facts import AnyFact
from gochat.domain.record import RoomRecord
from gochat.ports.journal import ForeignBatch


class Observer(Protocol):
    """Given to every room by `RoomContext.observers`.

    For each batch a room tells, in this order: the askers their replies, the listeners the facts, and then the
    observers in the order of the tuple.
    """

    def recorded(self, room: str, record: RoomRecord, facts: Sequence[AnyFact], commit: int) -> None:
        """The batch is durable: it survives power loss.

        `record` is the room at the last of the facts: its members, its relation. `facts` are ascending, without a gap
        to the batch before; they are empty where only side records (a contact, a report) were recorded. `commit` is the
        number of the transaction. Of a private room, the facts include those that are withheld from the user who has
        been asked and has not answered: `record.relation.withheld` is that user, after the batch.

        Called in the loop's thread between a message and the next, so it must neither wait nor take longer than some
        microseconds: note what is to be done and do it elsewhere. It must not change what it is given, nor tell this
        room anything at once. An exception is logged and costs neither the room nor the other observers anything; the
        batch is not told again. After a crash or a failed commit it may happen that a recorded batch is never told:
        an observer that must miss nothing reads the store when it starts.
        """

    def recorded_unheard(self, batch: ForeignBatch) -> None:
        """The same of a batch that another node decided, in a room that is not in memory here and that nobody here
        listens to: the room is not loaded for it. The batch has no side records, and changes neither the members nor
        the settings nor the relation."""
