"""A receiver of webhooks that takes everything, in a process of its own; for what notifications cost the node.

Blocking sockets and threads, which yield to the load wherever both share a core. Signatures are not verified here.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_uint64
from typing import Any

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """Counts what it was told."""

    def __init__(self, port: int, count: Any) -> None:
        self.port = port
        self._count = count

    @property
    def received(self) -> int:
        return int(self._count.value)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for as long as the block lasts."""
    context = multiprocessing.get_context("fork")
    count = context.Value(c_uint64)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = context.Process(target=_serve, args=(listener, count), daemon=True)
        process.start()
        try:
            yield Receiver(listener.getsockname()[1], count)
        finally:
            process.terminate()
            process.join()


def _serve(listener: socket.socket, count: Any) -> None:
    os.nice(10)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_converse, args=(connection, count), daemon=True).start()


def _converse(connection: socket.socket, count: Any) -> None:
    with connection, connection.makefile("rb") as stream:
        try:
            while stream.readline():
                size = 0
                while (line := stream.readline()) != b"\r\n":
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        size = int(value)
                stream.read(size)
                with count.get_lock():
                    count.value += 1
                connection.sendall(_ANSWER)
        except OSError:
            return  # The server has closed: so be it.
