"""The one byte stream that every member of a room must get, and how far each member has it.

Whoever is ahead writes the tape; all others are compared with it, byte for byte; what is written is read frame by
frame: seqs dense, no repeats, each body its own. So a message that is lost, repeated or swapped shows, whether
for one member or for all, and costs one memcmp a read where all is well.
"""

from __future__ import annotations

from bench.faults import Fault
from bench.load.frames import Log, decode, describe
from bench.load.wire import Splitter


class Tape:
    """Grows by what the members get, about 1 MB for 5,000 messages, and is kept whole: a run is a matter of seconds."""

    __slots__ = ("_log", "_news", "_rest", "_split", "bytes")

    def __init__(self, split: Splitter, log: Log) -> None:
        self.bytes = bytearray()
        """Callers on the hot path compare with `bytes.startswith(piece, at)`, and call `take` where it says no."""
        self._split = split
        self._log = log
        self._rest = b""
        self._news: list[bytes] = []

    @property
    def messages(self) -> int:
        """Whole messages on the tape; all of them checked."""
        return self._log.seen

    @property
    def whole(self) -> int:
        """The offset at which the last whole message ends."""
        return len(self.bytes) - len(self._rest)

    def passed_by(self, back: int) -> int:
        """An offset by which a message is over that came with the last growth: 0 is the last of them, 1 the one before.
        Where another follows it is the begin of that one's payload."""
        return self.bytes.rindex(self._news[-back]) if back else self.whole

    def take(self, who: str, at: int, piece: bytes) -> bool:
        """`who` got `piece` at offset `at`. True if the tape grew by it. Raises Fault if it is not what must come."""
        known = piece[: len(self.bytes) - at]
        if not self.bytes.startswith(known, at):
            raise Fault(f"{who}: {self._difference(at, piece)}")
        new = piece[len(known) :]
        if not new:
            return False
        self.bytes += new
        try:
            payloads, used = self._split(self._rest + new)
        except Fault as fault:
            raise Fault(f"{who}: {fault}") from None
        self._rest = (self._rest + new)[used:]
        for payload in payloads:
            self._log.check(decode(payload, who), who)
        self._news = payloads
        return bool(payloads)

    def _difference(self, at: int, piece: bytes) -> str:
        """The frame that the member should have got where its stream leaves the tape's, and the one it got."""
        got = bytes(self.bytes[:at]) + piece
        same = next(i for i in range(at, len(got)) if got[i] != self.bytes[i])
        _, start = self._split(got[:same])
        return f"expected {self._first(bytes(self.bytes[start:]))}, got {self._first(got[start:])}"

    def _first(self, data: bytes) -> str:
        try:
            payloads, _ = self._split(data)
            return describe(decode(payloads[0], "the frame")) if payloads else f"{data[:80]!r}"
        except Fault as fault:
            return str(fault)
