"""One's own devices on all nodes of a cluster: listed, and signed out, from any of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.quota import Quota
from gochat.client import connect
from gochat.cluster.others import AT_ONCE, REST_S, OtherNodes
from gochat.cluster.peers import PeerAway, Peers
from gochat.cluster.registry import NodeRegistry
from gochat.cluster.signing import Signer
from gochat.errors import REVOKED
from gochat.node import Node, running
from gochat.session import devices
from gochat.session.devices import ASKED
from tests.cluster.joining import SECRET, new_log, shared, until
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer, WsPeer
from tests.http.rest.client import Rest
from tests.tokens import issue

NAMES = ("north", "south", "west")


class Town:
    """Three nodes that reach each other by their names, unless they are silent."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nodes: dict[str, Node] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self.peers = Peers(Signer(SECRET, lambda: time.time_ns() // 1_000_000))
        self._nursery = nursery

    async def query(self, url: str, path: str, body: bytes) -> bytes:
        self.asked.append(f"{url} {path}")
        if url in self.silent:
            await trio.sleep_forever()
        return await self.peers.ask(f"http://{dict(self.nodes[url].addresses)['http']}", path, body)

    async def peer(self, name: str, user: str, device: str, **hello: Any) -> WsPeer:
        peer = await Peer.open(self.nodes[name], "ws", self._nursery)
        assert isinstance(peer, WsPeer)
        await peer.ask("hello", token=hello.get("token") or issue(self.nodes[name], user), device=device)
        return peer


@pytest.fixture
async def town(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Town]:
    town, server = Town(nursery), await new_log()
    with trio.fail_after(60):
        async with AsyncExitStack() as stack:
            for name in NAMES:
                settings = make_settings(tmp_path / name, auth={"secret": SECRET}, node={"name": name})
                one = shared(server, name)._replace(url=name, query=town.query)
                node = town.nodes[name] = await stack.enter_async_context(running(settings, one))
                await node.gateway.journal.wait_present()  # type: ignore[attr-defined]
            for node in town.nodes.values():
                registry = node.gateway.journal.registry  # type: ignore[attr-defined]
                await until(lambda registry=registry: len(registry.others) == len(NAMES) - 1)
            yield town
    await town.peers.aclose()


async def test_they_are_listed_and_signed_out_wherever_they_are_connected(town: Town) -> None:
    token = issue(town.nodes["south"], "bob")
    await town.peer("south", "ann", "hers")
    desk = await town.peer("south", "bob", "desk", token=token)
    phone = await town.peer("north", "bob", "phone")
    told = await phone.ask("devices")
    assert [(each["device"], each.get("current", False)) for each in told["devices"]] == [
        ("desk", False),
        ("phone", True),
    ]
    assert "missing" not in told
    rest = Rest(town.nodes["west"], issue(town.nodes["west"], "bob"))
    assert [each["device"] for each in (await rest.get("/v1/devices")).json["devices"]] == ["desk", "phone"]

    handle = told["devices"][0]["handle"]
    ann = await town.peer("west", "ann", "hers too")
    assert (await ann.ask("sign_out", handle=handle))["code"] == "not_found", "it is another user's"
    assert (await phone.ask("sign_out", handle=handle))["state"] == "revoked"
    assert await desk.closed() == REVOKED
    again = await Peer.open(town.nodes["west"], "ws", town._nursery)
    assert (await again.ask("hello", token=token))["code"] == "unauthorized", "on any node"
    assert (await phone.ask("sign_out", handle=handle))["code"] == "not_found"
    assert [each["device"] for each in (await phone.ask("devices"))["devices"]] == ["phone"]

    # A device that came with the token of the request is only closed: else the one that asks would be out too.
    same = issue(town.nodes["north"], "cat")
    first, second = await town.peer("north", "cat", "1", token=same), await town.peer("south", "cat", "2", token=same)
    (other,) = [each["handle"] for each in (await first.ask("devices"))["devices"] if "handle" in each]
    assert (await first.ask("sign_out", handle=other))["state"] == "closed"
    assert await second.closed() == REVOKED
    assert (await first.ask("ping"))["type"] == "pong"

    rest_of_bob = [each["handle"] for each in (await rest.get("/v1/devices")).json["devices"]]
    assert [(await rest.delete(f"/v1/devices/{each}")).status for each in rest_of_bob] == [204]
    assert await phone.closed() == REVOKED
    await rest.aclose()


