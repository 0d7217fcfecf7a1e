"""A real node, REST callers of it, and peers on its sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.auth.claims import DEFAULT_SCOPES
from gochat.node import Node, running
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest, issue

As = Callable[..., Rest]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with running(make_settings(tmp_path / "data", policy={"strangers": "request"})) as running_node:
        yield running_node


@pytest.fixture
async def as_(node: Node) -> AsyncIterator[As]:
    """Makes callers: `as_("ann")`, `as_("bot", ["chat:write"])`; `as_(None)` has no token."""
    made: list[Rest] = []

    def caller(user: str | None, scopes: Iterable[str] = DEFAULT_SCOPES, *, token: str | None = None) -> Rest:
        rest = Rest(node, issue(node, user, scopes) if user is not None else token)
        made.append(rest)
        return rest

    yield caller
    for rest in made:
        await rest.aclose()


@pytest.fixture
async def peer(node: Node, nursery: trio.Nursery) -> AsyncIterator[Callable[..., Any]]:
    """Opens signed-in peers to the node's sockets."""
    peers: list[Peer] = []

    async def open_peer(user: str, transport: str = "ws", **hello: Any) -> Peer:
        opened = await Peer.open(node, transport, nursery)
        peers.append(opened)
        await opened.hello(user, **hello)
        return opened

    yield open_peer
    for opened in peers:
        await opened.aclose()
