"""Links to sign in by: each is good once in a cluster, and one that waits for the log holds up nobody else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gochat.auth import tokens as auth
from gochat.auth.standing import REVOKED, SUSPENDED, Standing
from gochat.auth.tickets import USED, Tickets
from gochat.cluster import faults
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.own import DEADLINE_S
from gochat.config import Settings
from gochat.domain.side_records import AnyStanding, Revoked, Suspended
from gochat.errors import AuthError, StoreError
from gochat.store import Store
from gochat.wall_clock import wall_ms
from tests.cluster.joining import SECRET, new_log, serving
from tests.e2e.conftest import make_settings

#: How long a call of the server takes while it is slow.
SLOW_S = 2.0


class Desk:
    """Where a node takes tickets."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.standing = Standing()
        self.journal = store.journal
        self.entries: list[AnyStanding] = []
        self.journal.enforce(self._enforce)
        self.outcomes: list[str] = []
        self._tickets = Tickets(settings, self.standing, store.journal)

    def _enforce(self, entry: AnyStanding) -> None:
        self.entries.append(entry)
        self.standing.apply(entry)

    async def redeem(self, ticket: str) -> None:
        try:
            await self._tickets.redeem(ticket)
        except AuthError as error:
            self.outcomes.append(str(error))
        except StoreError as error:
            self.outcomes.append("unknown" if error.unknown else "not now")
        else:
            self.outcomes.append("a token")

    async def record(self, entry: AnyStanding) -> None:
        """As an admin does."""
        async with self.standing.changing:
            await self.journal.append_side_records([entry])


class House:
    def __init__(self, settings: Settings, server: MemoryServer, stores: Sequence[Store]) -> None:
        self.server = server
        self.desks = [Desk(settings, store) for store in stores]
        self._issuer = auth.issuer(settings)

    def ticket(self, user: str = "ann") -> str:
        return self._issuer.ticket(user, now_s=int(time.time()) - 10, ttl_s=600, token_ttl_s=3_600)

    @property
    def outcomes(self) -> list[str]:
        return sorted(outcome for desk in self.desks for outcome in desk.outcomes)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    server = await new_log()
    async with serving(server, "north", "south") as stores:
        yield House(make_settings(tmp_path, auth={"secret": SECRET}), server, stores)


@pytest.mark.parametrize("desks", [(0, 0, 0), (0, 1, 0, 1)])
async def test_of_those_who_open_a_link_at_once_one_gets_a_token(
    autojump_clock: MockClock, house: House, desks: Sequence[int]
) -> None:
    house.server.strike(faults.Slow(delay_s=0.1))
    ticket = house.ticket()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for desk in desks:
                nursery.start_soon(house.desks[desk].redeem, ticket)
        for desk in house.desks:
            await desk.journal.barrier()
            await desk.redeem(ticket)
    assert house.outcomes == ["a token"] + [USED] * (len(desks) + 1)
    assert [len(desk.entries) for desk in house.desks] == [len(set(desks))] * 2, "one of each node that was asked"


async def test_links_and_admins_do_not_wait_for_each_other(autojump_clock: MockClock, house: House) -> None:
    north, _ = house.desks
    house.server.strike(faults.Slow(node="north", delay_s=SLOW_S))
    began = trio.current_time()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for user in ("ann", "bob", "cat"):
                nursery.start_soon(north.redeem, house.ticket(user))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(north.record, Suspended("dan", True, wall_ms()))
    assert north.outcomes == ["a token"] * 3
    assert trio.current_time() - began <= DEADLINE_S + SLOW_S


@pytest.mark.parametrize("entry", [Suspended("ann", True, 0), Revoked("user", "ann", 0)], ids=["suspended", "revoked"])
async def test_no_token_is_given_once_the_users_access_has_ended(
    autojump_clock: MockClock, house: House, entry: AnyStanding
) -> None:
    """The suspension comes into the log before the use of the link does, and after it was looked for."""
    north, south = house.desks
    house.server.strike(faults.Slow(node="north", delay_s=0.5))
    if isinstance(entry, Revoked):
        entry = Revoked("user", "ann", wall_ms())
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(south.record, entry)
            nursery.start_soon(north.redeem, house.ticket())
    assert north.outcomes == [SUSPENDED if isinstance(entry, Suspended) else REVOKED]


async def test_a_link_whose_use_is_recorded_too_late_is_used(autojump_clock: MockClock, house: House) -> None:
    north, south = house.desks
    house.server.strike(faults.Slow(node="north", delay_s=DEADLINE_S + 1))
    ticket = house.ticket()
    with trio.fail_after(120):
        await north.redeem(ticket)
        assert north.outcomes == ["unknown"]
        house.server.strike(faults.Slow(node="north"))
        await trio.sleep(2 * DEADLINE_S)
        for desk in (north, south):
            await desk.redeem(ticket)
    assert house.outcomes == [USED, USED, "unknown"]
