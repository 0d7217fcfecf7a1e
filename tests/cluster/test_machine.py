"""The shim below a process: its disk stalls, its clock is set, and nothing else changes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gochat.cluster.ports import Fence
from tests.cluster.machine import SOURCE, Machine
from tests.cluster.real import RealServer
from tests.cluster.servers import OnRedis
from tests.contracts.log import answered, made
from tests.durability.power import build

WRITES = """
import os, sys
def write(path, text):
    with open(path, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
outside, inside = sys.argv[1:]
write(outside, "at once")
print("written", flush=True)
write(inside, "later")
"""
HOUR_S = 3_600


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("machine"), SOURCE)


@pytest.fixture
def machine(library: Path, tmp_path: Path) -> Machine:
    (tmp_path / "root").mkdir()
    return Machine(library, tmp_path / "root", tmp_path / "switches")


@pytest.fixture
def redis(library: Path) -> Iterator[tuple[RealServer, Machine]]:
    with tempfile.TemporaryDirectory(prefix="gc") as folder:
        server = RealServer(Path(folder))
        machine = Machine(library, Path(folder), Path(folder) / "switches")
        server.env = machine.env
        try:
            server.start()
            yield server, machine
        finally:
            server.kill()


def test_a_writer_below_the_root_waits_for_the_disk(machine: Machine, tmp_path: Path) -> None:
    machine.stalls = True
    inside, outside = tmp_path / "root" / "file", tmp_path / "file"
    command = [sys.executable, "-S", "-c", WRITES, str(outside), str(inside)]
    with subprocess.Popen(command, env={**os.environ, **machine.env}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        assert outside.read_text() == "at once"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        assert not inside.exists() or not inside.read_text()
        machine.stalls = False
        assert process.wait(60) == 0
    assert inside.read_text() == "later"


def test_a_clock_is_set_under_a_server_that_runs(redis: tuple[RealServer, Machine]) -> None:
    server, machine = redis
    for ahead_s in (0, HOUR_S, -HOUR_S):
        machine.ahead_s = ahead_s
        before = time.time()
        seconds, _ = server.command("TIME")
        assert before - 2 <= int(seconds) - ahead_s <= time.time() + 1


async def test_an_answer_and_a_beat_of_the_future_are_old(redis: tuple[RealServer, Machine]) -> None:
    """A node may have spoken to another server in the hour before the clock comes to when it answered."""
    server, machine = redis
    on_redis = OnRedis.alone(server)
    log, _ = await made(on_redis)
    await on_redis.promote()
    id_ = await answered(log, 0, "north")
    machine.ahead_s = -HOUR_S
    assert await log.seal(0, id_, 1) == "wait"
    await answered(log, 0, "north")
    assert isinstance(await log.seal(0, id_, 1), Fence)
    bulletin = on_redis.bulletin("north")
    assert await bulletin.beat("north", "1", b"")
    machine.ahead_s = -2 * HOUR_S
    (member,) = await bulletin.members()
    assert HOUR_S - 60 <= member.age_ms / 1000 <= HOUR_S, "until the beat, which comes nearer"
    on_redis.close()
