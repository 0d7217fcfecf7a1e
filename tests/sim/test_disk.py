"""The simulated disk forgets what SQLite's would: everything after the last sync, or nothing."""

from __future__ import annotations

import sqlite3
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gochat.errors import StoreError
from gochat.sim.disk import Disk


class Machine:
    """A disk under power."""

    def __init__(self) -> None:
        self.disk = Disk(Random(1))
        self.power = self.disk.power_on()
        self.connect().execute("CREATE TABLE t (a)")

    def connect(self) -> sqlite3.Connection:
        return self.disk.connect(self.power)

    def lose_power(self, *, keep: bool = False) -> list[int]:
        """The values that are there afterwards."""
        self.disk.power_off(keep=keep)
        self.power = self.disk.power_on()
        return [a for (a,) in self.connect().execute("SELECT a FROM t ORDER BY a")]


@pytest.fixture
def disk() -> Machine:
    return Machine()


def write(disk: Machine, value: int, *, synced: bool = True) -> None:
    connection = disk.connect()
    if not synced:
        connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    connection.execute("COMMIT")
    if not synced:
        connection.execute("PRAGMA synchronous = FULL")


def test_a_synced_commit_is_kept_and_a_later_one_is_not(disk: Machine) -> None:
    write(disk, 1)
    write(disk, 2, synced=False)
    write(disk, 3, synced=False)
    assert disk.lose_power() == [1]


def test_it_may_be_kept_by_luck(disk: Machine) -> None:
    write(disk, 1)
    write(disk, 2, synced=False)
    assert disk.lose_power(keep=True) == [1, 2]


def test_a_sync_keeps_all_that_came_before_it(disk: Machine) -> None:
    write(disk, 1, synced=False)
    write(disk, 2)
    assert disk.lose_power() == [1, 2]


def test_a_transaction_that_is_open_is_lost(disk: Machine) -> None:
    write(disk, 1)
    connection = disk.connect()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (2)")
    assert disk.lose_power(keep=True) == [1]


@pytest.mark.parametrize(("how", "there"), [("lost", [1]), ("full", [1]), ("kept", [1, 2])])
def test_a_commit_that_fails_is_there_or_not(disk: Machine, how: str, there: list[int]) -> None:
    write(disk, 1)
    disk.disk.fail(how)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.OperationalError):
        write(disk, 2)
    disk.connect().close()
    assert disk.lose_power() == there


def test_a_reading_does_not_fail_in_the_place_of_a_commit(disk: Machine) -> None:
    connection = disk.connect()
    disk.disk.fail("lost")
    connection.execute("BEGIN")
    assert connection.execute("SELECT a FROM t").fetchall() == []
    connection.execute("COMMIT")
    with pytest.raises(sqlite3.OperationalError):
        write(disk, 1)


async def test_a_job_is_done_some_time_later_and_told_later_still(disk: Machine, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        worker = disk.disk.workers(nursery, disk.power)(disk.connect)
        began = trio.current_time()
        assert await worker.call(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
        assert trio.current_time() > began
        disk.disk.stall(10.0)
        await worker.call(lambda _: None)
        assert trio.current_time() >= began + 10.0
        nursery.cancel_scope.cancel()


async def test_without_power_jobs_fail_and_write_nothing(disk: Machine, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        worker = disk.disk.workers(nursery, disk.power)(disk.connect)
        told = []
        worker.submit(lambda _: write(disk, 1), told.append)
        disk.disk.power_off(keep=True)
        with pytest.raises(StoreError):
            await worker.call(lambda connection: connection.execute("SELECT 1"))
        with pytest.raises(StoreError):
            told[0].unwrap()
        nursery.cancel_scope.cancel()
    disk.power = disk.disk.power_on()
    assert disk.lose_power() == []
