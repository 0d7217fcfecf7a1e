"""The reading connections: what one tick asks for is read at one moment, and each call is told its own."""

from __future__ import annotations

import errno
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import trio

from gochat import store as stores
from gochat.errors import StoreError
from gochat.store import schema, thread
from gochat.store import store as opening
from gochat.store.health import Health
from gochat.store.read.pool import THREADS, TOGETHER, Readers, threads
from gochat.store.thread import Inline


@contextmanager
def reading(path: Path, *, inline: bool = False, count: int = THREADS, **options: int) -> Iterator[Readers]:
    with sqlite3.connect(path) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE IF NOT EXISTS n (value)")
    writer.close()

    def opens() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    workers = [Inline(opens, closes=sqlite3.Connection.close)] if inline else threads(opens, count)
    readers = Readers(workers, **options)
    try:
        yield readers
    finally:
        readers.stop()
        readers.join()


class Slow:
    """A job that says when it began, and ends when it may."""

    def __init__(self) -> None:
        self.began, self.goes_on = threading.Event(), threading.Event()

    def __call__(self, _: sqlite3.Connection) -> None:
        self.began.set()
        self.goes_on.wait(10)


def count(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT count(*) FROM n").fetchone()[0]
    return number


async def collect(readers: Readers, jobs: list[object]) -> list[object]:
    """The result or the error of each of the jobs, all asked for in one tick."""
    told: list[object] = [None] * len(jobs)

    async def ask(position: int) -> None:
        try:
            told[position] = await readers.call(jobs[position])  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is what is looked at
            told[position] = error

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for position in range(len(jobs)):
                nursery.start_soon(ask, position)
    return told


async def test_a_tick_is_read_in_one_transaction_and_one_thread(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    def first(connection: sqlite3.Connection) -> tuple[int, int]:
        before = count(connection)
        with sqlite3.connect(path) as writer:
            writer.execute("INSERT INTO n VALUES (1)")
        writer.close()
        return before, threading.get_ident()

    def second(connection: sqlite3.Connection) -> tuple[int, int]:
        return count(connection), threading.get_ident()

    with reading(path) as readers:
        told = await collect(readers, [first, second, first])
        assert len(set(told)) == 1
        assert await readers.call(count) == 2  # The next tick sees what was written meanwhile.


async def test_what_one_raises_is_its_own_affair(tmp_path: Path) -> None:
    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT * FROM nowhere")

    def crashing(connection: sqlite3.Connection) -> None:
        raise ValueError("a fault")

    with reading(tmp_path / "a.db") as readers:
        told = await collect(readers, [count, wrong, count, crashing, count])
        assert [type(each) for each in told] == [int, StoreError, int, ValueError, int]
        assert "no such table" in str(told[1])
        assert await readers.call(count) == 0


@pytest.mark.parametrize("jobs", [1, TOGETHER, TOGETHER * 10 + 3])
@pytest.mark.parametrize("inline", [False, True])
async def test_any_number_is_answered_in_its_own_place(tmp_path: Path, jobs: int, inline: bool) -> None:
    with reading(tmp_path / "a.db", inline=inline) as readers:
        asked: list[object] = [partial(lambda number, connection: number, number) for number in range(jobs)]
        assert await collect(readers, asked) == list(range(jobs))


async def test_a_call_that_is_cancelled_harms_no_other(tmp_path: Path) -> None:
    slow = Slow()
    with reading(tmp_path / "a.db", count=1) as readers:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readers.call, slow)
            await trio.to_thread.run_sync(slow.began.wait)
            with trio.CancelScope() as scope:
                scope.cancel()
                await readers.call(count)
            assert scope.cancelled_caught
            nursery.start_soon(trio.lowlevel.checkpoint)
            nursery.start_soon(collect, readers, [count])
            slow.goes_on.set()
        assert await readers.call(count) == 0


async def test_while_one_thread_is_slow_others_read(tmp_path: Path) -> None:
    slow = Slow()
    with reading(tmp_path / "a.db", count=2) as readers:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readers.call, slow)
            await trio.to_thread.run_sync(slow.began.wait)
            assert await readers.call(count) == 0
            slow.goes_on.set()


async def test_who_cannot_read_is_told_each_for_themselves(tmp_path: Path) -> None:
    def opens() -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open")

    readers = Readers(threads(opens))
    told = await collect(readers, [count, count])
    assert [type(each) for each in told] == [StoreError, StoreError]
    assert told[0] is not told[1]
    readers.stop()
    readers.join()


async def test_a_thread_that_cannot_open_takes_no_work_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, lost = Health(), threading.Event()
    with reading(tmp_path / "a.db"):
        pass

    def opens() -> sqlite3.Connection:
        if threading.current_thread().name == "reader 0":
            lost.set()
            raise OSError(errno.EMFILE, "too many open files")
        return sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(thread, "RETRY_S", 1e6)
    readers = Readers(threads(opens, health=health), health)
    try:
        with trio.fail_after(60):
            await trio.to_thread.run_sync(lost.wait)
            for _ in range(30):
                assert await collect(readers, [count] * (3 * TOGETHER)) == [0] * (3 * TOGETHER)
            assert health.failed_reads == 1
    finally:
        readers.stop()
        readers.join()


async def test_when_the_files_can_be_opened_again_all_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [True]

    def opens() -> sqlite3.Connection:
        if broken:
            raise sqlite3.OperationalError("unable to open")
        return sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(thread, "RETRY_S", 0.01)
    readers = Readers(threads(opens))
    try:
        with trio.fail_after(60):
            with pytest.raises(StoreError, match="can't be opened: unable to open"):
                await readers.call(lambda _: 1)
            broken.clear()
            while True:
                with suppress(StoreError):
                    assert await readers.call(lambda _: 1) == 1
                    break
    finally:
        readers.stop()
        readers.join()


async def test_a_store_that_nothing_can_be_read_from_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = schema.connect

    def in_the_loop_or_to_write(path: str, *, read_only: bool = False) -> sqlite3.Connection:
        if read_only and threading.current_thread() is not threading.main_thread():
            raise sqlite3.OperationalError("unable to open")
        return connect(path, read_only=read_only)

    monkeypatch.setattr(opening, "connect", in_the_loop_or_to_write)
    with trio.fail_after(60), pytest.raises(StoreError, match="can't be opened: unable to open"):
        async with stores.open(tmp_path / "gochat.db"):
            pass
