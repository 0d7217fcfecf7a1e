"""The suites of one node, played against three nodes of a cluster, every client on another one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from tests.authz import test_matrix
from tests.cluster.joining import running_anywhere


@pytest.fixture(autouse=True)
def nodes_are_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_matrix, "running", running_anywhere)


async def test_some_permissions(tmp_path: Path) -> None:
    """A column of each kind of room, on each way to ask."""
    chosen = list(islice(test_matrix.some_columns(), 0, None, 61))
    assert await test_matrix.asked(tmp_path / "data", chosen) > 100


@pytest.mark.long
async def test_all_permissions(tmp_path: Path) -> None:
    assert await test_matrix.asked(tmp_path / "data", test_matrix.columns()) > 16_000
