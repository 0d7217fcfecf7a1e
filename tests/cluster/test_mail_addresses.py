"""The mail address that a token names is kept on all nodes, once; and no sign-in waits for it, or fails by it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio

from gochat.auth import tokens as auth
from gochat.cluster import faults
from gochat.cluster.journal import ClusterJournal
from gochat.cluster.registry import NodeRegistry
from gochat.domain.notices import Addressed
from gochat.errors import REPLACED
from gochat.node import Node
from tests.cluster.joining import SECRET, new_log
from tests.cluster.town import PATIENCE_S, Town
from tests.tokens import issue

ADDRESS = "bob@mail.example"
#: Nothing is sent in the time of a test.
NOTIFY = {"smtp": "127.0.0.1:1", "smtp_security": "none", "mail_from": "chat@chat.example", "after_minutes": 60}


@pytest.fixture
async def town(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Town]:
    town = Town(tmp_path, await new_log(), nursery)
    await town.start("north", "south", notify=NOTIFY, auth={"secret": SECRET, "mail_claim": "email"})
    yield town
    await town.aclose()


def naming(node: Node, address: str = ADDRESS) -> str:
    """A token of bob's that names the address."""
    claims = jwt.decode(issue(node, "bob"), options={"verify_signature": False})
    return jwt.encode(claims | {"email": address}, auth.issuer(node.settings)._key, "HS256")


async def test_an_address_is_recorded_where_it_is_another_one(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[Any] = []
    for node in town.nodes.values():
        append = node.gateway.journal.append_side_records

        async def watched(records: Sequence[Any], *, room: str = "", append: Any = append) -> None:
            recorded.extend(records)
            await append(records, room=room)

        monkeypatch.setattr(node.gateway.journal, "append_side_records", watched)
    for name, address in (("north", "old@mail.example"), ("south", "old@mail.example"), ("south", ADDRESS)):
        for _ in range(2):
            await town.peer(name, "bob", token=naming(town.nodes[name], address))
    assert recorded == [Addressed("bob", "old@mail.example"), Addressed("bob", ADDRESS)]
    for node in town.nodes.values():
        await node.gateway.journal.barrier()
        assert await node.gateway.notifications.notices.address("bob") == ADDRESS
        assert await node.gateway.notifications.notices.address("ann") is None


async def test_users_sign_in_while_the_log_is_away(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gochat.cluster.barrier.WAIT_S", 0.2)
    north = town.nodes["north"]
    old = await town.peer("north", "bob", device="phone")
    town.server.strike(faults.Unreachable())
    with caplog.at_level(logging.WARNING, "gochat.notifying"):
        for _ in range(2):
            new = await town.peer("north", "bob", device="phone", token=naming(north))
            assert new.welcome["incomplete"] is True
    assert [record.getMessage() for record in caplog.records if "mail address" in record.getMessage()][1:] == []
    assert await old.closed() == REPLACED
    town.server.strike(faults.Mended())
    monkeypatch.setattr("gochat.cluster.barrier.WAIT_S", 60.0)  # From now on every node has the log again.
    await _until_kept(town, "north")


async def test_users_sign_in_on_a_node_whose_clock_is_wrong(town: Town) -> None:
    registry = _registry(town.nodes["north"])
    right = registry.clock._now_ms
    registry.clock._now_ms = lambda: right() + 3_600_000
    await _until_clock(registry, wrong=True)
    await town.peer("north", "bob", token=naming(town.nodes["north"]))
    registry.clock._now_ms = right
    await _until_clock(registry, wrong=False)
    await _until_kept(town, "north")
    assert await town.nodes["south"].gateway.notifications.notices.address("bob") == ADDRESS


def _registry(node: Node) -> NodeRegistry:
    assert isinstance(node.gateway.journal, ClusterJournal)
    return node.gateway.journal.registry


async def _until_clock(registry: NodeRegistry, *, wrong: bool) -> None:
    with trio.fail_after(PATIENCE_S):
        while (registry.clock_problem is not None) != wrong:
            await registry.wait_beat()


async def _until_kept(town: Town, name: str) -> None:
    """Sign in until the address is kept: nothing is taken for a moment after a failure."""
    node = town.nodes[name]
    with trio.fail_after(PATIENCE_S):
        while await node.gateway.notifications.notices.address("bob") != ADDRESS:
            await town.peer(name, "bob", token=naming(node))
    await town.nodes["south"].gateway.journal.barrier()
