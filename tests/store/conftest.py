"""The store under test: with threads and a file, and inline in memory."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gochat import store as stores
from gochat.store import Store
from gochat.store.write.committer import PACE, MergePace

_NEVER_S = 1e6
#: Tests wait for the index: it is fed as soon as nothing more is committed.
_SOON_S = 0.01
PACES = {
    "threaded": PACE._replace(quiet_s=_SOON_S),
    "unmerged": MergePace(quiet_s=_NEVER_S, at=sys.maxsize, after_s=_NEVER_S, feed_s=_SOON_S),
    "piecemeal": MergePace(quiet_s=_NEVER_S, at=2, slice=1, feed_s=_SOON_S),
}


@pytest.fixture(params=["threaded", "inline", "unmerged"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Every implementation there is; and the one with threads when it merges only what is asked for."""
    inline = request.param == "inline"
    opening = (
        stores.open_inline(":memory:") if inline else stores.open(tmp_path / "gochat.db", pace=PACES[request.param])
    )
    async with opening as opened:
        yield opened
