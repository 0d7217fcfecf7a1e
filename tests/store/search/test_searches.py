"""Searches take turns: what one user asks for holds up no other; and each has a bound."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from gochat import store as stores
from gochat.errors import Full, StoreError, TooCostly
from gochat.store.read import overview
from gochat.store.read.pool import Readers, threads
from gochat.store.search import searches
from gochat.store.search.searches import MOST, MOST_OF_USER, THREADS, Budget, Searches


def opens() -> sqlite3.Connection:
    """A database each, with nothing in it."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


@contextlib.contextmanager
def searching() -> Iterator[Searches]:
    readers = Readers(threads(opens, THREADS), together=1)
    try:
        yield Searches(readers)
    finally:
        readers.stop()
        readers.join()


class Gate:
    """A search that runs until it is opened, and notes who runs."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.full = threading.Event()
        """All threads are at work."""
        self.running: list[str] = []
        self.began: list[str] = []
        self.turns: list[str] = []
        """The users who got a turn, in order; which thread begins first is the kernel's to decide."""
        self.most: dict[str, int] = {}

    def job(self, user: str) -> Any:
        def run(_: sqlite3.Connection, __: Budget) -> None:
            self.began.append(user)
            self.running.append(user)
            if len(self.running) == THREADS:
                self.full.set()
            self.most[user] = max(self.most.get(user, 0), self.running.count(user))
            self.opened.wait(10)
            self.running.remove(user)

        return run


async def search(turns: Searches, user: str, gate: Gate) -> None:
    async with turns.turn(user) as turn:
        gate.turns.append(user)
        await turn.read(gate.job(user))


async def test_one_search_of_a_user_runs_and_users_take_turns() -> None:
    gate = Gate()
    with searching() as turns, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for user in ["hog"] * 6 + ["ann", "bob", "ann", "cat"]:
                nursery.start_soon(search, turns, user, gate)
                await trio.testing.wait_all_tasks_blocked()
            assert gate.full.wait(5)
            assert sorted(gate.began) == ["ann", "hog"], "ann does not wait behind hog"
            gate.opened.set()
    assert gate.most == dict.fromkeys(["hog", "ann", "bob", "cat"], 1)
    assert max(gate.turns.index("bob"), gate.turns.index("cat")) <= 5, "each of hog's waits for all others"


async def test_who_waits_too_long_is_told_so_and_nobody_else(autojump_clock: trio.abc.Clock) -> None:
    gate = Gate()
    with searching() as turns:
        async with trio.open_nursery() as nursery:
            for user in ("hog", "pig"):
                nursery.start_soon(search, turns, user, gate)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            for user in ("ann", "hog"):
                with pytest.raises(Full):
                    async with turns.turn(user):
                        pass
            assert trio.current_time() - began == pytest.approx(2 * searches.WAIT_S)
            gate.opened.set()
        async with turns.turn("ann") as turn:
            assert await turn.read(lambda connection, _: connection.execute("SELECT 1").fetchone()) == (1,)


async def test_no_more_wait_than_may() -> None:
    gate = Gate()
    with searching() as turns, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for user in ["hog"] * (MOST_OF_USER + 1) + ["ann"]:
                nursery.start_soon(search, turns, user, gate)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Full):
                await search(turns, "hog", gate)
            gate.opened.set()


