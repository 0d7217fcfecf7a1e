"""Several load processes, driven as if they were one. With one process nothing is forked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, Protocol, TypeAlias

from bench.faults import Broken, Fault, Gone
from bench.load.book import Book
from bench.load.loop import Driver, Load
from bench.load.outcome import Length, Outcome
from bench.load.shared import shared

_READY_S = 300.0
_HEAD_START = 50_000_000  # Nanoseconds in which an order reaches every process.
_LOOK_S = 0.25
_FORK = multiprocessing.get_context("fork")

Tick: TypeAlias = Callable[[int], None]


class Part(NamedTuple):
    """Which of the processes this is."""

    index: int  # type: ignore[assignment]
    count: int  # type: ignore[assignment]


Make: TypeAlias = Callable[[Part], AbstractContextManager[Load]]
"""Opens the connections of one process; called in that process."""


class Drives(Protocol):
    def drive(self, length: Length) -> Outcome:
        """Load the server for that long. Raises Fault, Broken."""


@contextmanager
def fleet(processes: int, make: Make, tick: Tick | None = None) -> Iterator[Drives]:
    """`processes` loads, all of them ready. `tick` is told how much was delivered, a few times a second."""
    if processes == 1:
        with make(Part(0, 1)) as load:
            driver = Driver(load, tick=tick)
            try:
                yield driver
            finally:
                driver.close()
        return
    crew = _Crew(processes, make, tick)
    try:
        crew.await_ready()
        yield crew
        crew.finish()
    finally:
        crew.end()


class _Crew:
    def __init__(self, processes: int, make: Make, tick: Tick | None) -> None:
        self._tick = tick
        self._delivered = shared(processes)
        self._pipes: list[Connection] = []
        self._processes = []
        for index in range(processes):
            mine, theirs = _FORK.Pipe()
            arguments = (theirs, Part(index, processes), make, self._delivered)
            process = _FORK.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(mine)
            self._processes.append(process)

    def await_ready(self) -> None:
        self._answers(time.monotonic() + _READY_S)

    def drive(self, length: Length) -> Outcome:
        began, count = time.perf_counter_ns() + _HEAD_START, len(self._pipes)
        for index, pipe in enumerate(self._pipes):
            pipe.send((length.share(index, count), began))
        return _together(self._answers(None))

    def finish(self) -> None:
        """Let the loads look once more at what they have. Raises Fault."""
        for pipe in self._pipes:
            pipe.send(None)
        self._answers(None)

    def end(self) -> None:
        for process in self._processes:
            process.terminate()
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(1.0)
            if process.is_alive():
                process.kill()
                process.join()

    def _answers(self, deadline: float | None) -> list[Any]:
        """One answer of each process. The first Fault of any is raised at once."""
        found: dict[int, Any] = {}
        while len(found) < len(self._pipes):
            for pipe in wait([pipe for index, pipe in enumerate(self._pipes) if index not in found], _LOOK_S):
                index = self._pipes.index(pipe)  # type: ignore[arg-type]
                try:
                    found[index] = answer = self._pipes[index].recv()
                except EOFError:
                    raise Broken(f"load process {index} ended without a word") from None
                if isinstance(answer, Exception):
                    raise answer
            if self._tick:
                self._tick(sum(self._delivered))
            if deadline is not None and time.monotonic() > deadline:
                raise Broken(f"the load processes were not ready within {_READY_S:.0f} s")
        return [found[index] for index in sorted(found)]


def _work(pipe: Connection, part: Part, make: Make, delivered: memoryview) -> None:
    """The life of one process: what goes wrong is told, not printed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent's business.
    try:
        with make(part) as load:

            def tick(count: int) -> None:
                delivered[part.index] = count

            driver = Driver(load, tick=tick)
            pipe.send(None)
            while (order := pipe.recv()) is not None:
                pipe.send(driver.drive(*order))
        pipe.send(None)
    except (EOFError, BrokenPipeError):
        pass  # The parent needs no more.
    except (Fault, Broken) as error:
        pipe.send(type(error)(str(error)))
    except OSError as error:
        pipe.send(Gone(str(error)))
    finally:
        pipe.close()


def _together(outcomes: list[Outcome]) -> Outcome:
    """They began together."""
    book, counts = Book(), dict[str, int]()
    for outcome in outcomes:
        book.add(outcome.book)
        for name, count in outcome.counts.items():
            counts[name] = counts.get(name, 0) + count
    seconds = max(outcome.seconds for outcome in outcomes)
    # Where they share cores each waits for the others: then it is the cores that count.
    busiest = max(outcomes, key=lambda outcome: outcome.generator_cpu)
    cpu_s, waited_s = busiest.cpu_s, busiest.waited_s
    cores = len(os.sched_getaffinity(0))
    if cores < len(outcomes):
        cpu_s, waited_s = sum(outcome.cpu_s for outcome in outcomes) / cores, 0.0
    return Outcome(
        messages=sum(outcome.messages for outcome in outcomes),
        seconds=seconds,
        cpu_s=cpu_s,
        waited_s=waited_s,
        book=book,
        deliveries=sum(outcome.deliveries for outcome in outcomes),
        timeline=merged([outcome.timeline for outcome in outcomes]),
        counts=counts,
        processes=len(outcomes),
    )


def merged(timelines: list[tuple[tuple[int, int], ...]]) -> tuple[tuple[int, int], ...]:
    """The sum of several, at every time that one of them has a point; each stands still between its points."""
    events = sorted((at, count - before) for timeline in timelines for (_, before), (at, count) in pairwise(timeline))
    total, found = 0, [(0, 0)]
    for at, grown in events:
        total += grown
        found.append((at, total))
    return tuple(found)
