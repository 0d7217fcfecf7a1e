"""A node whose own record does not say that it counts answers repairs all the same: others may know better."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.journal import joined
from gochat.cluster.membership import Membership
from gochat.domain.side_records import Audited
from tests.cluster.joining import inline, journal_of, new_log, serving, shared, until

pytestmark = pytest.mark.usefixtures("one_clock")


@pytest.mark.parametrize("entries", [1, 3, 40])
async def test_a_node_that_has_not_recorded_that_it_counts_holds_up_no_repair(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, entries: int
) -> None:
    """The other one has recorded it, and waits for its answer."""
    server = await new_log()
    async with serving(server, "north") as (other,), inline() as store:
        north = journal_of(other)
        await trio.sleep(2)
        follow, become, is_stalled = store.replica.follow, Membership.here, False

        async def stall(certifier: object, news: object) -> object:
            """As on a disk that stands still."""
            while is_stalled:
                await trio.sleep(0.05)
            return await follow(certifier, news)  # type: ignore[arg-type]

        async def stand_still(membership: Membership) -> None:
            nonlocal is_stalled
            is_stalled = True
            await north.append_side_records([Audited(1, "root", "user.suspend", "bob")])
            await trio.sleep(1)
            await become(membership)

        monkeypatch.setattr(store.replica, "follow", stall)
        monkeypatch.setattr(Membership, "here", stand_still)
        async with joined(store.replica, shared(server, "south")) as south:
            south.listen(lambda batch: None)
            await until(lambda: north.members == ["north", "south"])
            await trio.sleep(0.3)
            assert south.members == ["north"]
            server.strike(faults.TailLost(entries=entries))
            await trio.sleep(0.3)
            is_stalled = False
            with trio.fail_after(20):
                await south.wait_present()
                await until(lambda: north.problem is None and south.members == north.members)
