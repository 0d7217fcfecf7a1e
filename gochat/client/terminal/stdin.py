"""Lines of a file descriptor, read in a thread: terminals, pipes and plain files alike.

A thread, because epoll takes no plain files, and making a terminal non-blocking makes it so for its other users, the
shell among them. `os.read`, because Python can't exit while a thread waits inside a buffered stdin.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Final

import trio

#: A line is cut here; no server takes as much in one message.
LINE_BYTES: Final = 1 << 20
_CHUNK: Final = 65_536


async def lines(fd: int) -> AsyncIterator[str]:
    """The lines until the end of the file, without their ends. What is not UTF-8 becomes U+FFFD.

    When cancelled, the thread that waits for input is left behind.
    """
    partial = b""
    while data := await trio.to_thread.run_sync(os.read, fd, _CHUNK, abandon_on_cancel=True):
        *whole, partial = (partial + data).split(b"\n")
        for line in whole:
            yield _text(line)
        if len(partial) > LINE_BYTES:
            yield _text(partial)
            partial = b""
    if partial:
        yield _text(partial)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
