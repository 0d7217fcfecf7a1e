"""The suite of the rules for words and links, and that of adding users, against three nodes of a cluster."""

from __future__ import annotations

import pytest

from tests.cluster.joining import running_anywhere
from tests.e2e import conftest as nodes
from tests.e2e.conftest import connect, node, start, stream, transport  # noqa: F401
from tests.e2e.test_adds import *  # noqa: F403
from tests.e2e.test_rules import *  # noqa: F403

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def nodes_are_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "running", running_anywhere)
