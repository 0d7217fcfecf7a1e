"""The store under test: with threads and a file, and inline in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.store import Store

pytest.register_assert_rewrite("tests.contracts")


@pytest.fixture(params=["threaded", "inline"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Every implementation there is."""
    inline = request.param == "inline"
    async with stores.open(":memory:" if inline else tmp_path / "gochat.db", inline=inline) as opened:
        yield opened
