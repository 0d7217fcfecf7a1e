"""The life of an actor: batches, crashes, rest."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from gochat.actors.actor import Actor, Registry
from gochat.actors.supervisor import Intensity, Supervisor
from gochat.errors import Denied, Full, StoreError


class Counter(Actor[str]):
    """Takes words; crashes on "boom"."""

    lives: dict[str, int]

    def __init__(self, address: str, book: dict[str, list[Any]], load_error: Exception | None = None) -> None:
        super().__init__(address, 5)
        self.book = book
        self.load_error = load_error

    async def load(self) -> None:
        self.book.setdefault("loads", []).append(self.address)
        if self.load_error is not None:
            raise self.load_error

    async def turn(self, batch: list[str]) -> None:
        self.book.setdefault("batches", []).append(list(batch))
        await trio.lowlevel.checkpoint()
        if "boom" in batch:
            raise RuntimeError("planted")
        self.book.setdefault("done", []).extend(batch)
        batch.clear()

    def refuse(self, mail: str, denied: Denied) -> None:
        self.book.setdefault("refused", []).append((mail, denied.code))


async def test_the_mail_that_crashes_is_set_aside_and_the_rest_goes_on(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    with trio.fail_after(60):
        async with Supervisor("s", Intensity(20, 10)) as supervisor:
            registry: Registry[Counter] = Registry(supervisor, lambda address: Counter(address, book), 10)
            for word in ("a", "boom", "b"):
                registry.tell("x", word)
            await trio.sleep(5)
            registry.tell("x", "c")
            await trio.sleep(1)
    assert book["done"] == ["a", "b", "c"]
    assert book["refused"] == [("boom", "internal")]
    assert book["loads"] == ["x"] * 3, "its state is rebuilt after each crash"


async def test_a_state_that_cant_be_loaded_answers_the_mail(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    with trio.fail_after(60):
        async with Supervisor("s") as supervisor:
            registry = Registry(supervisor, lambda a: Counter(a, book, StoreError("planted")), 10)
            registry.tell("x", "a")
            await trio.sleep(1)
    assert book["refused"] == [("a", "unavailable")]


async def test_an_actor_that_always_crashes_is_given_up_without_its_neighbour(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    with trio.fail_after(60):
        async with Supervisor("s", Intensity(2, 10)) as supervisor:
            registry: Registry[Counter] = Registry(supervisor, lambda address: Counter(address, book), 10)
            for _ in range(5):
                registry.tell("bad", "boom")
            registry.tell("good", "a")
            await trio.sleep(5)
            assert registry.get("bad") is None
            assert registry.get("good") is not None
    assert sorted(book["refused"]) == [("boom", "internal")] * 5, "everybody is answered"
    assert book["done"] == ["a"]


async def test_rest_and_first_mail(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    with trio.fail_after(60):
        async with Supervisor("s") as supervisor:
            registry: Registry[Counter] = Registry(supervisor, lambda address: Counter(address, book), 10)
            registry.tell("x", "a")
            await trio.sleep(1)
            first = registry.get("x")
            assert registry.rest_idle(before=trio.current_time() - 100) == 0, "its last turn was a moment ago"
            registry.tell("x", "b")
            assert registry.rest_idle(before=trio.current_time() + 1) == 0, "there is mail"
            await trio.sleep(1)
            assert registry.rest_idle(before=trio.current_time()) == 1
            assert len(registry) == 0
            registry.tell("x", "c")
            await trio.sleep(1)
            assert registry.get("x") is not first
            await trio.testing.wait_all_tasks_blocked()
            assert len(supervisor) == 1, "the rested actor's task has ended"
    assert book["done"] == ["a", "b", "c"]


async def test_a_registry_has_its_bound(autojump_clock: object) -> None:
    book: dict[str, list[Any]] = {}
    async with Supervisor("s") as supervisor:
        registry: Registry[Counter] = Registry(supervisor, lambda address: Counter(address, book), 1)
        registry.tell("x", "a")
        try:
            registry.tell("y", "a")
        except Full:
            pass
        else:
            raise AssertionError("a second actor was started")
        assert (registry.woken, registry.refused) == (1, 1)
        full = registry.at("x").mailbox
        while len(full) < full.capacity:
            registry.tell("x", "b")
        with pytest.raises(Full):
            registry.tell("x", "b")
        assert (registry.woken, registry.refused) == (1, 2)
