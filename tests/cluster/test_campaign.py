"""A cluster under load whose nodes and server are killed, paused and emptied: judged from outside, nothing that was
acknowledged is lost, doubled or moved, and all nodes have the same."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gochat.sim.checker import lost, violations
from tests.cluster import fleet
from tests.cluster.fleet import Fault, Fleet, campaign
from tests.cluster.real import RealServer

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
NOTHING = ()


@contextmanager
def server(*options: str) -> Iterator[RealServer]:
    with tempfile.TemporaryDirectory(prefix="gc") as folder:
        redis = RealServer(Path(folder), *options)
        try:
            yield redis
        finally:
            redis.kill()


async def judge(folder: Path, faults: list[Fault], *options: str, seed: int = 1) -> None:
    rng = random.Random(seed)
    with server(*options) as redis:
        crew = Fleet(folder, redis, rng)
        evidence, histories = await campaign(crew, faults, rng)
    broken = violations(evidence)
    assert not broken, "\n".join(broken[:10])
    assert not lost(evidence)
    assert len(evidence.acks) > 100
    assert all(found == histories[0] for found in histories), "nodes differ"
    for member in crew.members:
        assert "Traceback" not in member.log.read_text()


async def test_a_node_dies_and_a_server_comes_back_with_nothing(tmp_path: Path) -> None:
    await judge(tmp_path, [fleet.node_killed, fleet.server_killed], *NOTHING)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "times", "options"),
    [
        (fleet.node_killed, 20, EVERYSEC),
        (fleet.server_killed, 20, ALWAYS),
        (fleet.server_killed, 20, EVERYSEC),
        (fleet.server_killed, 20, NOTHING),
        (fleet.flushed, 10, EVERYSEC),
        (fleet.paused, 10, EVERYSEC),
        (fleet.promoted, 10, EVERYSEC),
        (fleet.all_killed, 10, EVERYSEC),
    ],
)
async def test_nothing_is_lost(tmp_path: Path, fault: Fault, times: int, options: tuple[str, ...]) -> None:
    await judge(tmp_path, [fault] * times, *options, seed=times)
