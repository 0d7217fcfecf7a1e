"""Batches and events of other nodes for a room that is still to be loaded, in order and within bounds."""

from __future__ import annotations

from typing import Final

from gochat.domain.commands import AnyEphemeral
from gochat.ports.journal import ForeignBatch

#: Events of other nodes that wait for a room to be loaded; further ones are lost.
MOST_EVENTS: Final = 100


class ForeignBacklog:
    """Something that waits for the room: its being there makes the room load. Batches are bounded by the room."""

    __slots__ = ("batches", "events")

    def __init__(self) -> None:
        self.batches: list[ForeignBatch] = []
        self.events: list[tuple[AnyEphemeral, bool]] = []
        """Each with whether it is withheld from all but its user."""

    @property
    def begin(self) -> int | None:
        """The seq before the first fact; None where there is none."""
        return next((batch.facts[0].seq - 1 for batch in self.batches if batch.facts), None)

    @property
    def end(self) -> int:
        """The seq of the last fact; -1 where there is none."""
        return max((batch.facts[-1].seq for batch in self.batches if batch.facts), default=-1)

    def add_event(self, event: AnyEphemeral, *, withheld: bool) -> None:
        """Never raises; with too many of them the event is lost."""
        if len(self.events) < MOST_EVENTS:
            self.events.append((event, withheld))
