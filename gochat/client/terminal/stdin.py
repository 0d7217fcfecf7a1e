"""Lines of a file descriptor, read in a thread: terminals, pipes and plain files alike.

A thread, because epoll takes no plain files, and making a terminal non-blocking makes it so for its other users, the
shell among them. `os.read`, because Python can't exit while a thread waits inside a buffered stdin.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Final

import trio

#: A line is cut here; no server takes as much in one message.
LINE_BYTES: Final = 1 << 20
_CHUNK: Final = 65_536


class Lines:
    """The lines until the end of the file, without their ends. What is not UTF-8 becomes U+FFFD.

    When cancelled, the thread that waits for input is left behind.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._partial = b""
        self._whole: deque[bytes] = deque()
        self._ended = False

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> str:
        while not self._whole:
            if self._ended:
                raise StopAsyncIteration
            self._take(await trio.to_thread.run_sync(os.read, self._fd, _CHUNK, abandon_on_cancel=True))
        return self._whole.popleft().removesuffix(b"\r").decode(errors="replace")

    def _take(self, data: bytes) -> None:
        *whole, self._partial = (self._partial + data).split(b"\n")
        self._whole.extend(whole)
        self._ended = not data
        if len(self._partial) > LINE_BYTES or (self._ended and self._partial):
            self._whole.append(self._partial)
            self._partial = b""
