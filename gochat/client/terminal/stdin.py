"""Lines of a file descriptor, read in a thread: terminals, pipes and plain files alike.

A thread, because epoll takes no plain files, and making a terminal non-blocking makes it so for its other users, the
shell among them. `os.read`, because Python can't exit while a thread waits inside a buffered stdin.
"""

from __future__ import annotations

import os
import select
from collections import deque
from typing import Final, NamedTuple

import trio

from gochat.client.errors import ClientError

#: A line of more is no message: no server takes as much.
LINE_BYTES: Final = 1 << 20
#: A terminal in canonical mode passes on at most 4,095 bytes of a line and drops the rest (termios(3), "Canonical and
#: noncanonical mode"); a line of just so many may be the beginning of a longer one.
TERMINAL_BYTES: Final = 4_095
_CHUNK: Final = 65_536


def read(fd: int) -> bytes:
    """The next bytes of standard input, none at its end. It waits for them also where the file is set not to wait:
    another program that has it open may have done that. Raises ClientError where it can't be read."""
    while True:
        try:
            return os.read(fd, _CHUNK)
        except BlockingIOError:
            select.select([fd], [], [])
        except OSError as error:
            raise ClientError(f"standard input can't be read: {(error.strerror or 'failed').lower()}") from error


class Unreadable(NamedTuple):
    """A line that can't be taken as it was meant; `problem` says why, in words."""

    problem: str


class Lines:
    """The lines until the end of the file, without their ends; in their place an Unreadable for each that was cut or is
    not UTF-8: a part of it, or a guess, would be a message that nobody wrote. Raises ClientError where the file
    can't be read.

    When cancelled, the thread that waits for input is left behind.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._limit = TERMINAL_BYTES - 1 if os.isatty(fd) else LINE_BYTES
        self._partial = b""
        self._whole: deque[bytes | None] = deque()
        """None stands for a line that was dropped while it was read."""
        self._too_long = False
        """Whether the line that comes now is over the limit: the rest of it is dropped too."""
        self._ended = False

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> str | Unreadable:
        while not self._whole:
            if self._ended:
                raise StopAsyncIteration
            self._take(await trio.to_thread.run_sync(read, self._fd, abandon_on_cancel=True))
        return self._readable(self._whole.popleft())

    def _take(self, data: bytes) -> None:
        *whole, self._partial = (self._partial + data).split(b"\n")
        if whole and self._too_long:
            self._too_long, whole = False, whole[1:]
            self._whole.append(None)
        self._whole.extend(whole)
        self._ended = not data
        if len(self._partial) > LINE_BYTES:
            self._partial, self._too_long = b"", True
        if self._ended and (self._partial or self._too_long):
            self._whole.append(None if self._too_long else self._partial)

    def _readable(self, line: bytes | None) -> str | Unreadable:
        if line is None or len(line) > self._limit:
            if self._limit < LINE_BYTES:
                return Unreadable(
                    f"a terminal passes on {TERMINAL_BYTES:,} bytes of a line at most, and this one has as many: it may"
                    " be cut. Send it in parts, or from a file with `gochat send`"
                )
            return Unreadable(f"a line of more than {LINE_BYTES:,} bytes is no message")
        try:
            return line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            return Unreadable(f"byte {error.start + 1} of the line is not UTF-8; `iconv -t UTF-8` converts text")
