"""A timer that epoll can wait for. The timeout of epoll itself is in whole milliseconds, which an open loop would add
to every latency, or would have to spend awake."""

from __future__ import annotations

import ctypes
import os
import time

_libc = ctypes.CDLL(None, use_errno=True)
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_LEAST_NS = 1000


class _Spec(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


class Timer:
    """timerfd_create(2). Its descriptor becomes readable at the time that was set last."""

    __slots__ = ("_set_for", "fd")

    def __init__(self) -> None:
        self.fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._set_for: int | None = None

    def set(self, when: int | None, now: int) -> None:
        """Fire at `when`, on the clock of `now`, in nanoseconds; None: not."""
        if when == self._set_for:
            return
        self._set_for = when
        left = 0 if when is None else max(_LEAST_NS, when - now)
        spec = _Spec(0, 0, left // 1_000_000_000, left % 1_000_000_000)
        _libc.timerfd_settime(self.fd, 0, ctypes.byref(spec), None)

    def fired(self) -> None:
        """Take the event, so that the descriptor is readable no more."""
        self._set_for = None
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            pass  # It was set anew after epoll told of it, and has not fired since.

    def close(self) -> None:
        os.close(self.fd)
