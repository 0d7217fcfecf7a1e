"""The trace of one private message: what counts as a stored callback, and the way through a real node."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.trace.callsite import is_step, resumed, stored
from bench.trace.path import Counts, Step, counts, listing, shortest

#: The most that a private message takes, by the transport; to be lowered with it. Two of the calls are a
#: closer look at the text, which depends on the digits of the message that was traced.
BOUNDS = {
    "ws": {"calls": 94, "tasks": 2, "callbacks": 4},
    "tcp": {"calls": 94, "tasks": 2, "callbacks": 4},
}

SAMPLE = """
import functools
from collections import deque
from typing import NamedTuple

class Slotted:
    __slots__ = ("done",)

class Pair(NamedTuple):
    ready: object

class Actor:
    def __init__(self):
        self.kept = target
        self.partial = functools.partial(target, 1)

    def method(self, *_):
        pass

    @property
    def seen(self):
        pass

    def by_name(self):
        self.method()
        method = self.method
        method()
        target()
        def nested():
            pass
        nested()
        sorted([1], key=lambda n: n)
        self.seen
        TABLE["a"]()
        Actor()

    def attribute(self): self.kept()
    def partly(self): self.partial()
    def slot(self):
        slotted = Slotted()
        slotted.done = target
        slotted.done()
    def field(self): Pair(target).ready()
    def tuple_field(self):
        pair = Pair(target)
        pair.ready()
    def queued(self):
        queue = deque([target])
        queue[0]()
    def loop(self):
        for each in [target]:
            each()
    def handed(self): self._run(target)
    def _run(self, job): job()
    def around(self): self._wrap(target)
    def _wrap(self, job):
        def inner():
            job()
        inner()
    def library(self): functools.reduce(target, [1, 2])

def target(*_):
    pass

TABLE = {"a": target}
"""


def kept(folder: Path, method: str) -> list[str]:
    """The expressions of the stored callbacks that a method of SAMPLE's actor calls."""
    path = folder / "sample.py"
    path.write_text(SAMPLE)
    spec = spec_from_file_location("sample", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    actor, found = module.Actor(), []

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == str(path) and frame.f_code.co_name != method:
            found.append(stored(frame, str(folder)))

    sys.setprofile(profile)
    try:
        getattr(actor, method)()
    finally:
        sys.setprofile(None)
    assert found
    return [expression for expression in found if expression]


@pytest.mark.parametrize(
    ("method", "expressions"),
    [
        ("by_name", []),
        ("attribute", ["self.kept"]),
        ("partly", ["self.partial"]),
        ("slot", ["slotted.done"]),
        ("tuple_field", ["pair.ready"]),
        ("queued", ["queue[0]"]),
        ("loop", ["each"]),
        ("handed", ["job"]),
        ("around", ["job"]),
        ("library", []),
    ],
)
def test_a_stored_callback_is_a_call_through_a_callable_that_was_kept(
    tmp_path: Path, method: str, expressions: list[str]
) -> None:
    assert kept(tmp_path, method) == expressions


def test_a_function_that_another_library_calls_is_a_stored_callback() -> None:
    found: list[str] = []

    def job() -> None:
        found.append(stored(sys._getframe(), "/nowhere/"))

    job()
    assert found == [f"{__name__}.test_a_function_that_another_library_calls_is_a_stored_callback"]


def test_steps_of_generators_are_told_from_their_begin() -> None:
    seen: list[tuple[bool, bool]] = []

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.append((is_step(frame), resumed(frame)))

    def numbers() -> object:
        yield 1

    generator = numbers()
    sys.setprofile(profile)
    try:
        list(generator)  # type: ignore[call-overload]
    finally:
        sys.setprofile(None)
    assert seen == [(True, False), (True, True)]


def test_counts_leave_trios_own_task_out_and_count_a_callback_once() -> None:
    push = Step("call", "Outbox.push", "transports/outbox.py", 1, "MainThread", "session.push")
    path = [
        Step("task", "poller", task=1),
        Step("task", "<TrioToken.run_sync_soon task>", task=2),
        push,
        push,
        Step("task", "poller", task=1),
        Step("resume", "run", "transports/poller.py", 0, "MainThread"),
    ]
    assert counts(path) == Counts(calls=3, files=2, tasks=1, callbacks=1)
    assert shortest([[*path, push], path]) is path
    assert listing(path)[0] == "task poller"
    assert "Outbox.push    <- session.push" in listing(path)[2]
    assert listing(path)[-1].endswith("run (goes on)")


@pytest.mark.parametrize("transport", BOUNDS)
def test_the_way_of_a_message_through_a_real_node_is_no_longer_than_it_was(tmp_path: Path, transport: str) -> None:
    bounds = [part for figure, bound in BOUNDS[transport].items() for part in ("--at-most", f"{figure}={bound}")]
    arguments = ["trace", "--samples", "100", "--transport", transport, "--data", str(tmp_path), "--json", *bounds]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    [told] = json.loads(result.stdout)
    files = [step["file"] for step in told["path"] if step["kind"] != "task"]
    assert "transports/poller.py" in files
    assert files[-1] == "transports/outbox.py"
    assert "domain/turn.py" in files
    assert ("transports/websocket.py" in files) == (transport == "ws")
    assert {step.get("thread") for step in told["path"] if step["kind"] != "task"} == {"MainThread", "committer"}


def test_a_bound_that_does_not_hold_is_told(tmp_path: Path) -> None:
    arguments = ["trace", "--samples", "1", "--data", str(tmp_path), "--no-path"]
    result = CliRunner().invoke(main, [*arguments, "--at-most", "calls=1"])
    assert result.exit_code == 3
    assert "DOES NOT HOLD: " in result.output
    wrong = CliRunner().invoke(main, [*arguments, "--at-most", "speed=1"])
    assert wrong.exit_code == 2
    assert "there are calls, files, tasks, callbacks" in wrong.output
