"""Takes chance out of a run: the scheduler's order, random numbers, clocks and threads all follow from the seed.

Parts of gochat ask the standard library for the time and for chance, as they should. While a run lasts these functions
of the process answer from the run; it must therefore be the only thing that the process does.
"""

from __future__ import annotations

import gc
import logging
import math
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableSequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from heapq import heappop, heappush
from itertools import count
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar

import trio
import trio._core._run as scheduler
from trio.testing import MockClock

import gochat.node

T = TypeVar("T")

#: The wall clock at the begin of each run: 2026-01-01, in nanoseconds.
BEGIN_NS: Final = 1_767_225_600_000_000_000


class Machine(Protocol):
    """The machine that a task runs on."""

    name: str
    alive: bool
    """Whether it still has power. The tasks of a machine without power may run on for a moment, unseen by anybody."""
    skew_ns: int
    """How far its wall clock is off."""


#: None in tasks of the simulation itself.
MACHINE: ContextVar[Machine | None] = ContextVar("machine", default=None)


def now_s() -> float:
    """Seconds since the run began."""
    try:
        return trio.current_time()
    except RuntimeError:
        return 0.0  # The run has not begun, or is over.


def _steady_ns(*_: object) -> int:
    return round(now_s() * 1e9)


def steady_ms() -> int:
    """The wall clock of a machine that is never off."""
    return (BEGIN_NS + _steady_ns()) // 1_000_000


def _wall_ns() -> int:
    machine = MACHINE.get()
    return BEGIN_NS + _steady_ns() + (machine.skew_ns if machine is not None else 0)


class _Timers:
    """Tasks that sleep on a clock that jumps from one event to the next: a trio.CancelScope each would cost a run a
    tenth of its time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, list[trio.lowlevel.Task]]] = []
        self._order = count()

    async def sleep_until(self, at: float) -> None:
        sleeper = [trio.lowlevel.current_task()]
        heappush(self._heap, (at, next(self._order), sleeper))

        def abort(_: object) -> trio.lowlevel.Abort:
            sleeper.clear()
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def next(self) -> float:
        """When the first is to be woken."""
        while self._heap and not self._heap[0][2]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def wake(self, now: float) -> None:
        while self.next() <= now:
            trio.lowlevel.reschedule(heappop(self._heap)[2][0])


_TIMERS: ContextVar[_Timers | None] = ContextVar("timers", default=None)


async def sleep_until(at: float) -> None:
    """As trio's, for tasks of a run that sleep often."""
    timers = _TIMERS.get()
    if timers is None or at <= trio.current_time():
        await trio.sleep_until(at)
    else:
        await timers.sleep_until(at)


def run_jumping(main: Callable[[], Awaitable[None]]) -> None:
    """`trio.run` on a clock that jumps as soon as nothing can run."""
    # In a copy: whatever runs in this context later, on another clock, would sleep for ever by these timers.
    copy_context().run(_run_jumping, main)


def _run_jumping(main: Callable[[], Awaitable[None]]) -> None:
    timers = _Timers()
    _TIMERS.set(timers)
    trio.run(main, clock=_jumping_clock(timers))


def _jumping_clock(timers: _Timers) -> MockClock:
    """It reads no real clock: it is asked many times a step."""
    clock = MockClock(autojump_threshold=0)

    def jump() -> None:
        at = min(scheduler.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline(), timers.next())
        if clock._virtual_base < at < math.inf:
            clock._virtual_base = at
            timers.wake(at)

    replaced = {"current_time": lambda: clock._virtual_base, "_autojump": jump}
    vars(clock).update(replaced)  # The class is final.
    return clock


class _Shuffler(random.Random):
    """Most lists that the scheduler shuffles have one task in them."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        if len(x) > 1:
            super().shuffle(x)


#: Steps of the scheduler between two looks at the kernel's events. Nothing comes from there but Control-C.
_POLLED_EACH: Final = 64


class _SeldomPolled(scheduler.TheIOManager):  # type: ignore[name-defined,misc]
    """Spares a run most of its system calls."""

    _steps = 0

    def get_events(self, timeout: float) -> Any:
        self._steps += 1
        return () if self._steps % _POLLED_EACH else super().get_events(timeout)


async def _in_this_thread(function: Callable[..., T], *arguments: Any, **_: Any) -> T:
    await trio.lowlevel.checkpoint()
    return function(*arguments)


def _drawn_secrets(chance: random.Random) -> Mapping[str, Callable[..., Any]]:
    def token_hex(size: int = 32) -> str:
        return chance.randbytes(size).hex()

    return {
        "token_bytes": lambda size=32: chance.randbytes(size),
        "token_hex": token_hex,
        # No secret that a simulation draws has to keep anything from anybody.
        "token_urlsafe": token_hex,
        "randbelow": chance.randrange,
    }


@contextmanager
def one_run(seed: int, settings: Mapping[ModuleType, Mapping[str, object]] = {}) -> Iterator[None]:
    """Within the block `trio.run` on a MockClock does the same each time. Nothing else may run in the process.
    `settings`: by module and name other values of its constants."""
    state = random.getstate()
    collects = gc.isenabled()
    gc.disable()  # It would call finalizers whenever the process has had enough objects; and a run is short.
    random.seed(seed)
    with ExitStack() as stack:
        replaced: dict[ModuleType, Mapping[str, object]] = {
            scheduler: {
                "_ALLOW_DETERMINISTIC_SCHEDULING": True,
                "_r": _Shuffler(seed),
                "TheIOManager": _SeldomPolled,
            },
            trio.to_thread: {"run_sync": _in_this_thread},
            secrets: _drawn_secrets(random.Random(seed)),
            gochat.node: {"wall_ns": _wall_ns},
            time: {
                "time": lambda: _wall_ns() / 1e9,
                "time_ns": _wall_ns,
                "monotonic": now_s,
                "monotonic_ns": _steady_ns,
                "clock_gettime_ns": _steady_ns,
            },
            **settings,
        }
        for module, functions in replaced.items():
            for name, function in functions.items():
                stack.callback(setattr, module, name, getattr(module, name))
                setattr(module, name, function)
        try:
            yield
        finally:
            random.setstate(state)
            if collects:
                gc.enable()


@contextmanager
def listening_to_logs(told: Callable[[logging.LogRecord, str], None]) -> Iterator[None]:
    """Have `told` called with each record that a machine with power logs, and with its name. Nothing is printed."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            machine = MACHINE.get()
            if machine is not None and machine.alive:
                told(record, machine.name)

    logger, handler = logging.getLogger("gochat"), Handler()
    before = logger.propagate, logger.level, logger.handlers
    logger.propagate, logger.handlers = False, [handler]
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.propagate, _, logger.handlers = before
        logger.setLevel(before[1])
