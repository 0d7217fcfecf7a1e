"""A cluster under load whose nodes, server, disks, clock, cables and power fail: judged from outside, nothing that was
acknowledged is lost, doubled or moved, and all nodes have the same.

    python -m pytest -m long tests/cluster/test_campaign.py

runs the whole campaign and prints a line for each fault; with CAMPAIGN=2 in the environment each comes twice at most.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trio

from gochat.sim.checker import violations
from tests.cluster.fleet import NAMES, PAUSE_S, Fault, Fleet, Member, Outcome, campaign
from tests.cluster.machine import SOURCE as MACHINE
from tests.cluster.machine import Machine
from tests.cluster.misfortunes import OnMachines, OnNetwork, OnPower, OnPrimaries, OnServer, node_killed
from tests.cluster.network import SERVER, Network
from tests.cluster.primaries import Primaries
from tests.cluster.real import RealServer
from tests.cluster.tally import Tally, head, row, tally
from tests.cluster.watched import Pair, Watched
from tests.durability.power import SOURCE as POWER
from tests.durability.power import Disk, build
from tests.forked import PLANT

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")
NOTHING = ()
#: How long the service may be away once the server and all nodes are there again.
BACK_S = 2.0
#: A primary of a Redis Cluster that is silent for so long is replaced: more than a busy machine keeps one waiting.
PRIMARY_DOWN_MS = 2_000
#: Of the short forms: they cost the daily run little.
SHORT_PAUSE_S = 0.5
Say = Callable[[str], None]


def times(count: int) -> int:
    return min(count, int(os.environ.get("CAMPAIGN", count)))


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture
def say(said: list[str], capsys: pytest.CaptureFixture[str]) -> Say:
    """Prints a line of the table."""

    def line(text: str) -> None:
        with capsys.disabled():
            print(*([] if said else ["", head()]), text, sep="\n")
        said.append(text)

    return line


@pytest.fixture(scope="module")
def shims(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """The libraries, by their sources."""
    folder = tmp_path_factory.mktemp("shims")
    return {source: build(folder, source) for source in (POWER, MACHINE)}


@contextmanager
def server(*options: str, prefix: Sequence[str] = ()) -> Iterator[RealServer]:
    """A server that runs."""
    # A short path: that of a Unix socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="gc") as folder:
        redis = RealServer(Path(folder), *options, prefix=prefix)
        try:
            redis.start()
            yield redis
        finally:
            redis.kill()


@contextmanager
def bad_machine(shims: dict[Path, Path], *options: str) -> Iterator[tuple[RealServer, Machine]]:
    """A server that runs, and the machine that it is on."""
    with server(*options) as redis:
        redis.kill()
        machine = Machine(shims[MACHINE], redis.folder, redis.folder / "switches")
        redis.env = machine.env
        redis.start()
        yield redis, machine


async def run(fleet: Fleet, faults: Sequence[Fault], seed: int, *, pause_s: float = PAUSE_S) -> tuple[Outcome, Tally]:
    rng = random.Random(seed)
    outcome = await campaign(fleet, faults, rng, pause_s=pause_s)
    return outcome, tally(outcome.evidence, outcome.histories)


def judge(fleet: Fleet, outcome: Outcome, found: Tally) -> None:
    broken = violations(outcome.evidence)
    assert not broken, "\n".join(broken[:10])
    assert found == Tally(found.acked, 0, 0, 0, 0)
    assert found.acked > 100
    for member in fleet.members:
        assert "Traceback" not in member.log.read_text()


async def endure(
    say: Say,
    name: str,
    fleet: Fleet,
    fault: Fault,
    count: int,
    *,
    seed: int,
    pause_s: float = PAUSE_S,
    away_s: float = 0.0,
) -> None:
    """The fault so many times, a line of the table, and the verdict. `away_s`: for how long a node must acknowledge
    nothing, or the fault was none."""
    outcome, found = await run(fleet, [fault] * times(count), seed, pause_s=pause_s)
    say(row(name, outcome, found))
    judge(fleet, outcome, found)
    assert max(outcome.back_s) <= BACK_S, outcome.back_s
    assert min(outcome.away_s) >= away_s, outcome.away_s


# ---------------------------------------------------------------------------------------------- short forms


async def test_things_befall_the_server_and_a_node(tmp_path: Path, shims: dict[Path, Path]) -> None:
    with bad_machine(shims, *NOTHING) as (redis, machine):
        on_server, on_machine = OnServer(redis), OnMachines([machine], stalls_s=0.2, wrong_s=0.2)
        faults = [on_server.missed, on_machine.disk_stalled, on_machine.clock_changed, on_server.flushed]
        fleet = Fleet(tmp_path, redis.url, random.Random(1))
        judge(fleet, *await run(fleet, faults, seed=1, pause_s=SHORT_PAUSE_S))


async def test_without_putting_back_acknowledged_messages_are_lost(tmp_path: Path) -> None:
    """The control: the same load, the same judge, and nodes that do not give the server back what it has lost."""
    with server(*NOTHING) as redis:
        rng = random.Random(2)
        fleet = Fleet(tmp_path, redis.url, rng)
        for member in fleet.members:
            member.env[PLANT] = "tests.cluster.forgetful"
        outcome = await campaign(fleet, [OnServer(redis).missed], rng, pause_s=SHORT_PAUSE_S, readers=False)
    found = tally(outcome.evidence, outcome.histories)
    assert found.lost
    assert found.unequal


# ---------------------------------------------------------------------------------------------- the campaign


@pytest.mark.long
async def test_twenty_nodes_die(tmp_path: Path, say: Say) -> None:
    with server(*EVERYSEC) as redis:
        fleet = Fleet(tmp_path, redis.url, random.Random(3))
        await endure(say, "kill -9 of a node", fleet, node_killed, 20, seed=3)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "fault", "count", "options"),
    [
        ("kill -9 of Redis, appendfsync always", "killed", 20, ALWAYS),
        ("kill -9 of Redis, appendfsync everysec", "killed", 20, EVERYSEC),
        ("kill -9 of Redis, no data kept", "killed", 20, NOTHING),
        ("Redis with an older dump", "went_back", 5, NOTHING),
        ("a node lacks what Redis lost", "missed", 10, NOTHING),
        ("FLUSHALL", "flushed", 10, EVERYSEC),
        ("SIGSTOP of Redis, 3 s", "paused", 10, EVERYSEC),
    ],
)
async def test_things_befall_the_server(
    tmp_path: Path, say: Say, name: str, fault: str, count: int, options: tuple[str, ...]
) -> None:
    with server(*options) as redis:
        fleet = Fleet(tmp_path, redis.url, random.Random(count))
        await endure(say, name, fleet, getattr(OnServer(redis), fault), count, seed=count)


@pytest.mark.long
async def test_sentinels_promote_replicas_that_lack_the_last_second(tmp_path: Path, say: Say) -> None:
    with ExitStack() as stack:
        watched = await trio.to_thread.run_sync(Watched, stack)

        async def failed_over(fleet: Fleet, rng: random.Random) -> float:
            return await trio.to_thread.run_sync(watched.fail_over, 1.0)

        fleet = Fleet(tmp_path, watched.url, random.Random(4))
        await endure(say, "failover by Sentinel, last second lost", fleet, failed_over, 10, seed=4)
    assert watched.missing > 0


@pytest.mark.long
async def test_primaries_that_were_replaced_live_on(tmp_path: Path, say: Say) -> None:
    with ExitStack() as stack:
        watched = await trio.to_thread.run_sync(Watched, stack)

        async def lived_on(fleet: Fleet, rng: random.Random) -> float:
            dies = rng.random() < 0.5
            return await trio.to_thread.run_sync(lambda: watched.live_on(rng, dies=dies))

        fleet = Fleet(tmp_path, watched.url, random.Random(5))
        await endure(say, "an old primary lives on", fleet, lived_on, 5, seed=5)


@pytest.mark.long
async def test_a_primary_is_demoted_and_promoted_again(tmp_path: Path, say: Say) -> None:
    with ExitStack() as stack:
        pair = await trio.to_thread.run_sync(Pair, stack, *EVERYSEC)

        async def demoted(fleet: Fleet, rng: random.Random) -> float:
            return await trio.to_thread.run_sync(pair.demote_and_promote, rng)

        fleet = Fleet(tmp_path, pair.servers[0].url, random.Random(6))
        await endure(say, "primary demoted and promoted again", fleet, demoted, 10, seed=6)
    assert pair.missing > 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "fault", "count"),
    [
        ("Redis Cluster: a primary is killed", "killed", 10),
        ("Redis Cluster: failover, last second lost", "failed_over", 10),
        ("Redis Cluster: an old primary lives on", "lived_on", 5),
        ("Redis Cluster: a slot moves", "moved", 20),
    ],
)
async def test_things_befall_a_redis_cluster(tmp_path: Path, say: Say, name: str, fault: str, count: int) -> None:
    with ExitStack() as stack:
        primaries = await trio.to_thread.run_sync(
            lambda: Primaries(stack, *EVERYSEC, replicas=1, timeout_ms=PRIMARY_DOWN_MS)
        )
        fleet = Fleet(tmp_path, primaries.url, random.Random(count))
        await endure(say, name, fleet, getattr(OnPrimaries(primaries), fault), count, seed=count)
    assert primaries.missing > 0 or fault != "failed_over"


@pytest.mark.long
async def test_nodes_are_cut_off(tmp_path: Path, say: Say) -> None:
    with ExitStack() as stack:
        network = Network(NAMES)
        stack.callback(network.close)
        options = ("--port", "6379", "--bind", SERVER, "--protected-mode", "no")
        redis = stack.enter_context(server(*EVERYSEC, *options, prefix=network.prefix()))

        def make(folder: Path, url: str) -> Member:
            return Member(folder, url, own_url=f"redis://{SERVER}:6379", network=network)

        fleet = Fleet(tmp_path, redis.url, random.Random(7), make)
        await endure(
            say, "a node cut off for 10 s", fleet, OnNetwork(network).cut, 10, seed=7, pause_s=3 * PAUSE_S, away_s=9
        )


@pytest.mark.long
@pytest.mark.parametrize("options", [ALWAYS, EVERYSEC], ids=["always", "everysec"])
async def test_the_power_fails(tmp_path: Path, say: Say, shims: dict[Path, Path], options: tuple[str, ...]) -> None:
    with server(*options, "--appenddirname", "aof") as redis:
        fleet = Fleet(tmp_path, redis.url, random.Random(8))
        await fleet.create()
        redis.kill()  # Its first file is made elsewhere and moved: the shim would not know it.
        disks = {member: _disk(shims[POWER], member.data, member.folder / "disk") for member in fleet.members}
        for member, disk in disks.items():
            member.env |= disk.env
        server_disk = _disk(shims[POWER], redis.folder / "aof", redis.folder / "disk")
        redis.env = server_disk.env
        await trio.to_thread.run_sync(redis.start)
        on_power = OnPower(redis, server_disk, disks)
        await endure(say, f"power loss of all, appendfsync {options[-1]}", fleet, on_power.failed, 10, seed=8)
    if times(10) >= 3:
        assert sum(disk.forgotten for disk in disks.values()) > 0, "the power never failed in the middle of anything"
        assert server_disk.forgotten > 0 or options == ALWAYS


def _disk(library: Path, data: Path, kept: Path) -> Disk:
    """The disk under a folder that is filled already."""
    disk = Disk(library, data, kept)
    shutil.copytree(data, kept, dirs_exist_ok=True)
    return disk


@pytest.mark.long
async def test_the_disk_of_a_node_stalls(tmp_path: Path, say: Say, shims: dict[Path, Path]) -> None:
    with server(*EVERYSEC) as redis:
        fleet = Fleet(tmp_path, redis.url, random.Random(9))
        await fleet.create()
        machines = [Machine(shims[MACHINE], each.data, each.folder / "switches") for each in fleet.members]
        for member, machine in zip(fleet.members, machines, strict=True):
            member.env |= machine.env
        fault = OnMachines(machines).disk_stalled
        await endure(say, "a node's disk stalls 30 s", fleet, fault, 5, seed=9, pause_s=5 * PAUSE_S, away_s=29)


@pytest.mark.long
@pytest.mark.parametrize("options", [ALWAYS, EVERYSEC], ids=["always", "everysec"])
async def test_the_disk_of_the_server_stalls(
    tmp_path: Path, say: Say, shims: dict[Path, Path], options: tuple[str, ...]
) -> None:
    count = {ALWAYS: 2, EVERYSEC: 3}[options]
    with bad_machine(shims, *options) as (redis, machine):
        fleet = Fleet(tmp_path, redis.url, random.Random(10))
        fault = OnMachines([machine]).disk_stalled
        name = f"Redis' disk stalls 30 s, {options[-1]}"
        await endure(say, name, fleet, fault, count, seed=10, pause_s=5 * PAUSE_S, away_s=27)


@pytest.mark.long
async def test_the_clock_of_the_server_is_changed_by_an_hour(tmp_path: Path, say: Say, shims: dict[Path, Path]) -> None:
    with bad_machine(shims, *EVERYSEC) as (redis, machine):
        fleet = Fleet(tmp_path, redis.url, random.Random(11))
        fault = OnMachines([machine]).clock_changed
        await endure(say, "Redis' clock changes by an hour", fleet, fault, 10, seed=11)


@pytest.mark.long
async def test_the_server_comes_back_with_a_clock_an_hour_off(
    tmp_path: Path, say: Say, shims: dict[Path, Path]
) -> None:
    with bad_machine(shims, *EVERYSEC) as (redis, machine):
        on_server, on_machine = OnServer(redis), OnMachines([machine], wrong_s=0)

        async def changed_and_killed(fleet: Fleet, rng: random.Random) -> float:
            await on_machine.clock_changed(fleet, rng)
            return await rng.choice([on_server.killed, on_server.flushed])(fleet, rng)

        fleet = Fleet(tmp_path, redis.url, random.Random(12))
        await endure(say, "the same, and it is killed or emptied", fleet, changed_and_killed, 10, seed=12)


@pytest.mark.long
async def test_a_bit_of_everything(tmp_path: Path, say: Say) -> None:
    with server(*EVERYSEC) as redis:
        on_server = OnServer(redis)
        rng = random.Random(13)
        kinds = [node_killed, on_server.killed, on_server.flushed, on_server.missed, on_server.paused]

        async def anything(fleet: Fleet, rng: random.Random) -> float:
            return await rng.choice(kinds)(fleet, rng)

        await endure(say, "any of these", Fleet(tmp_path, redis.url, rng), anything, 20, seed=13)
