"""No number that a client gives is too great for the store or the log: it has a clear answer, and costs nobody else
anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.auth.tokens import SCOPES
from gochat.domain.ids import MAX_SEQ
from gochat.node import Node
from tests.cluster.joining import cluster_node, new_log
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest
from tests.tokens import issue

TEA = "group:tea"
GREATEST = 2**53
NUMBERS = (MAX_SEQ - 1, MAX_SEQ, MAX_SEQ + 1, GREATEST - 1, GREATEST)
CURSORS = ("9" * 18, str(2**63), "9" * 200, f"ann:{'9' * 24}", f"{'9' * 19}.{TEA}:{MAX_SEQ}", f"1 {'9' * 190}")
LISTS: tuple[dict[str, Any], ...] = (
    {"type": "search", "in": "users", "q": "ann"},
    {"type": "search", "in": "messages", "q": "hello"},
    {"type": "groups"},
    {"type": "members", "room": TEA},
    {"type": "contacts"},
    {"type": "contacts", "rooms": True},
    {"type": "requests"},
    {"type": "reports"},
    {"type": "reports", "room": TEA},
    {"type": "audit"},
    {"type": "users"},
    {"type": "rooms"},
    {"type": "rooms", "private": True},
    {"type": "rooms", "q": "tea"},
    {"type": "sessions"},
    {"type": "sessions", "slow": True},
    {"type": "mailboxes"},
    {"type": "suspensions"},
    {"type": "sanctions", "name": "tea"},
)


def naming(number: int) -> tuple[dict[str, Any], ...]:
    """Requests with that number in each place where one may stand."""
    return (
        {"type": "resume", "room": TEA, "seq": number},
        {"type": "send", "to": TEA, "body": "hello", "reply_to": number},
        {"type": "edit", "room": TEA, "seq": number, "body": "hello"},
        {"type": "delete", "room": TEA, "seq": number},
        {"type": "react", "room": TEA, "seq": number, "emoji": "x", "on": True},
        {"type": "read", "room": TEA, "seq": number},
        {"type": "got", "room": TEA, "seq": number},
        {"type": "history", "room": TEA, "before": number},
        {"type": "history", "room": TEA, "after": number},
        {"type": "report", "room": TEA, "seq": number},
        {"type": "close_report", "report": number},
        {"type": "notify", "room": TEA, "until": number},
    )


@pytest.fixture(params=["alone", "of a cluster"])
async def node(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> AsyncIterator[Node]:
    notify = {"notify": {"webhook_url": "http://127.0.0.1:1/"}}
    if request.param == "alone":
        async with start(**notify) as running:
            yield running
        return
    async with cluster_node(await new_log(), tmp_path, "north", **notify) as running:
        await running.gateway.journal.wait_present()  # type: ignore[attr-defined]
        yield running


async def test_the_greatest_numbers_have_an_answer(node: Node, nursery: trio.Nursery) -> None:
    peer = await Peer.open(node, "tcp", nursery)
    await peer.hello("ann", token=issue(node, "ann", SCOPES))
    await peer.ask("group", name="tea", action="create", users=["bob"])
    await peer.ask("send", to=TEA, body="hello")
    asked = [request for number in NUMBERS for request in naming(number)]
    asked += [{**request, "cursor": cursor} for cursor in CURSORS for request in LISTS]
    for request in asked:
        reply = await peer.ask(request["type"], **{name: value for name, value in request.items() if name != "type"})
        assert reply.get("code") not in ("internal", "unavailable"), (request, reply)
    for request in naming(GREATEST + 1):
        fields = {name: value for name, value in request.items() if name != "type"}
        assert (await peer.ask(request["type"], **fields))["code"] == "bad_request"
    assert (await peer.ask("send", to=TEA, body="on"))["type"] == "ack"
    for number in NUMBERS:
        back = await Peer.open(node, "tcp", nursery)
        await back.hello("bob", resume={TEA: {"seq": number}})
        assert (await back.event("reset"))["room"] == TEA
        await back.aclose()
    await peer.aclose()


@pytest.mark.parametrize("number", [str(GREATEST + 1), "0" * 19 + "1" + "9" * 30, "1" + "0" * 60, "9" * 500])
async def test_the_number_of_a_report_in_a_path_is_one(node: Node, number: str) -> None:
    rest = Rest(node, issue(node, "ann", SCOPES))
    assert (await rest("DELETE", f"/v1/reports/{number}")).refusal == (400, "bad_request")
    assert (await rest("DELETE", f"/v1/reports/{GREATEST}")).refusal == (404, "not_found")
    await rest.aclose()
