"""The life of an actor: batches, reading, crashes, and the end when it is idle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from gochat.actors.actor import Actor, Registry
from gochat.actors.phases import IDLE, PREPARING
from gochat.actors.run_queue import RunQueue
from gochat.actors.supervisor import Intensity, Supervisor
from gochat.errors import Denied, Full, StoreError
from tests.waiting import until


class Counter(Actor[str]):
    """Takes words; crashes on "boom", reads before it takes "ask", and can't read for "fault" and "full"."""

    def __init__(
        self, address: str, registry: Registry[Any], book: dict[str, list[Any]], load_error: Exception | None = None
    ) -> None:
        super().__init__(address, 5, registry)
        self.book = book
        self.load_error = load_error
        self.loaded = False

    def is_prepared(self, waiting: list[str]) -> bool:
        return self.loaded and not {"ask", "fault", "full"} & set(waiting)

    async def load(self) -> None:
        if self.loaded:
            return
        self.book.setdefault("loads", []).append(self.address)
        for gate in self.book.get("gates", ()):
            await gate.wait()
        if self.load_error is not None:
            raise self.load_error
        self.loaded = True

    async def prefetch(self, batch: list[str]) -> None:
        await trio.lowlevel.checkpoint()
        if "fault" in batch:
            raise StoreError("planted")
        if "full" in batch:
            raise Full("planted")

    def decide(self, batch: list[str]) -> None:
        self.book.setdefault("batches", []).append(list(batch))
        if "boom" in batch:
            raise RuntimeError("planted")
        self.book.setdefault("done", []).extend(batch)
        self.finish()

    def refuse(self, mail: str, denied: Denied) -> None:
        self.book.setdefault("refused", []).append((mail, denied.code))

    def forget(self) -> None:
        self.loaded = False

    def given_up(self) -> None:
        self.book.setdefault("given up", []).append(self.address)


@asynccontextmanager
async def counters(
    book: dict[str, list[Any]],
    intensity: Intensity = Intensity(),
    load_error: Exception | None = None,
    capacity: int = 10,
) -> AsyncIterator[tuple[Registry[Counter], Supervisor]]:
    queue = RunQueue()
    make = partial(Counter, book=book, load_error=load_error)
    with trio.fail_after(60):
        async with Supervisor("s", intensity) as supervisor, trio.open_nursery() as nursery:
            nursery.start_soon(queue.run)
            yield Registry(supervisor, queue, make, capacity), supervisor
            nursery.cancel_scope.cancel()


async def test_what_comes_within_a_tick_is_one_batch(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book) as (registry, _):
        for word in ("a", "b", "c"):
            registry.tell("x", word)
            if word in "bc":
                await trio.sleep(1)
    assert book["batches"] == [["a", "b"], ["c"]]


async def test_reading_costs_a_task_and_other_turns_none(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book) as (registry, supervisor):
        registry.tell("x", "a")
        await trio.sleep(1)
        running = [0]
        for word, tasks in (("b", 0), ("ask", 1)):
            registry.tell("x", word)
            await until(lambda: registry.at("x").idle, lambda: running.append(len(supervisor)))
            assert max(running) == tasks, word
            await trio.sleep(1)
            assert len(supervisor) == 0, "and that only as long as it reads"
        for word in ("fault", "full"):
            registry.tell("x", word)
            await trio.sleep(1)
        registry.tell("x", "c")
        await trio.sleep(1)
    assert book["done"] == ["a", "b", "ask", "c"]
    assert book["refused"] == [("fault", "unavailable"), ("full", "busy")]
    assert book["loads"] == ["x"]


async def test_mail_that_comes_while_an_actor_reads_is_the_next_batch(autojump_clock: object) -> None:
    gate = trio.Event()
    book: dict[str, list[Any]] = {"gates": [gate]}
    async with counters(book) as (registry, _):
        registry.tell("x", "a")
        actor = registry.at("x")
        await trio.testing.wait_all_tasks_blocked()
        assert actor.phase == PREPARING
        assert not len(actor.mailbox)
        for word in ("b", "c"):
            registry.tell("x", word)
        gate.set()
        await trio.sleep(1)
        assert actor.idle
    assert book["batches"] == [["a"], ["b", "c"]]


async def test_turns_wait_while_an_actor_is_held(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book) as (registry, _):
        actor = registry.at("x")
        actor.held = True
        registry.tell("x", "a")
        await trio.sleep(1)
        assert "batches" not in book and not actor.idle
        registry.tell("x", "b")
        actor.release()
        await trio.sleep(1)
    assert book["batches"] == [["a", "b"]]


@pytest.mark.parametrize("in_memory", [False, True])
async def test_the_mail_that_crashes_is_set_aside_and_the_rest_goes_on(autojump_clock: object, in_memory: bool) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book, Intensity(20, 10)) as (registry, _):
        if in_memory:
            registry.tell("x", "ask")
            await trio.sleep(1)
            book.clear()
        for word in ("a", "boom", "b"):
            registry.tell("x", word)
        await trio.sleep(5)
        registry.tell("x", "c")
        await trio.sleep(1)
    assert book["done"] == ["a", "b", "c"]
    assert book["refused"] == [("boom", "internal")]
    assert book["loads"] == ["x"] * (2 if in_memory else 3), "its state is rebuilt after each crash"


async def test_a_state_that_cant_be_loaded_answers_the_mail(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book, load_error=StoreError("planted")) as (registry, _):
        registry.tell("x", "a")
        await trio.sleep(1)
        assert registry.at("x").phase == IDLE
    assert book["refused"] == [("a", "unavailable")]


async def test_an_actor_that_always_crashes_is_given_up_without_its_neighbour(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book, Intensity(2, 10)) as (registry, _):
        for _ in range(5):
            registry.tell("bad", "boom")
        registry.tell("good", "a")
        await trio.sleep(5)
        assert registry.get("bad") is None
        assert registry.get("good") is not None
    assert sorted(book["refused"]) == [("boom", "internal")] * 5, "everybody is answered"
    assert (book["done"], book["given up"]) == (["a"], ["bad"])


async def test_an_actor_is_dropped_when_idle_and_made_anew_for_the_next_mail(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book) as (registry, supervisor):
        registry.tell("x", "a")
        await trio.sleep(1)
        first = registry.get("x")
        assert registry.passivate_idle(before=trio.current_time() - 100) == 0, "its last turn was a moment ago"
        registry.tell("x", "b")
        assert registry.passivate_idle(before=trio.current_time() + 1) == 0, "there is mail"
        await trio.sleep(1)
        assert registry.passivate_idle(before=trio.current_time()) == 1
        assert len(registry) == 0
        registry.tell("x", "c")
        await trio.sleep(1)
        assert registry.get("x") is not first
        assert len(supervisor) == 0
    assert book["done"] == ["a", "b", "c"]


async def test_a_registry_has_its_bound(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with counters(book, capacity=1) as (registry, _):
        registry.tell("x", "a")
        with pytest.raises(Full):
            registry.tell("y", "a")
        assert (registry.activated, registry.refused) == (1, 1)
        full = registry.at("x").mailbox
        while len(full) < full.capacity:
            registry.tell("x", "b")
        with pytest.raises(Full):
            registry.tell("x", "b")
        assert (registry.activated, registry.refused) == (1, 2)
