"""The ports by which a node hears of the users of other nodes: who is online, and events that are not recorded."""

from __future__ import annotations

from typing import Protocol

from gochat.domain.commands import AnyEphemeral


class Presence(Protocol):
    """The users who are online, with sessions on any node. Nothing here waits. Two users who may not see each
    other's presence are the caller's to keep apart: this tells everything."""

    def came(self, user: str) -> bool:
        """The user's first session on this node has begun. Whether the user was online nowhere until then, so that
        those who watch them are to be told."""

    def went(self, user: str) -> bool:
        """The user's last session on this node has ended. Whether the user is online nowhere now, so that those who
        watch them are to be told, and the time last seen noted."""

    def is_online(self, user: str) -> bool:
        """Whether the user has a session on any node."""

    def entered(self, session: str, user: str, device: str | None) -> None:
        """A session of that id has begun on this node, as the user's newest on any. Sessions of the same device on
        other nodes give way to it, and so do the oldest beyond the limit; those of this node are the caller's to end.
        """

    def left(self, session: str) -> None:
        """The session has ended. Does nothing where it never entered, or has left."""

    def count(self, user: str) -> int:
        """How many sessions the user has on all nodes."""


class Ephemera(Protocol):
    """The way of events that are not recorded to the other nodes of a cluster. They may be lost, and are told there
    under the rules that hold there at that moment."""

    def tell(self, event: AnyEphemeral, *, withheld: bool = False) -> None:
        """Have the other nodes hear of it soon. Never waits; what is too much is dropped. `withheld`: nobody but the
        user themself is to be told."""
