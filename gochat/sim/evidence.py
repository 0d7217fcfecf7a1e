"""The traces of a chat, as its clients saw them: what the checker judges."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Fact(NamedTuple):
    """A fact as a client saw it, live or on a page."""

    seq: int
    kind: str
    sender: str
    key: str | None = None
    body: str | None = None
    users: tuple[str, ...] = ()
    change: str = ""
    target: int = 0
    shown_late: bool = False
    """Whether it was shown as it is since an edit or a deletion."""
    ts: int = 0

    @property
    def message(self) -> bool:
        return self.kind == "message"

    def names(self, user: str, *changes: str) -> bool:
        """Whether it makes one of these changes to the user's membership."""
        return self.change in changes and user in self.users


class Name(NamedTuple):
    """The name of a message for ever: one key of one sender in one room."""

    room: str
    sender: str
    key: str


class Asked(msgspec.Struct, eq=False):
    """A request of a client, over all connections that it was sent on."""

    client: str
    user: str
    frame: dict[str, Any]
    at: float
    """When it was first sent; of a reading, when it was sent last."""
    tries: int = 0
    connection: int = 0
    """The last one that it was sent on."""
    maybe_before: bool = False
    """Whether an earlier try may have been carried out although another answer came."""
    reply: dict[str, Any] | None = None
    answered_at: float = 0.0

    @property
    def kind(self) -> str:
        kind: str = self.frame["type"]
        return kind

    @property
    def succeeded(self) -> bool:
        return self.reply is not None and self.reply["type"] != "error"

    @property
    def refused(self) -> bool:
        """Whether it was certainly not carried out."""
        return self.reply is not None and self.reply["type"] == "error" and not self.maybe_before


class Look(NamedTuple):
    """A reading of a room that told its head."""

    client: str
    user: str
    room: str
    asked_at: float
    at: float
    head: int
    follows: bool = True
    """Whether it must show everything that anybody had been told before it was asked for, on whichever node."""
    connection: int = 0
    """That it was read on."""


class Evidence(msgspec.Struct):
    """All that the clients know. Rooms are named by their ids; times are of one clock."""

    sent: dict[Name, str] = {}
    """Every message that was handed to a socket, with its body."""
    acks: list[tuple[Name, int]] = []
    """Every ack that was read, repeats too, with its seq."""
    sent_once: dict[str, tuple[str, str]] = {}
    """Messages without a key: by body, which no two share, the room and the sender."""
    given_up: set[Name] = set()
    """Messages whose sender stopped asking before an ack came: in the history once, or not at all."""
    history: dict[str, list[Fact]] = {}
    """Each room's log, paged from the end state."""
    heard: dict[str, dict[str, list[Fact]]] = {}
    """By reader and room, in the order of arrival over all of the reader's connections. A reader starts at seq 1, or
    with the fact that let it into a group; what it paged after a `lag` stands where the gap was."""
    complaints: list[str] = []
    """Faults that a client itself saw, a `reset` for example."""
    # The following are kept where membership and time are to be judged too.
    users: dict[str, str] = {}
    """The readers' users."""
    hearings: dict[str, dict[str, list[tuple[int, float]]]] = {}
    """By reader and room, for each fact in `heard` the connection that it came on, and when."""
    asked: list[Asked] = []
    looks: list[Look] = []
    # And these where nodes of a cluster come and go.
    served: dict[tuple[str, int], str] = {}
    """The node of each connection, by reader and connection."""
    gone: set[str] = set()
    """Nodes that were given up together with what they alone had recorded."""
    left: set[str] = set()
    """Nodes that had stopped in order, and for which clients had to start anew all the same. Another node had all that
    they told; if that one is `gone`, they are, too."""
    begins: dict[tuple[str, str], int] = {}
    """By reader and room: where the reader had to start anew at, the seq after which `heard` begins."""
    before_resets: list[tuple[str, str, int, Fact]] = []
    """The facts that readers had heard before that: reader, room, connection, and the fact."""
    resets: list[tuple[str, str, str | None, str]] = []
    """Each time: reader, room, the epoch that it knew, and the one that it was told."""

    def is_void(self, asked: Asked) -> bool:
        """Whether a node answered it that was given up."""
        return bool(self.gone) and self.served.get((asked.client, asked.connection)) in self.gone