async def test_when_as_many_wait_as_may_the_last_of_the_greediest_is_refused() -> None:
    gate, refused = Gate(), list[str]()

    async def ask(turns: Searches, user: str) -> None:
        try:
            await search(turns, user, gate)
        except Full:
            refused.append(user)

    hogs = [f"hog{n}" for n in range(MOST // MOST_OF_USER)]
    with searching() as turns, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for user in ["one", "two", *hogs * MOST_OF_USER]:
                nursery.start_soon(ask, turns, user)
                if user == "two":
                    await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            assert refused == []
            nursery.start_soon(ask, turns, "ann")
            await trio.testing.wait_all_tasks_blocked()
            assert len(refused) == 1 and refused[0] in hogs, "ann waits for her turn with the others"
            with pytest.raises(Full):
                await search(turns, next(hog for hog in hogs if hog not in refused), gate)
            gate.opened.set()
    assert "ann" in gate.began


async def test_where_nobody_is_greedy_the_newcomer_is_refused() -> None:
    gate = Gate()
    with searching() as turns, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for n in range(MOST + THREADS):
                nursery.start_soon(search, turns, f"u{n}", gate)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(Full):
                await search(turns, "bob", gate)
            gate.opened.set()


async def test_what_nobody_waits_for_is_not_run() -> None:
    gate, closed = Gate(), set[str]()

    async def ask(turns: Searches, user: str) -> None:
        with contextlib.suppress(Full):
            async with turns.turn(user, lambda: user not in closed) as turn:
                await turn.read(gate.job(user))

    with searching() as turns, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for user in ("hog", "pig"):
                nursery.start_soon(search, turns, user, gate)
            await trio.testing.wait_all_tasks_blocked()
            for user in ("ann", "bob"):
                nursery.start_soon(ask, turns, user)
            with trio.CancelScope() as gone:
                async with trio.open_nursery() as waiting:
                    waiting.start_soon(search, turns, "cat", gate)
                    await trio.testing.wait_all_tasks_blocked()
                    gone.cancel()
            closed.add("ann")
            gate.opened.set()
    assert sorted(gate.began) == ["bob", "hog", "pig"]


def endless(connection: sqlite3.Connection, budget: Budget) -> None:
    connection.execute("WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c")


def many_looks(connection: sqlite3.Connection, budget: Budget) -> None:
    while True:
        connection.execute("SELECT 1").fetchone()
        budget.spend()


@pytest.mark.parametrize("job", [endless, many_looks])
async def test_one_that_takes_too_long_is_given_up(job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "SEARCH_S", 0.05)
    with searching() as turns, trio.fail_after(60):
        with pytest.raises(TooCostly):
            async with turns.turn("ann") as turn:
                await turn.read(job)
        with pytest.raises(StoreError, match="no such table"):
            async with turns.turn("ann") as turn:
                await turn.read(lambda connection, _: connection.execute("SELECT 1 FROM nowhere"))


async def test_one_that_looks_at_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "ROWS", 3)
    budget = Budget()
    budget.spend(3)
    with pytest.raises(TooCostly):
        budget.spend()


@pytest.mark.parametrize("job", [endless, many_looks])
async def test_one_whose_user_is_gone_ends(job: Any) -> None:
    """A closed session's, and one that was cancelled: what comes next does not wait for its 2 s."""
    gone = False
    with searching() as turns, trio.fail_after(searches.SEARCH_S * 0.9):

        async def ask() -> None:
            async with turns.turn("ann", lambda: not gone) as turn:
                await turn.read(job)

        for way in ("closed", "cancelled"):
            gone = False
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_quiet, ask)
                await trio.testing.wait_all_tasks_blocked()
                if way == "closed":
                    gone = True
                else:
                    nursery.cancel_scope.cancel()
        for _ in range(THREADS):
            async with turns.turn("bob") as turn:
                await turn.read(lambda connection, _: connection.execute("SELECT 1").fetchone())


async def _quiet(ask: Any) -> None:
    with contextlib.suppress(TooCostly):
        await ask()


async def test_admins_who_look_for_groups_hold_up_no_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, begun = threading.Event(), threading.Semaphore(0)

    def look(*_: Any) -> tuple[list[str], None]:
        begun.release()
        opened.wait(60)
        return [], None

    monkeypatch.setattr(overview, "groups_named", look)
    with trio.fail_after(60):
        async with stores.open(tmp_path / "chat.db") as store, trio.open_nursery() as nursery:
            try:
                for admin in ("ann", "bob", "cat", "dan", "eve"):
                    nursery.start_soon(store.archive.groups_named, admin, None, ["tea"], 10, None)
                for _ in range(THREADS):
                    await trio.to_thread.run_sync(begun.acquire)
                assert (await store.archive.welcome("zoe", 10, [])).rooms == []
            finally:
                opened.set()
