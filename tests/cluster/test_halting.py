"""A node that can't be right any more serves nobody, and says why with the way out."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.beat import BeatCodec
from gochat.cluster.entry import VERSION, EntryCodec, partition_of
from gochat.cluster.memory import MemoryBulletin, MemoryLog
from gochat.cluster.nodes import Nodes
from gochat.cluster.peers import Peers
from gochat.cluster.ports import Batch
from gochat.cluster.serving import AWAY_S, LAG_S
from gochat.cluster.signing import Signer
from gochat.domain.side_records import Revoked
from gochat.errors import DRAINING, StoreError
from gochat.neighbours import SERVES_NOBODY
from gochat.node import running
from gochat.store import Store
from tests.appending import append_to
from tests.cluster.joining import CLUSTER, SECRET, journal_of, new_log, serving, shared, until
from tests.contracts.journal import DM, message
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer, WsPeer

PARTITION = partition_of(DM)
REVOKED = [Revoked("jti", "one", 1)]

pytestmark = pytest.mark.usefixtures("one_clock")


async def talk(store: Store) -> None:
    """Two messages: the second one tells of the history that has the first."""
    for _ in range(2):
        await store.journal.barrier()
        record = await store.journal.load(DM)
        await append_to(store.journal, record, [message(DM, record.head + 1, ts=record.ts + 1)])


async def differ(store: Store) -> None:
    """As if the node had judged an entry in its own way."""

    def change(committer: Any) -> None:
        committer._replica.partitions[PARTITION].hash = b"another"

    await store.replica._committer.call(change)  # type: ignore[attr-defined]


@pytest.mark.parametrize("again", [True, False], ids=["an old entry comes again behind it", "in its order"])
async def test_a_history_is_compared_up_to_the_highest_place_that_its_node_told(again: bool) -> None:
    ours = SimpleNamespace(hashes={1: b"alike", 2: b"ours"}, here=[])
    nodes = Nodes(SimpleNamespace(partitions=[ours]), "north")  # type: ignore[arg-type]
    checks = [(1, b"alike"), (2, b"theirs")]
    for check in [*checks, *checks[: int(again)]]:
        nodes.note(SimpleNamespace(instance="south", check=check))  # type: ignore[arg-type]
    nodes.compare(0)
    assert nodes.differing == 1


async def test_a_node_that_differs_from_two_others_serves_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(await new_log(), "north", "south", "west") as (north, south, west):
        left: list[str | None] = []
        wrong = journal_of(north)
        wrong.when_clients_leave(lambda: left.append(wrong.behind))
        await talk(south)
        await differ(north)
        await talk(south)
        await until(lambda: wrong.differing == 1)
        assert wrong.behind is None and not left, "of two that differ nobody can say which one is wrong"
        await talk(west)
        await until(lambda: left)
        (problem,) = left
        assert problem is not None and problem == wrong.serving.diverged == wrong.behind
        assert "differs from that of 2 others" in problem and "gochat cluster join --from BACKUP" in problem
        assert problem in caplog.text
        with pytest.raises(StoreError, match="differs"):
            await wrong.append_side_records(REVOKED)
        for right in (south, west):
            assert journal_of(right).behind is None
            await talk(right)


async def test_nodes_that_agree_with_more_than_differ_go_on(autojump_clock: MockClock) -> None:
    """Two of five judged wrongly: it is these two that are outnumbered."""
    names = ("north", "south", "west", "east", "centre")
    async with serving(await new_log(), *names) as stores:
        for store in stores:
            await talk(store)
        await trio.sleep(1)  # All have all of it.
        for store in stores[:2]:
            await differ(store)
        for store in stores:
            await talk(store)
        await trio.sleep(1)
        assert [journal_of(store).behind is None for store in stores] == [False, False, True, True, True]


async def test_a_node_that_finds_entries_of_a_later_release_serves_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    server = await new_log()
    async with serving(server, "north") as (north,):
        left: list[str | None] = []
        journal = journal_of(north)
        journal.when_clients_leave(lambda: left.append(journal.behind))
        log = MemoryLog(server, "newer")
        signed = bytes((VERSION + 1,)) + b"of another form"
        later = EntryCodec(CLUSTER, SECRET)._mac(PARTITION, signed) + signed
        term = (await log.fences([PARTITION])).by_partition[PARTITION].term
        await log.append([Batch(PARTITION, term, [later])])
        await until(lambda: left)
        (problem,) = left
        assert problem is not None and problem == journal.serving.newer
        assert f"version {VERSION + 1}" in problem and "install on this node the release" in problem
        assert problem in caplog.text
        with pytest.raises(StoreError, match="later"):
            await journal.append_side_records(REVOKED)


@pytest.mark.parametrize("readable", [True, False])
async def test_a_node_says_that_another_writes_what_it_will_not_be_able_to_read(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, readable: bool
) -> None:
    server = await new_log()
    async with serving(server, "north", "south") as (north, south):
        journal = journal_of(north)
        await trio.sleep(1)
        assert journal.newer is None and journal_of(south).newer is None
        bulletin, codec = MemoryBulletin(server, "later"), BeatCodec(CLUSTER, SECRET)
        fields = ["later", "", VERSION + 1, {}, 0, "", VERSION + 1, "a field of that release"]
        body = msgspec.msgpack.encode(fields if readable else [None, *fields[1:]])
        await bulletin.beat("i-later", "b", codec._mac("i-later", "b", body) + body)
        await trio.sleep(1)
        name = "later" if readable else "i-later"
        assert journal.newer is not None and journal.newer == journal_of(south).newer
        assert f"{name} (version {VERSION + 1})" in journal.newer and "install on this node" in journal.newer
        assert caplog.text.count("will soon serve nobody") == 2, "each says it once"
        assert journal.behind is None, "until it has to read that, it serves"
        await bulletin.leave("i-later", "b")
        await trio.sleep(1)
        assert journal.newer is None


async def test_a_node_that_lags_is_not_ready_and_serves_those_who_come(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with serving(server, "north") as (north,):
        journal = journal_of(north)
        await trio.sleep(LAG_S + 1)
        assert journal.serving.lag is None and journal.serving.behind_s < LAG_S
        server.strike(faults.Unreachable(node="north"))
        await trio.sleep(LAG_S + 1)
        assert LAG_S < journal.serving.behind_s < AWAY_S
        assert journal.serving.lag is not None and journal.behind is None
        server.strike(faults.Mended(node="north"))
        await until(lambda: journal.serving.lag is None)


@pytest.mark.parametrize("alone", [False, True], ids=["one node is cut off", "all are"])
async def test_clients_of_a_node_that_is_cut_off_go_where_the_log_is_heard(
    alone: bool, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who is suspended meanwhile would read on there."""
    monkeypatch.setattr("gochat.cluster.serving.AWAY_S", 3.0)
    monkeypatch.setattr("gochat.cluster.cut_off.LOOK_S", 0.1)
    peers = Peers(Signer(SECRET, lambda: time.time_ns() // 1_000_000))
    urls: dict[str, str] = {}
    asked: list[str] = []

    async def ask(url: str, path: str, body: bytes) -> bytes:
        asked.append(url)
        return await peers.ask(urls[url], path, body)

    server = await new_log()
    with trio.fail_after(60):
        async with AsyncExitStack() as stack:
            nodes = {}
            for name in ("north", "south"):
                settings = make_settings(tmp_path / name, auth={"secret": SECRET})
                one = shared(server, name)._replace(url=name, query=ask)
                nodes[name] = node = await stack.enter_async_context(running(settings, one))
                urls[name] = f"http://{dict(node.addresses)['http']}"
                await node.gateway.journal.wait_present()  # type: ignore[attr-defined]
            south = nodes["south"].gateway.journal
            while not south.registry.urls:  # type: ignore[attr-defined]
                await trio.sleep(0.05)
            bob = await Peer.open(nodes["south"], "ws", nursery)
            await bob.hello("bob")
            for name in ("north", "south") if alone else ("south",):
                server.strike(faults.Unreachable(node=name))
            if alone:
                while asked.count("north") < 3:
                    await trio.sleep(0.05)
                assert (await bob.ask("ping"))["type"] == "pong", "there is no better place"
            else:
                assert isinstance(bob, WsPeer) and await bob.closed() == DRAINING
                assert bob.socket.closed.reason == SERVES_NOBODY
                with pytest.raises(AssertionError, match="unavailable"):
                    await (again := await Peer.open(nodes["south"], "tcp", nursery)).hello("bob")
                await again.aclose()
            for name in nodes:
                server.strike(faults.Mended(node=name))
            await bob.aclose()
    await peers.aclose()
