"""A node that knows that others have acknowledged what it has not recorded answers nobody as if it had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from gochat.auth.tokens import SCOPES
from gochat.cluster import faults
from gochat.cluster.barrier import WAIT_S
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.serving import LAG_S
from gochat.errors import NotCurrent, StoreError
from gochat.node import Node, running
from gochat.ports.tokens import Identity
from tests.appending import append_to
from tests.cluster.held_back import HeldBack, two_nodes
from tests.cluster.joining import SECRET, new_log, shared
from tests.contracts.journal import DM, message
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest
from tests.tokens import issue
from tests.waiting import until


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


@asynccontextmanager
async def one_held_back(folder: Path) -> AsyncIterator[tuple[Node, Node, HeldBack, MemoryServer]]:
    """Two whole nodes, and the log of the second one."""
    server = await new_log()
    log = HeldBack(server, "south")
    with trio.fail_after(60):
        async with AsyncExitStack() as stack:
            nodes: list[Node] = []
            for one in (shared(server, "north"), shared(server, "south")._replace(log=log)):
                settings = make_settings(folder / one.identity.instance, auth={"secret": SECRET})
                nodes.append(node := await stack.enter_async_context(running(settings, one)))
                await node.gateway.journal.wait_present()  # type: ignore[attr-defined]
            yield nodes[0], nodes[1], log, server


async def test_users_are_sent_elsewhere_and_are_shown_nothing_old(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_held_back(tmp_path) as (north, south, log, _):
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


OPERATORS = ("/v1/admin/audit", "/v1/admin/suspensions", "/v1/reports")


async def test_operators_see_what_a_node_that_is_behind_has_and_are_told_so(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_held_back(tmp_path) as (north, south, log, _):
        ann = await Peer.open(north, "tcp", nursery)
        await ann.hello("ann")
        root, user = Rest(south, issue(south, "root", SCOPES)), Rest(south, issue(south, "bob"))
        for path in OPERATORS:
            assert "gochat-incomplete" not in (await root("GET", path)).headers
        log.hold()
        monkeypatch.setattr("gochat.cluster.barrier.WAIT_S", 0.1)  # Only where the wait is in vain.
        sent = await ann.ask("send", to="user:bob", body="hello")
        for path in OPERATORS:
            answer = await root("GET", path)
            assert (answer.status, answer.headers["gochat-incomplete"]) == (200, "?1")
        page = f"/v1/messages?room={sent['room']}"
        assert (await root("GET", page)).refusal == (503, "unavailable"), "no list of an operator"
        assert (await user("GET", "/v1/reports")).refusal == (503, "unavailable")
        assert (await user("GET", "/v1/admin/users")).refusal == (403, "forbidden")
        monkeypatch.setattr("gochat.cluster.journal.DEADLINE_S", 0.1)
        suspended = await root("PUT", "/v1/admin/suspensions/mallory", {})
        assert suspended.refusal == (503, "unavailable") and suspended.json["unknown"] is True
        await until(lambda: north.gateway.standing.refusal(Identity("mallory", frozenset())) is not None)
        operator = await Peer.open(south, "tcp", nursery)
        welcome = await operator.hello("root", token=issue(south, "root", SCOPES))
        assert welcome["incomplete"] is True
        assert (await operator.ask("users"))["type"] == "users"
        with pytest.raises(AssertionError, match="unavailable"):  # A position that may be newer stays what it is.
            await (again := await Peer.open(south, "tcp", nursery)).hello(
                "root", token=issue(south, "root", SCOPES), resume={"dm:ann:root": {"seq": 1}}
            )
        monkeypatch.undo()
        log.goes.set()
        assert "gochat-incomplete" not in (await root("GET", OPERATORS[0])).headers
        for each in (root, user, ann, operator, again):
            await each.aclose()


async def test_an_answer_by_rest_says_where_others_may_know_more(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_held_back(tmp_path) as (_, south, _, server):
        bob = await Peer.open(south, "tcp", nursery)
        await bob.hello("bob")
        sent = await bob.ask("send", to="user:bob", body="note")
        rest = Rest(south, issue(south, "bob"))
        message = f"/v1/messages/{sent['room']}:1"
        tag = (await rest("GET", message)).headers["etag"]
        server.strike(faults.Unreachable(node="south"))
        monkeypatch.setattr("gochat.cluster.barrier.WAIT_S", 0.1)
        for path in ("/v1/groups", f"/v1/messages?room={sent['room']}", message):
            answer = await rest("GET", path)
            assert (answer.status, answer.headers["gochat-incomplete"]) == (200, "?1")
        fresh = await rest("GET", message, headers={"If-None-Match": tag})
        assert (fresh.status, fresh.headers["gochat-incomplete"]) == (304, "?1")
        absent = await rest("GET", "/v1/groups/unknown")
        assert (absent.status, absent.headers["gochat-incomplete"]) == (404, "?1"), "it may be there on other nodes"
        assert "gochat-incomplete" not in (await rest("GET", "/v1/openapi.json")).headers
        server.strike(faults.Mended(node="south"))
        monkeypatch.undo()
        await south.gateway.journal.barrier()
        assert "gochat-incomplete" not in (await rest("GET", "/v1/groups")).headers
        for each in (rest, bob):
            await each.aclose()
