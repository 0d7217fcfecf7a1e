"""Nodes of a cluster answer each other, say whether they serve, and count."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.answers import answers
from gochat.cluster.peers import PeerAway, Peers
from gochat.cluster.ports import BEAT_LIFE_S, PARTITIONS
from gochat.cluster.signing import Signer
from gochat.collector import METRICS
from gochat.errors import Lives
from gochat.node import Node, running
from tests.cluster.joining import SECRET, cluster_node, inline, joined_store, journal_of, new_log, shared
from tests.e2e.conftest import make_settings
from tests.waiting import until

PATIENCE_S = 60


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    server = await new_log()
    with trio.fail_after(PATIENCE_S):
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(cluster_node(server, tmp_path, name)) for name in ("one", "two")]
            for node in nodes:
                await node.gateway.journal.wait_present()  # type: ignore[attr-defined]
            yield nodes[0], nodes[1]


def url(node: Node) -> str:
    return f"http://{dict(node.addresses)['http']}"


async def ask(node: Node, path: str, question: object = None, secret: str = SECRET) -> Any:
    peers = Peers(Signer(secret, lambda: time.time_ns() // 1_000_000), timeout_s=PATIENCE_S)
    try:
        return msgspec.json.decode(await peers.ask(url(node), path, msgspec.json.encode(question)))
    finally:
        await peers.aclose()


async def test_a_node_says_how_it_sees_the_cluster(two: tuple[Node, Node]) -> None:
    names = {"one": "one", "two": "two"}
    for node, name in zip(two, ("one", "two"), strict=True):
        known = node.gateway.journal.registry.names  # type: ignore[attr-defined]
        await until(lambda known=known: len(known) == 2, pause_s=0.05)
        state = {"instance": name, "here": ["one", "two"], "problem": None, "names": names, "forgetting": []}
        assert await ask(node, "/internal/state") == state


async def test_others_are_refused(two: tuple[Node, Node]) -> None:
    for path in ("/internal/state", "/internal/forget"):
        with pytest.raises(PeerAway, match="403"):
            await ask(two[0], path, {"instance": "two"}, secret="t" * 32)
    assert (await ask(two[0], "/internal/state"))["here"] == ["one", "two"]


async def test_a_node_alone_has_nothing_there(tmp_path: Path) -> None:
    async with running(make_settings(tmp_path)) as node:
        with trio.fail_after(PATIENCE_S), pytest.raises(PeerAway, match="404"):
            await ask(node, "/internal/state")


async def test_a_node_is_forgotten_for_good(two: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch) -> None:
    async def dead(instance: str) -> bool:
        return False

    with pytest.raises(Lives, match=r"two \(two\) lives"):
        await ask(two[0], "/internal/forget", {"instance": "two"})
    registry = two[0].gateway.journal.registry  # type: ignore[attr-defined]
    monkeypatch.setattr(registry, "lives", dead)
    monkeypatch.setattr(registry, "is_heard", lambda instance: False)
    assert await ask(two[0], "/internal/forget", {"instance": "two"}) == {"new_epoch": False}
    assert (await ask(two[0], "/internal/state"))["here"] == ["one"]


async def test_nothing_is_left_of_the_sign_of_life_of_a_dead_node_that_is_forgotten(
    autojump_clock: MockClock,
) -> None:
    server = await new_log()
    async with joined_store(server, "one", inline()) as (one, _):
        async with joined_store(server, "two", inline()):
            await trio.sleep(1)
            server.strike(faults.Unreachable(node="two"))
        own = shared(server, "one")
        bulletin, journal = own.bulletin, journal_of(one)
        await trio.sleep(2 * BEAT_LIFE_S)
        assert [member.instance for member in await bulletin.members()] == ["one", "two"]
        forget = answers(journal, own)["/internal/forget"]
        assert msgspec.json.decode(await forget(msgspec.json.encode({"instance": "two"}))) == {"new_epoch": False}
        assert [member.instance for member in await bulletin.members()] == ["one"]


@pytest.mark.parametrize(
    ("question", "said"),
    [({"instance": "one"}, "does not forget itself"), ({"instance": "three"}, "no node three counts"), (7, "question")],
)
async def test_what_can_not_be_forgotten(two: tuple[Node, Node], question: object, said: str) -> None:
    with pytest.raises(PeerAway, match=rf"refuses /internal/forget \(503\): [\w ]*{said}"):
        await ask(two[0], "/internal/forget", question)


async def test_a_node_says_whether_it_serves_and_counts(two: tuple[Node, Node]) -> None:
    node, other = two
    checks = {check.name: check.problem for check in node.readiness()}
    assert checks == dict.fromkeys(("accepting", "store", "log", "behind", "clock", "newer", "diverged", "server"))
    await until(lambda: b'gochat_cluster_nodes{state="alive"} 2' in node.metrics(), pause_s=0.05)
    numbers = node.metrics().decode()
    assert 'gochat_cluster_nodes{state="here"} 2' in numbers
    assert "gochat_cluster_waiting 0" in numbers and "gochat_cluster_differing_nodes 0" in numbers
    assert 'gochat_cluster_entries_total{verdict="valid"}' in numbers
    families = {family.name for family in text_string_to_metric_families(numbers)}
    assert {metric.name.removesuffix("_total") for metric in METRICS} == families
    assert 'gochat_cluster_appends_total{result="done"}' in numbers and 'appends_total{result="lost"} 0' in numbers
    for name in ("append", "told", "barrier"):
        assert f"gochat_cluster_{name}_seconds_count" in numbers
    assert not re.search(r"gochat_cluster_(append|barrier)_seconds_count 0", numbers)
    assert all(f'gochat_cluster_term{{partition="{p}"}}' in numbers for p in range(PARTITIONS))
    registry = other.gateway.journal.registry  # type: ignore[attr-defined]
    await registry.trimming.trim()
    numbers = other.metrics().decode()
    for kind in ("ring", "window"):
        least = min(int(n) for n in re.findall(rf'gochat_cluster_{kind}_entries{{partition="\d+"}} (\d+)', numbers))
        assert least >= 3, "the marker of the term, and that each of the two is here"
    other.gateway.journal._watch.problem = "it may drop the log"  # type: ignore[attr-defined]
    assert [check.name for check in other.readiness() if check.problem] == ["server"]
    other.gateway.journal._watch.problem = None  # type: ignore[attr-defined]
    await until(lambda: registry.alive, pause_s=0.05)
    right = registry.clock._now_ms
    registry.clock._now_ms = lambda: right() + 3_600_000

    def problem() -> str:
        return next(check.problem or "" for check in other.readiness() if check.name == "clock")

    assert "set forward by 3,600 s" in problem()
    await until(lambda: "3,600 s ahead of the others'" in problem(), pause_s=0.05)
    assert (await ask(other, "/internal/state"))["problem"] == problem()


async def test_a_node_alone_tells_nothing_of_a_cluster(tmp_path: Path) -> None:
    async with running(make_settings(tmp_path)) as node:
        assert "gochat_cluster" not in node.metrics().decode()
        assert [check.name for check in node.readiness()] == ["accepting", "store"]
