"""One real server for all tests of a process; each test has a cluster of its own on it. And one clock for all nodes;
and three nodes on a log in memory."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from gochat.cluster import registry
from tests.cluster.joining import new_log
from tests.cluster.operating import Operator
from tests.cluster.primaries import Primaries
from tests.cluster.real import RealServer
from tests.cluster.town import NAMES, Town


@pytest.fixture(scope="session")
def one_redis() -> Iterator[RealServer]:
    # A short path: that of a Unix socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="gc") as folder:
        server = RealServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture
def redis(one_redis: RealServer) -> Iterator[RealServer]:
    """The server, in order and without data."""
    one_redis.command("FLUSHALL")
    yield one_redis
    one_redis.resume()
    one_redis.command("CONFIG", "SET", "maxmemory", 0)


@pytest.fixture(scope="session")
def three_primaries() -> Iterator[Primaries]:
    with ExitStack() as stack:
        yield Primaries(stack)


@pytest.fixture
def primaries(three_primaries: Primaries) -> Iterator[Primaries]:
    """A Redis Cluster of three primaries, in order and without data."""
    for server in three_primaries.servers:
        server.command("FLUSHALL")
    yield three_primaries
    for server in three_primaries.servers:
        server.resume()
        server.command("CONFIG", "SET", "maxmemory", 0)


@pytest.fixture
def own_redis() -> Iterator[RealServer]:
    """A server that is not running yet, for a test to kill. It writes each command to its disk."""
    with tempfile.TemporaryDirectory(prefix="gc") as folder:
        server = RealServer(Path(folder), "--appendonly", "yes", "--appendfsync", "always")
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture
def one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes' clocks go with the server's."""
    monkeypatch.setattr(registry, "wall_ms", lambda: int(trio.current_time() * 1000))


@pytest.fixture
async def town(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Town]:
    town = Town(tmp_path, await new_log(), nursery)
    # Thousands of tries ask more than a person may.
    await town.start(*NAMES, limits={"reads_per_s": 0.0, "refusals_per_s": 0.0})
    yield town
    await town.aclose()


@pytest.fixture
def operator(redis: RealServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(tmp_path, redis.url, capsys)
