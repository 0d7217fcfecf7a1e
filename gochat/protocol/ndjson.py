"""Lines out of a byte stream: one frame a line, `\\n` or `\\r\\n` at its end, empty lines ignored.

Bytes in, lines out, no I/O. A line is bounded before it is whole: what an endless line costs is the limit.
"""

from __future__ import annotations

from gochat.errors import GochatError


class TooLarge(GochatError):
    """A line is longer than the limit. The reader must not be fed again; the caller closes with 4504.

    `lines` came whole before it, in the same chunk: they are still to be carried out.
    """

    def __init__(self, limit: int, lines: list[bytes]) -> None:
        super().__init__(f"a line is longer than {limit} bytes")
        self.lines = lines


class LineReader:
    """Splits what a peer sends into lines of at most `limit` bytes, not counting the line's end; the first line, which
    signs in, may have `first_limit`.

    However the stream is cut into chunks, the lines are the same.
    """

    __slots__ = ("_limit", "_partial", "_rest_limit")

    def __init__(self, limit: int, first_limit: int = 0) -> None:
        self._limit = max(limit, first_limit)
        self._rest_limit = limit
        self._partial: bytearray | None = None

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun that has not ended."""
        return self._partial is not None

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends. Raises TooLarge."""
        partial = self._partial
        if partial is not None:
            end = data.find(b"\n")
            if end < 0:
                partial += data
                self._check_partial(partial, [])
                return []
            partial += data[: end + 1]
            data = bytes(partial) + data[end + 1 :]
            self._partial = None
        lines = data.split(b"\n")
        rest = lines.pop()
        if b"\r" in data:
            lines = [line.removesuffix(b"\r") for line in lines]
        if len(data) > self._rest_limit:
            self._check_lines(lines)
        lines = [line for line in lines if line]
        if lines:
            self._limit = self._rest_limit
        if rest:
            self._partial = bytearray(rest)
            self._check_partial(self._partial, lines)
        return lines

    def _check_lines(self, lines: list[bytes]) -> None:
        limit = self._limit
        for number, line in enumerate(lines):
            if len(line) > limit:
                raise TooLarge(limit, [line for line in lines[:number] if line])
            if line:
                limit = self._rest_limit

    def _check_partial(self, partial: bytearray, lines: list[bytes]) -> None:
        over = len(partial) - self._limit
        # One byte more is allowed while it may be the first half of `\r\n`.
        if over > 1 or (over == 1 and not partial.endswith(b"\r")):
            self._partial = None
            raise TooLarge(self._limit, lines)
