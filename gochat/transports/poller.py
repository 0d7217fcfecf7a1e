"""One task that reads all sockets which may be read past their streams.

trio's `wait_readable` arms a socket in the kernel anew for each read, and switches to its task and back. With one
message in flight a connection that was a third of all that a message cost. So sockets stay registered in an epoll of
our own, which trio watches as one file; whoever has something to read is called, and no task is switched to.
"""

from __future__ import annotations

import select
import socket
from typing import Any, NamedTuple, Protocol

import outcome
import trio


class SocketReader(Protocol):
    """Reads one socket."""

    def ready(self, now: float) -> bool:
        """There may be something to read; `now` is on the trio clock. True: enough, the watch is over."""


#: Sockets that are read between two checkpoints: some 10 us each, or far more where bursts come.
SLICE = 128


class _Watch(NamedTuple):
    reader: SocketReader
    task: trio.lowlevel.Task


class Poller:
    """`run` must be running. Where there is no epoll (it is Linux' own), each watch is a task's `wait_readable`."""

    def __init__(self, *, epoll: bool = hasattr(select, "epoll")) -> None:
        self._epoll = select.epoll() if epoll else None
        self._watches: dict[int, _Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    async def watch(self, handle: socket.socket, reader: SocketReader) -> None:
        """Have the reader called whenever there is something to read, until it says that this is enough. Exceptions
        of the reader are raised here. The reader must read: bytes that it leaves are told again."""
        if self._epoll is None:
            while True:
                await trio.lowlevel.wait_readable(handle)
                if reader.ready(trio.current_time()):
                    return
        watch = _Watch(reader, trio.lowlevel.current_task())
        # Kept by descriptor and not by socket: whoever closes the socket cancels the watch first.
        descriptor = handle.fileno()
        self._epoll.register(descriptor, select.EPOLLIN)
        self._watches[descriptor] = watch

        def abort(_: object) -> trio.lowlevel.Abort:
            self._forget(descriptor)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    async def run(self) -> None:
        """Call, for ever."""
        epoll = self._epoll
        if epoll is None:
            return
        while True:
            await trio.lowlevel.wait_readable(epoll.fileno())
            self._call(epoll.poll(0, SLICE))

    def _call(self, events: list[tuple[int, int]]) -> None:
        now = trio.current_time()
        watches = self._watches
        for descriptor, _ in events:
            watch = watches.get(descriptor)
            if watch is None:
                continue  # A reader that was called before ended it.
            result: outcome.Outcome[Any]
            try:
                if not watch.reader.ready(now):
                    continue
                result = outcome.Value(None)
            except Exception as error:  # noqa: BLE001 -- it is raised where the watch was asked for
                result = outcome.Error(error)
            if watches.get(descriptor) is watch:
                self._forget(descriptor)
                trio.lowlevel.reschedule(watch.task, result)
            del result  # An error holds this frame, which would hold the error.

    def _forget(self, descriptor: int) -> None:
        assert self._epoll is not None
        del self._watches[descriptor]
        self._epoll.unregister(descriptor)
