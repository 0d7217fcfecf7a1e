"""Simulated runs: they keep all promises, they are the same each time, and a bug in gochat does not pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gochat.sim import Plan, draw, play, shrink
from gochat.sim.determinism import sleep_until
from gochat.sim.plan import AnyStep, ClientPlan, Resume, Send, dm
from tests.sim.planted import ENOUGH, ONE, put


@pytest.mark.parametrize("seed", range(140))
def test_all_promises_are_kept(seed: int) -> None:
    assert play(draw(seed)).violations == []


@pytest.mark.parametrize("seed", range(60))
def test_three_nodes_keep_them_too(seed: int) -> None:
    assert play(draw(seed, 3)).violations == []


@pytest.mark.parametrize(
    "name",
    [
        # A room is known by facts alone, of a log that is given up.
        "facts_alone",
        # One node leaves for good, and the others have fallen behind by more than the log keeps.
        "nobody_follows",
    ],
)
def test_they_are_kept_in_plans_that_broke_them(name: str) -> None:
    plan = Path(__file__).with_name(f"{name}.json")
    assert play(Plan.from_json(plan.read_bytes())).violations == []


@pytest.mark.long
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("block", range(20))
def test_all_promises_are_kept_in_many_runs(block: int, nodes: int) -> None:
    failed = {
        seed: outcome
        for seed in range(1000 + 100 * block, 1100 + 100 * block)
        if (outcome := play(draw(seed, nodes)).violations)
    }
    assert failed == {}


def test_a_run_has_something_in_it() -> None:
    acked = sum(play(draw(seed)).acked for seed in range(5))
    assert acked > 100


@pytest.mark.parametrize("nodes", [1, 3])
def test_one_seed_is_one_run(nodes: int) -> None:
    """With three nodes one leaves in this run."""
    first, again = play(draw(4, nodes)), play(draw(4, nodes))
    assert first.trace == again.trace
    assert len(first.trace) > 100
    assert play(draw(5, nodes)).digest != first.digest


def test_the_order_of_sets_makes_no_difference() -> None:
    """Each process has other hashes of strings, unless it is told which. In this run a machine joins, one loses its
    disk, and all lose power."""
    told = {
        subprocess.run(
            [sys.executable, "-m", "gochat", "sim", "--seed", "7", "--nodes", "3", "--trace"],
            env=os.environ | {"PYTHONHASHSEED": hashes},
            capture_output=True,
            check=True,
        ).stdout.rpartition(b"1 seed,")[0]
        for hashes in ("1", "2")
    }
    assert len(told) == 1
    assert len(next(iter(told)).splitlines()) > 100


def test_a_plan_that_fails_is_made_smaller_and_fails_again(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, ONE["an ack before the commit"])
    failing = next(plan for plan in map(draw, range(ENOUGH)) if play(plan).violations)
    smaller = shrink(failing, lambda plan: bool(play(plan).violations), tries=60)
    assert len(smaller.to_json()) < len(failing.to_json())
    found = play(Plan.from_json(smaller.to_json()))
    assert found.violations
    assert found.digest == play(smaller).digest


def test_a_client_has_a_live_room_told_again_and_hears_nothing_twice() -> None:
    room = dm("ann", "bob")
    writes: list[AnyStep] = [Send(after_ms=5, room=room) for _ in range(40)]
    resumes: list[AnyStep] = [Resume(after_ms=7, room=room) for _ in range(30)]
    clients = [ClientPlan("ann", "ann", "n1", writes), ClientPlan("bob", "bob", "n1", resumes)]
    outcome = play(Plan(seed=1, nodes=["n1"], groups={}, clients=clients, troubles=[]))
    assert outcome.violations == []
    asked = [line for line in outcome.trace if ' bob > {"type":"resume"' in line]
    assert len(asked) > 10
    told = [line for line in outcome.trace if " bob < " in line and '"key":"ann-m' in line]
    assert len(told) > 40, "none came a second time"


def test_what_sleeps_after_a_run_wakes() -> None:
    """Its clock is another one: nothing of the run's own timers may be left in this context."""
    play(draw(1))

    async def sleep() -> None:
        with trio.fail_after(5):
            await sleep_until(trio.current_time() + 1)

    trio.run(sleep, clock=MockClock(autojump_threshold=0))
