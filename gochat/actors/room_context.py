"""The parts that all rooms of a node share."""

from __future__ import annotations

from typing import NamedTuple

from gochat.actors.live import Live
from gochat.actors.observer import Observer
from gochat.actors.relations import Names
from gochat.domain.draft import RecentKeys, RoomRules
from gochat.domain.jumps import Jumps
from gochat.ports.journal import Journal
from gochat.ports.lookups import Lookups


class RoomContext(NamedTuple):
    journal: Journal
    lookups: Lookups
    live: Live
    rules: RoomRules
    clock: Jumps
    """The wall clock, and whether it has been set."""
    mailbox: int
    """How much mail may wait for a room."""
    keys: RecentKeys
    """Shared, so that its bound holds for the node however many rooms there are."""
    adds_by_contacts: bool = False
    """Whether users are added to groups only by their contacts."""
    names: Names | None = None
    """Shown names, as the archive has them; without it the ids are told."""
    observers: tuple[Observer, ...] = ()
    """Hear of each recorded batch, in this order, after the askers and the listeners."""
    shared: bool = False
    """Whether other nodes decide in these rooms, too."""
