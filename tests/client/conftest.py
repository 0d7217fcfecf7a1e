from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gochat.auth.claims import DEFAULT_SCOPES
from gochat.client import Chat, connect
from gochat.config import Http, Limits, Nng, Policy, Settings, Tcp
from gochat.config import Node as NodeSettings
from gochat.node import Node, running
from tests.client.peer import Peer
from tests.client.peer import peer as open_peer
from tests.ports import HOST, held_port
from tests.tokens import issue

Start = Callable[..., AbstractAsyncContextManager[Node]]

#: Everybody may write to everybody, and whatever they like: for tests that are about something else.
OPEN = Policy(strangers="allow", word_action="off", links="allow")


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A scripted server on a port of its own."""
    async with open_peer() as scripted:
        yield scripted


def address(node: Node, name: str) -> str:
    """Where the node listens: HOST:PORT of "http" or "nng", with or without TLS, or "tcp"."""
    return next(address for scheme, address in node.addresses if scheme.startswith(name))


def url(node: Node, transport: str = "ws") -> str:
    if transport == "nng":
        return f"nng+tcp://{address(node, 'nng')}"
    return f"ws://{address(node, 'http')}/v1/ws" if transport == "ws" else f"tcp://{address(node, 'tcp')}"


def enter(
    node: Node, user: str, transport: str = "ws", *, scopes: Iterable[str] = DEFAULT_SCOPES, **options: Any
) -> AbstractAsyncContextManager[Chat]:
    """A client that signs in to the node as this user."""
    return connect(url(node, transport), token=issue(node, user, scopes), **options)


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a real node on this test's data, without a rate limit and with an open policy; the second time where the
    first one listened. It listens for nng where the test is about it."""
    callspec = getattr(request.node, "callspec", None)
    with_nng = request.module.__name__.endswith("test_nng") or (
        callspec is not None and "nng" in callspec.params.values()
    )
    with held_port() as http_port, held_port() as tcp_port, held_port() as nng_port:

        @asynccontextmanager
        async def start_node(
            messages_per_s: float = 0.0, policy: Policy = OPEN, limits: dict[str, Any] | None = None, **http: Any
        ) -> AsyncIterator[Node]:
            settings = Settings(
                node=NodeSettings(name="test", data=str(tmp_path / "data"), drain_s=0.5),
                http=msgspec.structs.replace(Http(bind=f"{HOST}:{http_port}"), **http),
                tcp=Tcp(bind=f"{HOST}:{tcp_port}"),
                nng=Nng(bind=f"tcp://{HOST}:{nng_port}" if with_nng else ""),
                limits=Limits(messages_per_s=messages_per_s, **(limits or {})),
                policy=policy,
            )
            async with running(settings) as node:
                yield node

        yield start_node


@pytest.fixture
async def node(start: Start) -> AsyncIterator[Node]:
    async with start() as running_node:
        yield running_node


@pytest.fixture
async def strict(start: Start) -> AsyncIterator[Node]:
    """A node with the policy that is the default: strangers ask, foreign links and listed words are refused."""
    async with start(policy=Policy()) as running_node:
        yield running_node