async def test_a_node_that_does_not_answer_is_named_and_left_alone_for_a_while(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "LIST_S", 0.2)
    monkeypatch.setattr(devices, "SIGN_OUT_S", 0.2)
    desk, phone = await town.peer("south", "bob", "desk"), await town.peer("north", "bob", "phone")
    (handle,) = [each["handle"] for each in (await phone.ask("devices"))["devices"] if "handle" in each]
    town.silent.add("south")
    told = await phone.ask("devices")
    assert ([each["device"] for each in told["devices"]], told["missing"]) == (["phone"], ["south"])
    town.asked.clear()
    refused = await phone.ask("sign_out", handle=handle)
    assert (refused["code"], refused["unknown"]) == ("unavailable", True) and "south" in refused["message"]
    assert town.asked == ["west /internal/sign_out"], "it was silent a moment ago"
    url = "ws://{}/v1/ws".format(dict(town.nodes["north"].addresses)["http"])
    async with connect(url, token=issue(town.nodes["north"], "bob"), device="bot") as chat:
        found = await chat.devices()
    assert ([each.device for each in found], found.missing) == (["phone", "bot"], ["south"])
    rest = Rest(town.nodes["west"], issue(town.nodes["west"], "bob"))
    answer = (await rest.get("/v1/devices")).json
    assert ([each["device"] for each in answer["devices"]], answer["missing"]) == (["phone"], ["south"])
    await rest.aclose()
    town.silent.clear()
    others = town.nodes["north"].gateway.others
    assert others is not None
    others._resting["south"] -= REST_S  # type: ignore[attr-defined]
    assert (await phone.ask("sign_out", handle=handle))["state"] == "revoked"
    assert await desk.closed() == REVOKED


async def test_the_first_node_that_has_it_is_enough_and_none_but_nodes_may_ask(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "SIGN_OUT_S", 600.0)
    desk, phone = await town.peer("south", "bob", "desk"), await town.peer("north", "bob", "phone")
    (handle,) = [each["handle"] for each in (await phone.ask("devices"))["devices"] if "handle" in each]
    town.silent.add("west")
    with trio.fail_after(60):
        assert (await phone.ask("sign_out", handle=handle))["state"] == "revoked"
    assert await desk.closed() == REVOKED

    stranger = Peers(Signer("t" * 32, lambda: time.time_ns() // 1_000_000))
    url = f"http://{dict(town.nodes['south'].addresses)['http']}"
    for path in ("/internal/devices", "/internal/sign_out"):
        with pytest.raises(PeerAway, match="403"):
            await stranger.ask(url, path, b'{"user":"bob"}')
        with pytest.raises(PeerAway, match=r"503.*not a question"):
            await town.peers.ask(url, path, b"7")
    await stranger.aclose()


async def test_to_ask_all_nodes_counts_as_several_reads(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = await town.peer("north", "bob", "phone")
    reads: list[int] = []
    monkeypatch.setattr(Quota, "read", lambda quota, times=1: reads.append(times))
    await phone.ask("devices")
    await phone.ask("sign_out", handle="none")
    assert reads == [1, ASKED, 1, ASKED]
    rest = Rest(town.nodes["west"], issue(town.nodes["west"], "bob"))
    await rest.get("/v1/devices")
    assert reads[4:] == [ASKED], "REST counts its reads apart, but for this"
    await rest.aclose()


async def test_a_node_that_answers_nothing_takes_only_so_many_connections(autojump_clock: MockClock) -> None:
    registry = cast(NodeRegistry, SimpleNamespace(others=[("1", "mute", "mute"), ("2", "quick", "quick")]))
    waiting = most = 0

    async def query(url: str, path: str, question: bytes) -> bytes:
        nonlocal waiting, most
        if url == "quick":
            return b"here"
        waiting += 1
        most = max(most, waiting)
        try:
            await trio.sleep_forever()
        finally:
            waiting -= 1

    others = OtherNodes(registry, query)
    found: list[tuple[list[str], list[str]]] = []

    async def ask() -> None:
        found.append(await others.ask_all("/internal/devices", b"", bytes.decode, within_s=1.0))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(3 * AT_ONCE):
            nursery.start_soon(ask)
    assert found == [(["here"], ["mute"])] * (3 * AT_ONCE)
    assert most == AT_ONCE
    assert trio.current_time() - began == pytest.approx(1.0), "those who waited for their turn waited no longer"
