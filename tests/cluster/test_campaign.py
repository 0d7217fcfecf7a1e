"""A cluster under load whose nodes and server are killed, paused and emptied: judged from outside, nothing that was
acknowledged is lost, doubled or moved, and all nodes have the same."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trio

from gochat.sim.checker import lost, violations
from tests.cluster.fleet import Fault, Fleet, OnServer, campaign, node_killed
from tests.cluster.real import RealServer
from tests.cluster.test_sentinel import Watched

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
NOTHING = ()


@contextmanager
def server(*options: str) -> Iterator[RealServer]:
    with tempfile.TemporaryDirectory(prefix="gc") as folder:
        redis = RealServer(Path(folder), *options)
        try:
            redis.start()
            yield redis
        finally:
            redis.kill()


async def judge(folder: Path, url: str, faults: list[Fault], seed: int) -> None:
    rng = random.Random(seed)
    crew = Fleet(folder, url, rng)
    evidence, histories = await campaign(crew, faults, rng)
    broken = violations(evidence)
    assert not broken, "\n".join(broken[:10])
    assert not lost(evidence)
    assert len(evidence.acks) > 100
    assert all(found == histories[0] for found in histories), "nodes differ"
    for member in crew.members:
        assert "Traceback" not in member.log.read_text()


async def test_a_node_dies_and_a_server_comes_back_with_nothing(tmp_path: Path) -> None:
    with server(*NOTHING) as redis:
        await judge(tmp_path, redis.url, [node_killed, OnServer(redis).killed], seed=1)


@pytest.mark.long
async def test_twenty_nodes_die(tmp_path: Path) -> None:
    with server(*EVERYSEC) as redis:
        await judge(tmp_path, redis.url, [node_killed] * 20, seed=2)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "times", "options"),
    [
        ("killed", 20, ALWAYS),
        ("killed", 20, EVERYSEC),
        ("killed", 20, NOTHING),
        ("went_back", 5, NOTHING),
        ("flushed", 10, EVERYSEC),
        ("paused", 10, EVERYSEC),
        ("promoted", 10, EVERYSEC),
        ("all_killed", 10, EVERYSEC),
    ],
)
async def test_things_befall_the_server(tmp_path: Path, fault: str, times: int, options: tuple[str, ...]) -> None:
    with server(*options) as redis:
        await judge(tmp_path, redis.url, [getattr(OnServer(redis), fault)] * times, seed=times)


@pytest.mark.long
async def test_sentinels_promote_replicas_that_lack_the_latest(tmp_path: Path) -> None:
    with ExitStack() as stack:
        watched = await trio.to_thread.run_sync(Watched, stack)

        async def failed_over(fleet: Fleet, rng: random.Random) -> None:
            await trio.to_thread.run_sync(watched.fail_over)

        await judge(tmp_path, watched.url, [failed_over] * 10, seed=3)


@pytest.mark.long
async def test_a_bit_of_everything(tmp_path: Path) -> None:
    with server(*EVERYSEC) as redis:
        on_server = OnServer(redis)
        kinds = [node_killed, on_server.killed, on_server.flushed, on_server.promoted, on_server.all_killed]
        await judge(tmp_path, redis.url, random.Random(4).choices(kinds, k=20), seed=4)
