"""Real nodes on port 0, in this process, and peers that speak bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from gochat.config import Auth, Http, Limits, Nng, Node, Policy, Session, Settings, Tcp
from gochat.node import Node as RunningNode
from gochat.node import running
from tests.e2e.peer import Peer

Start = Callable[..., AbstractAsyncContextManager[RunningNode]]


def make_settings(data: Path, **sections: Any) -> Settings:
    """Settings of a test node: free ports, no rate limit, and everybody may write to everybody, unless asked for."""
    base = Settings(
        node=Node(name="test", data=str(data), drain_s=2.0),
        http=Http(bind="127.0.0.1:0"),
        tcp=Tcp(bind="127.0.0.1:0"),
        nng=Nng(bind=""),
        auth=Auth(),
        limits=Limits(messages_per_s=0.0),
        policy=Policy(strangers="allow", word_action="off", links="allow", add_budget=0),
        session=Session(),
    )
    changed = {name: msgspec.structs.replace(getattr(base, name), **fields) for name, fields in sections.items()}
    return msgspec.structs.replace(base, **changed)


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Start:
    """Starts a node on this test's data folder; again and again, if need be. It listens for nng where the test asks."""
    callspec = getattr(request.node, "callspec", None)
    asked = callspec is not None and "nng" in callspec.params.values()

    @asynccontextmanager
    async def start_node(**sections: Any) -> AsyncIterator[RunningNode]:
        if asked:
            sections = {"nng": {"bind": "tcp://127.0.0.1:0"}} | sections
        async with running(make_settings(tmp_path / "data", **sections)) as node:
            yield node

    return start_node


@pytest.fixture(params=["tcp", "ws", "ws-msgpack", "nng"])
def transport(request: pytest.FixtureRequest) -> str:
    """Every transport there is: what holds for one holds for all."""
    return str(request.param)


@pytest.fixture(params=["tcp", "ws", "ws-msgpack"])
def stream(request: pytest.FixtureRequest) -> str:
    """Every transport over which frames travel without being asked for, as fast as the peer reads them."""
    return str(request.param)


@pytest.fixture
async def node(start: Start) -> AsyncIterator[RunningNode]:
    async with start() as running_node:
        yield running_node


@pytest.fixture
async def connect(node: RunningNode, nursery: trio.Nursery) -> AsyncIterator[Callable[..., Any]]:
    """Opens peers to `node`; closes them at the end."""
    peers: list[Peer] = []

    async def open_peer(user: str | None = None, transport: str = "tcp", **hello: Any) -> Peer:
        peer = await Peer.open(node, transport, nursery)
        peers.append(peer)
        if user is not None:
            await peer.hello(user, **hello)
        return peer

    yield open_peer
    for peer in peers:
        await peer.aclose()
