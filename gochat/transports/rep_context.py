"""One context of a REP socket: a request, then its reply, again and again.

pynng allocates an operation for each step, waits for one of nng's threads after it, and leaks the message of a send
that is cancelled. Here a context has its two operations for good. A reply that nng takes at once, as it nearly always
does, wakes nobody; one that it does not take is looked at from time to time, and freed where it is given up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

import pynng
import trio
from pynng import ffi, lib
from pynng._aio import _aio_map

#: Between two looks at a reply that the peer's connection has no space for.
MIN_LOOK_S: Final = 0.001
MAX_LOOK_S: Final = 0.05


class RepContext:
    """For one task. To be closed before its socket."""

    __slots__ = (
        "_context",
        "_key",
        "_message",
        "_raise_cancel",
        "_receiving",
        "_resume",
        "_sending",
        "_task",
        "_token",
    )

    def __init__(self, server: pynng.Rep0) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._task: Any = None
        self._raise_cancel: Callable[[], NoReturn] | None = None
        self._resume = self._completed
        self._key = id(self._resume)
        self._context = ffi.new("nng_ctx *")
        self._message = ffi.new("nng_msg **")
        pynng.check_err(lib.nng_ctx_open(self._context, server.socket))
        self._receiving = _operation(lib._async_complete, ffi.cast("void *", self._key))
        self._sending = _operation(ffi.NULL, ffi.NULL)

    async def receive(self) -> tuple[bytes, Any]:
        """The next request, and nng's pipe that it came by. Raises pynng.NNGException, such as Closed."""
        _aio_map[self._key] = self._resume
        lib.nng_ctx_recv(self._context[0], self._receiving)
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)
        error = lib.nng_aio_result(self._receiving)
        if error:
            if error == lib.NNG_ECANCELED and self._raise_cancel is not None:
                self._raise_cancel()
            pynng.check_err(error)
        self._raise_cancel = None
        message = lib.nng_aio_get_msg(self._receiving)
        try:
            request = bytes(ffi.buffer(lib.nng_msg_body(message), lib.nng_msg_len(message)))
            return request, lib.nng_msg_get_pipe(message)
        finally:
            lib.nng_msg_free(message)

    async def send(self, reply: bytes, patience_s: float) -> bool:
        """Reply to the latest request. False if the peer had no space for it in time; then it is dropped. A peer that
        is gone is no error."""
        pynng.check_err(lib.nng_msg_alloc(self._message, 0))
        message = self._message[0]
        pynng.check_err(lib.nng_msg_append(message, reply, len(reply)))
        lib.nng_aio_set_msg(self._sending, message)
        lib.nng_ctx_send(self._context[0], self._sending)
        taken = not lib.nng_aio_busy(self._sending)
        try:
            if not taken:
                taken = await self._taken(patience_s)
        finally:
            if not taken:
                lib.nng_aio_cancel(self._sending)
                lib.nng_aio_wait(self._sending)
            if lib.nng_aio_result(self._sending):
                lib.nng_msg_free(lib.nng_aio_get_msg(self._sending))  # nng has given it back.
        return taken

    def close(self) -> None:
        lib.nng_ctx_close(self._context[0])
        lib.nng_aio_free(self._receiving)
        lib.nng_aio_free(self._sending)

    async def _taken(self, patience_s: float) -> bool:
        look_s = MIN_LOOK_S
        with trio.move_on_after(patience_s):
            while lib.nng_aio_busy(self._sending):
                await trio.sleep(look_s)
                look_s = min(2 * look_s, MAX_LOOK_S)
            return True
        return False

    def _abort(self, raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
        # nng tells the end of a cancelled operation as it tells any other.
        self._raise_cancel = raise_cancel
        lib.nng_aio_cancel(self._receiving)
        return trio.lowlevel.Abort.FAILED

    def _completed(self) -> None:
        """In one of nng's threads."""
        try:
            self._token.run_sync_soon(self._wake)
        except trio.RunFinishedError:
            pass  # The task that waited has ended with the loop.

    def _wake(self) -> None:
        trio.lowlevel.reschedule(self._task)


def _operation(callback: Any, argument: Any) -> Any:
    pointer = ffi.new("nng_aio **")
    pynng.check_err(lib.nng_aio_alloc(pointer, callback, argument))
    return pointer[0]
