"""Suites of one node's REST interface, played against three nodes of a cluster: each caller is at another one."""

from __future__ import annotations

import pytest

from tests.cluster.joining import running_anywhere
from tests.http.rest import conftest as nodes
from tests.http.rest.conftest import as_, node, peer  # noqa: F401


@pytest.fixture(autouse=True)
def nodes_are_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "running", running_anywhere)
