"""The steps that a traced node wrote down of one message, and the figures drawn from them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

#: The task in which trio runs what other threads hand in.
TRIOS_OWN = "<TrioToken"


class Step(msgspec.Struct, omit_defaults=True):
    """One entry into gochat's code, or a step of a task, under which the entries follow."""

    kind: str
    """"call": a function begins, "step": so does a coroutine, a generator or a comprehension, "resume": one of them
    goes on, "task": a task of trio takes a step."""
    name: str
    """Of the function with its class, or of the task."""
    file: str = ""
    depth: int = 0
    """How many frames of gochat's are above it."""
    thread: str = ""
    callback: str = ""
    """The expression of the stored callback that this is."""
    task: int = 0
    """Tells tasks of the same name apart."""


class Counts(msgspec.Struct, frozen=True):
    calls: int
    files: int
    tasks: int
    callbacks: int


def counts(path: Sequence[Step]) -> Counts:
    entries = [step for step in path if step.kind != "task"]
    tasks = {step.task for step in path if step.kind == "task" and not step.name.startswith(TRIOS_OWN)}
    callbacks = {(step.file, step.name, step.callback) for step in entries if step.callback}
    return Counts(len(entries), len({step.file for step in entries}), len(tasks), len(callbacks))


def shortest(paths: Sequence[Sequence[Step]]) -> Sequence[Step]:
    """The path with the fewest calls; the others have work in them that only happened at the same time."""
    return min(paths, key=lambda path: (counts(path).calls, counts(path).tasks))


def listing(path: Sequence[Step], main_thread: str = "MainThread") -> list[str]:
    """A line each: tasks and threads at the left, calls indented below them."""
    lines: list[str] = []
    thread = main_thread
    for step in path:
        if step.kind == "task":
            lines.append(f"task {step.name}")
            thread = main_thread
            continue
        if step.thread != thread:
            thread = step.thread
            lines.append(f"thread {thread}")
        again = " (goes on)" if step.kind == "resume" else ""
        through = f"    <- {step.callback}" if step.callback else ""
        lines.append(f"{'  ' * step.depth}  {step.file}: {step.name}{again}{through}")
    return lines
