"""Links that are opened many times at once: one use is recorded, and other links do not wait for it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat.auth import tokens as auth
from gochat.auth.standing import Standing
from gochat.auth.tickets import RECORD_S, USED, Tickets
from gochat.config import Settings
from gochat.errors import AuthError, Full, StoreError
from tests.e2e.conftest import make_settings


class SlowJournal:
    """Records after `delay_s`. `then` holds what happens instead of the next appends."""

    def __init__(self) -> None:
        self.delay_s = 5.0
        self.entries: list[Any] = []
        self.then: list[Exception] = []
        self.asked = 0

    async def append_side_records(self, side_records: Sequence[Any], *, room: str = "") -> None:
        self.asked += 1
        await trio.sleep(self.delay_s)
        if self.then:
            raise self.then.pop(0)
        self.entries += side_records


class Desk:
    """Where a node takes tickets."""

    def __init__(self, settings: Settings) -> None:
        self.journal: Any = SlowJournal()
        self.outcomes = Counter[str]()
        self._tickets = Tickets(settings, Standing(), self.journal)
        self._issuer = auth.issuer(settings)

    def ticket(self, user: str = "ann", ttl_s: int = 600) -> str:
        return self._issuer.ticket(user, now_s=int(time.time()), ttl_s=ttl_s, token_ttl_s=3_600)

    async def redeem(self, ticket: str) -> None:
        try:
            granted = await self._tickets.redeem(ticket)
        except (AuthError, Full, StoreError) as error:
            self.outcomes[str(error)] += 1
        else:
            self.outcomes[granted.user] += 1

    async def redeem_often(self, ticket: str, times: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(times):
                nursery.start_soon(self.redeem, ticket)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(make_settings(tmp_path, auth={"secret": "x" * 40}))


async def test_one_use_is_recorded_of_a_link_that_is_opened_many_times_at_once(
    autojump_clock: MockClock, desk: Desk
) -> None:
    await desk.redeem_often(desk.ticket(), 20)
    assert desk.outcomes == {"ann": 1, USED: 19}
    assert len(desk.journal.entries) == 1


async def test_links_do_not_wait_for_each_other(autojump_clock: MockClock, desk: Desk) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for user in ("ann", "bob", "cat"):
            nursery.start_soon(desk.redeem_often, desk.ticket(user), 3)
    assert desk.outcomes == {"ann": 1, "bob": 1, "cat": 1, USED: 6}
    assert trio.current_time() - began < 2 * desk.journal.delay_s


@pytest.mark.parametrize("error", [StoreError("the disk is full"), Full("too many entries wait")], ids=type)
async def test_where_a_use_can_not_be_recorded_the_next_request_has_its_turn(
    autojump_clock: MockClock, desk: Desk, error: Exception
) -> None:
    desk.journal.then = [error, error]
    await desk.redeem_often(desk.ticket(), 5)
    assert desk.outcomes == {str(error): 2, "ann": 1, USED: 2}
    assert (desk.journal.asked, len(desk.journal.entries)) == (3, 1)


async def test_a_journal_that_never_answers_holds_up_no_request_for_good(autojump_clock: MockClock, desk: Desk) -> None:
    """Not even one that is cancelled, since its node goes down with its journal."""
    desk.journal.delay_s = float("inf")
    began = trio.current_time()
    with trio.move_on_after(1):
        await desk.redeem(desk.ticket())
    assert trio.current_time() - began <= RECORD_S
    assert desk.outcomes == {"the use of a ticket was not recorded in time": 1}


async def first_is_cancelled(desk: Desk, ticket: str) -> trio.CancelScope:
    """Of four requests for a link the first, whose use is being recorded."""
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def is_cancelled() -> None:
            with first:
                await desk.redeem(ticket)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(is_cancelled)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(desk.redeem_often, ticket, 3)
        await trio.sleep(1)
        first.cancel()
    return first


async def test_a_request_that_is_cancelled_has_used_the_link_up_and_nobody_records_it_again(
    autojump_clock: MockClock, desk: Desk
) -> None:
    first = await first_is_cancelled(desk, desk.ticket())
    assert first.cancelled_caught
    assert desk.outcomes[USED] == 3
    assert len(desk.journal.entries) == 1


async def test_a_request_that_is_cancelled_while_it_waits_holds_up_nobody(
    autojump_clock: MockClock, desk: Desk
) -> None:
    ticket = desk.ticket()
    desk.journal.then = [StoreError("the disk is full")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.redeem, ticket)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await desk.redeem(ticket)
        await desk.redeem(ticket)
    assert desk.outcomes == {"the disk is full": 1, "ann": 1}
    assert len(desk.journal.entries) == 1


async def test_a_link_that_is_too_old_once_its_turn_comes_is_refused(
    autojump_clock: MockClock, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = desk.ticket()
    desk.journal.then = [StoreError("the disk is full")]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.redeem, ticket)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(desk.redeem, ticket)
        await trio.sleep(1)
        late_s = time.time() + 3_600
        monkeypatch.setattr("time.time", lambda: late_s)
    assert desk.outcomes["ann"] == 0 and desk.journal.asked == 1


async def test_after_a_request_that_is_cancelled_and_fails_the_next_has_its_turn(
    autojump_clock: MockClock, desk: Desk
) -> None:
    desk.journal.then = [StoreError("the disk is full")]
    await first_is_cancelled(desk, desk.ticket())
    assert desk.outcomes == {"the disk is full": 1, "ann": 1, USED: 2}
    assert len(desk.journal.entries) == 1
