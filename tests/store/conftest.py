"""The store under test: with threads and a file, and inline in memory."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.store import Store
from gochat.store.write.committer import Pace

_NEVER_S = 1e6
PACES = {
    "threaded": None,
    "inline": None,
    "unmerged": Pace(quiet_s=_NEVER_S, at=sys.maxsize, after_s=_NEVER_S),
    "piecemeal": Pace(quiet_s=_NEVER_S, at=2, slice=1),
}


@pytest.fixture(params=["threaded", "inline", "unmerged"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Every implementation there is; and the one with threads when it merges only what is asked for."""
    inline, pace = request.param == "inline", PACES[request.param]
    async with stores.open(":memory:" if inline else tmp_path / "gochat.db", inline=inline, pace=pace) as opened:
        yield opened
