"""The metrics of a node, read by the official parser."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from gochat.collector import METRICS
from gochat.errors import CODES
from gochat.node import Node
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.e2e.test_health import get
from tests.waiting import until

Connect = Callable[..., Any]


async def scrape(node: Node) -> dict[str, float]:
    """Samples by name and labels, as in `gochat_sessions{transport="ws"}`."""
    head, _, text = (await get(node, "/metrics", "http", "metrics")).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 "), head
    told: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in told, key
            told[key] = sample.value
    return told


async def settled(node: Node, key: str, value: float) -> dict[str, float]:
    """Wait for what becomes so in a moment."""
    with trio.fail_after(25):
        while (told := await scrape(node)).get(key) != value:
            await trio.lowlevel.checkpoint()
    return told


async def test_every_metric_is_told_once_with_its_type_and_help(node: Node) -> None:
    text = (await get(node, "/metrics", "http", "metrics")).partition("\r\n\r\n")[2]
    families = list(text_string_to_metric_families(text))
    # A node alone has nothing to tell of a cluster: tests/cluster/test_answers.py.
    told = [metric for metric in METRICS if not metric.name.startswith("gochat_cluster_")]
    assert [family.name for family in families] == [metric.name.removesuffix("_total") for metric in told]
    for family, metric in zip(families, told, strict=True):
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels)
    assert len({metric.name for metric in METRICS}) == len(METRICS)


async def test_a_conversation_is_counted(node: Node, connect: Connect) -> None:
    before = await scrape(node)
    ann, bob, far = await connect("ann"), await connect("bob", "ws"), await connect("bob", "ws-msgpack")
    await ann.ask("group", name="tea", action="create", users=["bob"])
    for _ in range(3):
        await ann.ask("send", to="group:tea", body="hi")
    for peer in (ann, bob, far):
        await peer.facts("group:tea", 5)
    await ann.ask("send", to="group:none", body="hi")
    await ann.ask("history", room="group:tea")
    await bob.ask("edit", room="group:tea", seq=3, body="not mine")
    told = await scrape(node)

    def grown(key: str) -> float:
        return told[key] - before.get(key, 0)

    assert told['gochat_sessions{transport="tcp"}'] == 1
    assert told['gochat_sessions{transport="ws"}'] == 2
    assert told["gochat_users_online"] == 2
    assert told["gochat_connections"] == 4  # One of them asks.
    assert told["gochat_connections_unauthenticated"] == 1
    assert grown("gochat_connections_accepted_total") == 4
    assert grown('gochat_hellos_total{result="ok"}') == 3
    assert grown("gochat_messages_recorded_total") == 3
    assert grown("gochat_facts_recorded_total") == 5  # Two made the group.
    assert grown("gochat_deliveries_total") == 3 * 4 + 1 * 1  # Creation is the owner's alone.
    assert grown('gochat_denials_total{code="not_found"}') == 1
    assert grown('gochat_denials_total{code="forbidden"}') == 1
    assert {key for key in told if key.startswith("gochat_denials")} == {
        f'gochat_denials_total{{code="{code.name}"}}' for code in CODES
    }
    assert grown('gochat_queries_total{type="history"}') == 1
    assert grown("gochat_commands_total") == 6
    assert 1 <= grown("gochat_room_turns_total") <= 6
    assert told['gochat_actors_awake{kind="room"}'] == 1
    assert told['gochat_actors_awake{kind="user"}'] == 2
    assert grown('gochat_actors_woken_total{kind="room"}') == 2
    assert 4 <= grown("gochat_commit_batches_count") == grown("gochat_commit_seconds_count")
    assert grown("gochat_commit_batches_sum") == 4
    assert 0 < grown("gochat_commit_seconds_sum") < 10
    assert grown('gochat_http_responses_total{status="200"}') == 1
    for peer in (ann, bob, far):
        await peer.aclose()
    told = await settled(node, "gochat_connections", 1)
    assert told['gochat_sessions{transport="tcp"}'] == told['gochat_sessions{transport="ws"}'] == 0
    assert told["gochat_users_online"] == 0


async def test_refused_hellos_and_closes(node: Node, connect: Connect) -> None:
    stranger = await connect()
    assert (await stranger.ask("hello", token="x"))["code"] == "unauthorized"
    await stranger.closed()
    await connect("ann", device="phone")
    await connect("ann", "ws", device="phone")
    told = await settled(node, 'gochat_sessions{transport="tcp"}', 0)
    assert told['gochat_hellos_total{result="unauthorized"}'] == 1
    assert told['gochat_denials_total{code="unauthorized"}'] == 1
    assert told['gochat_closes_total{reason="bad_token"}'] == 1
    assert told['gochat_closes_total{reason="replaced"}'] == 1
    assert told['gochat_sessions{transport="ws"}'] == 1


async def test_what_limits_refuse(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits={"connections": 2}) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        async with await trio.open_tcp_stream(*_tcp(node)) as idle, await trio.open_tcp_stream(*_tcp(node)):
            assert await idle.receive_some() == b"", "it made room"
        bob = await Peer.open(node, "tcp", nursery)
        await bob.hello("bob")
        async with await trio.open_tcp_stream(*_tcp(node)) as third:
            assert await third.receive_some() == b""
        await bob.aclose()
        await until(lambda: node.connections.statistics().open <= 1)  # The scrape needs the place.
        told = await scrape(node)
        assert told["gochat_connections_refused_total"] == 1
        assert told['gochat_connections_evicted_total{limit="capacity"}'] >= 1
        assert told['gochat_connections_evicted_total{limit="address"}'] == 0
        assert told["gochat_connections_unauthenticated_bytes"] < 10_000


def _tcp(node: Node) -> tuple[str, int]:
    host, _, port = dict(node.addresses)["tcp"].rpartition(":")
    return host, int(port)


async def test_health_and_the_store(node: Node, connect: Connect) -> None:
    ann = await connect("ann")
    await ann.ask("send", to="user:bob", body="hi")
    await settled(node, "gochat_unmerged_messages", 0)
    told = await settled(node, "gochat_index_backlog", 0)
    assert (told["gochat_ready"], told["gochat_store_problem"], told["gochat_commits_failed_total"]) == (1, 0, 0)
    assert told['gochat_check{check="store"}'] == told['gochat_check{check="accepting"}'] == 1
    assert told['gochat_store_bytes{file="database"}'] == node.database.stat().st_size
    assert told['gochat_store_bytes{file="wal"}'] > 0
    assert told["gochat_store_free_bytes"] > 0
    node.gateway.journal.problem = "the disk is full"
    told = await scrape(node)
    assert (told["gochat_ready"], told["gochat_store_problem"]) == (0, 1)
    assert (told['gochat_check{check="store"}'], told['gochat_check{check="accepting"}']) == (0, 1)


def seen() -> tuple[int, float]:
    """Open files, and when the process started, another way."""
    return len(list(Path("/proc/self/fd").iterdir())), Path("/proc/self").stat().st_ctime


async def test_the_process(node: Node) -> None:
    told = await scrape(node)
    open_files, started = seen()
    assert 10e6 < told["process_resident_memory_bytes"] < told["process_virtual_memory_bytes"]
    assert 0 < told["process_cpu_seconds_total"] <= time.process_time()
    assert abs(told["process_open_fds"] - open_files) < 5
    assert told["process_open_fds"] < told["process_max_fds"]
    assert told["process_start_time_seconds"] == pytest.approx(started, abs=60)


async def test_who_may_read_is_a_setting(start: Start) -> None:
    for audience, status in (("token", 401), ("all", 200), ("off", 404)):
        async with start(http={"metrics": audience}) as node:
            assert re.match(rf"HTTP/1.1 {status} ", await get(node, "/metrics"))


async def test_they_may_have_an_address_of_their_own(start: Start) -> None:
    async with start(http={"metrics_bind": "127.0.0.1:0"}) as node:
        assert (await get(node, "/metrics", "http", "admin")).startswith("HTTP/1.1 404 ")
        assert (await get(node, "/metrics", "metrics")).startswith("HTTP/1.1 401 ")
        assert "gochat_build_info" in await get(node, "/metrics", "metrics", "metrics")
        assert (await get(node, "/livez", "metrics")).startswith("HTTP/1.1 200 ")
        for path in "/v1/ws", "/v1/me", "/docs":
            assert (await get(node, path, "metrics", "admin")).startswith("HTTP/1.1 4"), path
    async with start(http={"metrics": "all", "metrics_bind": "127.0.0.1:0"}) as node:
        assert (await get(node, "/metrics", "metrics")).startswith("HTTP/1.1 200 ")
        assert (await get(node, "/metrics")).startswith("HTTP/1.1 404 ")
