"""Power loss under load: what was acked had reached the disk. And a node that does not sync is caught."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from gochat.sim.checker import lost, violations
from tests.durability.campaign import Outcome, campaign
from tests.durability.power import Disk, build
from tests.durability.process import GOCHAT, Served

CARELESS = Path(__file__).with_name("careless.py")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("powerloss"))


@pytest.fixture
def disk(library: Path, tmp_path: Path) -> Disk:
    return Disk(library, tmp_path / "data", tmp_path / "disk")


async def blackouts(disk: Disk, folder: Path, *, kills: int, seed: int, program: tuple[str, ...] = GOCHAT) -> Outcome:
    """A campaign in which every kill is a power loss: by turns nothing unsynced survives, or what chance spares."""
    served = Served(folder, env=disk.env, program=program)
    number = 0

    def power_fails(rng: random.Random) -> None:
        nonlocal number
        number += 1
        disk.power_fails(rng if number % 2 else None)

    outcome = await campaign(served, kills=kills, seed=seed, after_kill=power_fails)
    assert "Traceback" not in served.log.read_text()
    return outcome


def judge(outcome: Outcome, disk: Disk) -> None:
    broken = violations(outcome.evidence)
    assert not broken, "\n".join(broken[:10])
    assert outcome.interrupted > 0
    assert disk.forgotten > 0, "all that was written was synced: the losses came at idle moments"


async def test_two_blackouts_lose_nothing(disk: Disk, tmp_path: Path) -> None:
    judge(await blackouts(disk, tmp_path, kills=2, seed=1), disk)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
async def test_twenty_blackouts_lose_nothing(disk: Disk, tmp_path: Path, seed: int) -> None:
    judge(await blackouts(disk, tmp_path, kills=20, seed=seed), disk)


async def test_without_syncs_acked_messages_are_lost(disk: Disk, tmp_path: Path) -> None:
    """The control: the same load, the same judge, and a node that commits with synchronous=NORMAL."""
    outcome = await blackouts(disk, tmp_path, kills=1, seed=4, program=(str(CARELESS),))
    assert lost(outcome.evidence)
    assert any("acked and lost" in violation for violation in violations(outcome.evidence))


WRITES = """
import os, sys
os.chdir(sys.argv[1])
def sync(name):
    fd = os.open(name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
def write(name, text):
    with open(name, "a") as file:
        file.write(text)
write("grown", "synced "); sync("grown"); write("grown", "not synced")
write("never", "synced")
write("cut", "much text"); sync("cut"); os.truncate("cut", 4); sync("cut")
write("draft", "moved"); sync("draft"); os.rename("draft", "final")
write("gone", "removed"); sync("gone"); os.unlink("gone")
sync(".")
write("named later", "no"); write("back", "removed, folder not synced"); sync("back"); os.unlink("back")
"""


def test_the_disk_holds_what_was_synced(disk: Disk) -> None:
    env = {**os.environ, **disk.env}
    subprocess.run([sys.executable, "-c", WRITES, str(disk.data)], env=env, check=True)
    disk.power_fails()
    assert {file.name: file.read_text() for file in disk.data.iterdir()} == {
        "grown": "synced ",
        "never": "",  # The folder was synced, so the name is there; the content was not.
        "cut": "much",
        "final": "moved",
        "back": "removed, folder not synced",
    }


def test_chance_writes_whole_sectors(disk: Disk) -> None:
    old, new = b"o" * 5_000, b"n" * 7_000
    (disk.kept / "file").write_bytes(old)
    (disk.data / "file").write_bytes(new)
    disk.power_fails(random.Random(1))
    found = (disk.data / "file").read_bytes()
    assert {*found} == {*b"on\0"} or {*found} == {*b"on"}
    assert all(len({*found[at : at + 512]} - {0}) <= 1 for at in range(0, 4_608, 512))
    assert disk.forgotten > 0
