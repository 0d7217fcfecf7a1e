"""The few fields of the server's frames that the load looks at, and the messages that it sends."""

from __future__ import annotations

import msgspec

from bench.faults import Fault
from bench.rulebook import Sentences

#: Events that are not facts and may come at any time.
NO_FACTS = frozenset(("read", "got", "typing", "presence", "contact", "ping"))


class Seen(msgspec.Struct, gc=False):
    """Any server frame; fields of other frames are skipped by the decoder."""

    type: str
    id: int | None = None
    room: str = ""
    seq: int = 0
    sender: str = msgspec.field(name="from", default="")
    body: str = ""
    code: str = ""
    message: str = ""
    head: int = 0


class Place(msgspec.Struct, gc=False):
    """A room in a `welcome`."""

    room: str
    head: int = 0
    epoch: str = ""


class Welcome(msgspec.Struct):
    """The user's rooms, as a sign-in tells of them."""

    type: str
    contacts: list[Place] = []
    rooms: list[Place] = []
    epoch: str = ""
    code: str = ""
    message: str = ""


class Page(msgspec.Struct, gc=False):
    """The answer to `history`."""

    type: str
    room: str = ""
    head: int = 0
    complete: bool = True
    entries: list[Seen] = []


class Results(msgspec.Struct, gc=False):
    """The answer to `search`."""

    type: str
    entries: list[Seen] = []


_results = msgspec.json.Decoder(Results)
_pages = msgspec.json.Decoder(Page)
_decoder = msgspec.json.Decoder(Seen)
_welcome = msgspec.json.Decoder(Welcome)


def decode(payload: bytes, who: str) -> Seen:
    try:
        return _decoder.decode(payload)
    except msgspec.DecodeError as error:
        raise Fault(f"{who}: not a frame ({error}): {payload[:120]!r}") from None


def decode_welcome(payload: bytes, who: str) -> Welcome:
    try:
        welcome = _welcome.decode(payload)
    except msgspec.DecodeError as error:
        raise Fault(f"{who}: not a welcome ({error}): {payload[:120]!r}") from None
    if welcome.type != "welcome":
        raise Fault(f"{who}: {welcome.type} instead of welcome: {welcome.code} {welcome.message}".rstrip())
    return welcome


def read_page(payload: bytes, who: str) -> Page:
    try:
        return _pages.decode(payload)
    except msgspec.DecodeError as error:
        raise Fault(f"{who}: not a page ({error}): {payload[:120]!r}") from None


def read_results(payload: bytes, who: str) -> Results:
    try:
        return _results.decode(payload)
    except msgspec.DecodeError as error:
        raise Fault(f"{who}: no results ({error}): {payload[:120]!r}") from None


class Bodies:
    """Bodies of one size; each begins with its message's number, so that a swapped body shows."""

    __slots__ = ("_filler",)

    def __init__(self, size: int) -> None:
        if size < 16:
            raise ValueError("a body needs at least 16 characters: 8 are its number")
        # The number stands apart, as numbers do in what people write: glued to a word it would be read as a disguise.
        self._filler = (" The quick brown fox jumps over the lazy dog and" * (size // 48 + 1))[: size - 9] + "."

    def __getitem__(self, number: int) -> str:
        return f"{number:08d}{self._filler}"

    def json(self, number: int) -> str:
        """As it stands between the quotes of a JSON string."""
        return self[number]


class Log:
    """The facts of one room with one writer, as one reader must see them: message n has seq `base` + n, comes once
    and in order."""

    __slots__ = ("_base", "_bodies", "_sender", "room", "seen")

    def __init__(self, room: str, sender: str, base: int, bodies: Bodies | Sentences) -> None:
        self.room = room
        self._sender = sender
        self._base = base
        self._bodies = bodies
        self.seen = 0

    def seq(self, number: int) -> int:
        return self._base + number

    def check(self, frame: Seen, who: str) -> None:
        """Take the next fact. Raises Fault unless it is the one that must come now."""
        number = self.seen + 1
        if frame.type != "message" or frame.room != self.room:
            raise Fault(f"{who}: {self.expected()} expected, got {describe(frame)}")
        if frame.seq != self._base + number:
            what = "lost or swapped" if frame.seq > self._base + number else "repeated or swapped"
            raise Fault(f"{who}: {self.expected()} expected, got {describe(frame)}: {what}")
        if frame.body != self._bodies[number] or frame.sender != self._sender:
            raise Fault(f"{who}: seq {frame.seq} has another message's body or sender: {describe(frame)}")
        self.seen = number

    def expected(self) -> str:
        return f"seq {self._base + self.seen + 1} of {self.room}"


def describe(frame: Seen) -> str:
    """The frame in a few words, for a Fault."""
    if frame.type == "error":
        return f"error {frame.code}: {frame.message}"
    return f"{frame.type} {frame.room} seq {frame.seq} {frame.body[:12]!r}".strip()
