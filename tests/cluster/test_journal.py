"""The journal of a cluster's node keeps what the port promises, and nodes that share a log agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.ports.journal import Committed
from gochat.store import Store
from tests.appending import append_to
from tests.cluster.joining import inline, joined_store, new_log
from tests.contracts.journal import DM, JournalContract, message


@pytest.fixture(params=["threads", "inline"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """A cluster of one node."""
    opening = inline() if request.param == "inline" else stores.open(tmp_path / "gochat.db")
    async with joined_store(await new_log(), "north", opening) as (store, _):
        yield store


class TestJournal(JournalContract):
    async def test_the_facts_are_handed_back_not_copied(self, store: Store) -> None:
        batch = [message(DM, 1, ts=1001), message(DM, 2, ts=1001)]
        result = await append_to(store.journal, await store.journal.load(DM), batch)
        assert isinstance(result, Committed) and result.facts is batch
