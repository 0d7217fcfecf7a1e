"""Suites of one node's sockets, played against three nodes of a cluster: each connection is to another one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.joining import RUNNING, running_anywhere
from tests.e2e import conftest as nodes
from tests.e2e.conftest import connect, node, start, stream, transport  # noqa: F401
from tests.e2e.peer import Peer

#: A live socket is answered these from what its node has, which may be some milliseconds behind what another node has
#: acknowledged (docs/howto/cluster.md). Here they are asked behind a barrier.
LIVE = frozenset(("history", "groups", "members", "contacts", "requests", "reports", "sanctions"))


@pytest.fixture(autouse=True)
def nodes_are_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "running", running_anywhere)


@pytest.fixture(autouse=True)
def live_reads_are_current(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Peer.ask

    async def behind_a_barrier(peer: Peer, type_: str, **fields: Any) -> Any:
        if type_ in LIVE:
            for cluster in RUNNING:
                for each in cluster.nodes:
                    await each.gateway.journal.barrier()
        return await ask(peer, type_, **fields)

    monkeypatch.setattr(Peer, "ask", behind_a_barrier)
