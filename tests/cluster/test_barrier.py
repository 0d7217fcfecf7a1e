"""A node that knows that others have acknowledged what it has not recorded answers nobody as if it had."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.barrier import WAIT_S
from gochat.cluster.serving import LAG_S
from gochat.errors import NotCurrent, StoreError
from gochat.node import Node, running
from tests.appending import append_to
from tests.cluster.held_back import HeldBack, two_nodes
from tests.cluster.joining import SECRET, new_log, shared
from tests.contracts.journal import DM, message
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest
from tests.tokens import issue


async def test_it_is_known_whether_this_node_is_behind_or_the_log_is_away(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with two_nodes(server) as (north, journal, log):
        log.hold()
        record = await north.journal.load(DM)
        await append_to(north.journal, record, [message(DM, 1)])
        began = trio.current_time()
        with pytest.raises(NotCurrent):
            await journal.barrier([DM])
        assert trio.current_time() - began == pytest.approx(WAIT_S, abs=0.1)
        assert journal.serving.lag is not None, "clients that it refuses are better sent to another node"
        server.strike(faults.Unreachable(node="south"))
        with pytest.raises(StoreError) as away:
            await journal.barrier([DM])
        assert not isinstance(away.value, NotCurrent)
        server.strike(faults.Mended(node="south"))
        log.goes.set()
        await trio.sleep(1)
        await journal.barrier([DM])
        await trio.sleep(LAG_S)
        assert journal.serving.lag is None


async def test_users_are_sent_elsewhere_and_are_shown_nothing_old(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await new_log()
    log = HeldBack(server, "south")
    with trio.fail_after(60):
        async with AsyncExitStack() as stack:
            nodes: list[Node] = []
            for one in (shared(server, "north"), shared(server, "south")._replace(log=log)):
                settings = make_settings(tmp_path / one.identity.instance, auth={"secret": SECRET})
                nodes.append(node := await stack.enter_async_context(running(settings, one)))
                await node.gateway.journal.wait_present()  # type: ignore[attr-defined]
            north, south = nodes
            ann, bob = await Peer.open(north, "tcp", nursery), await Peer.open(south, "tcp", nursery)
            await ann.hello("ann")
            await bob.hello("bob")
            rest = Rest(south, issue(south, "bob"))
            log.hold()
            monkeypatch.setattr("gochat.cluster.barrier.WAIT_S", 0.3)  # Only where the wait is in vain.
            sent = await ann.ask("send", to="user:bob", body="hello")
            refused = await bob.ask("resume", room=sent["room"], seq=0)
            assert (refused["type"], refused["code"], refused["temporary"]) == ("error", "unavailable", True)
            page = f"/v1/messages?room={sent['room']}"
            assert (await rest("GET", page)).refusal == (503, "unavailable")
            for transport in ("ws", "tcp"):
                with pytest.raises(AssertionError, match="unavailable"):
                    await (again := await Peer.open(south, transport, nursery)).hello("bob")
                await again.aclose()
            monkeypatch.undo()
            log.goes.set()
            assert (await bob.event("message"))["body"] == "hello"
            assert [each["body"] for each in (await rest("GET", page)).json["entries"]] == ["hello"]
            await rest.aclose()
            for peer in (ann, bob):
                await peer.aclose()
