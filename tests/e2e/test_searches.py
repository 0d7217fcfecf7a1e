"""Searches over the wire: what they find and say they can't, and what one user's cost the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from gochat.errors import TooCostly
from gochat.node import Node
from gochat.store.search import search, searches, user_search
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest, issue

Connect = Callable[..., Any]

SAID = {
    "ёлка зелёная": "ЕЛКА зелен", "Καλημέρα Αθήνα": "αθηνα", "שָׁלוֹם": "שלום", "مُحَمَّد": "محمد", "Łódź": "lodz",
    "Ærøskøbing": "aeroskobing", "extra\u00adordinary": "extraordinary", "대한민국": "민국", "カラオケ": "おけ",
    "nice 👍🏽": "👍", "C++ costs €5": "c++ €",
}  # fmt: skip


async def test_words_are_found_as_people_type_them(connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    seqs = [(await ann.ask("send", to="user:ann", body=body))["seq"] for body in SAID]
    for seq, q in zip(seqs, SAID.values(), strict=True):
        with trio.fail_after(25):
            while not (found := await ann.ask("search", q=q, **{"in": "messages"}))["entries"]:
                pass
        assert [entry["seq"] for entry in found["entries"]] == [seq]


async def test_what_can_not_be_searched_is_said(node: Node, connect: Connect, transport: str) -> None:
    ann: Peer = await connect("ann", transport)
    for scope in ("users", "messages"):
        for q in ("?!", " ", "«…»", "\u200b", "\u00ad"):
            told = await ann.ask("search", q=q, **{"in": scope})
            assert (told["type"], told["code"]) == ("error", "bad_request"), q
            assert "punctuation" in told["message"]
    rest = Rest(node, issue(node, "ann", ["chat:read"]))
    assert (await rest.get("/v1/users", q="?!")).refusal == (400, "bad_request")
    assert (await rest.get("/v1/users", q="👍")).json == {"users": []}
    await rest.aclose()


class Hog:
    """Searches of the user hog run until they are let go on."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.began = 0

    def hold(self, user: str, budget: searches.Budget) -> None:
        if user == "hog":
            self.began += 1
            while not self.may_end.wait(0.01):
                budget.spend(0)


@pytest.fixture
def hog(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hog]:
    """Searches of a user who asks for much: they take 30 s each, as on a slow disk."""
    hog = Hog()
    messages, users = search.messages, user_search.search_users

    def slow_messages(connection: Any, user: str, *rest: Any) -> Any:
        hog.hold(user, rest[-1])
        return messages(connection, user, *rest)

    def slow_users(connection: Any, user: str, *rest: Any) -> Any:
        hog.hold(user, rest[-1])
        return users(connection, user, *rest)

    monkeypatch.setattr(search, "messages", slow_messages)
    monkeypatch.setattr(user_search, "search_users", slow_users)
    monkeypatch.setattr(searches, "SEARCH_S", 30.0)
    yield hog
    hog.may_end.set()


async def test_one_users_searches_hold_up_nobody(
    node: Node, connect: Connect, hog: Hog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over many sessions, on sockets and by REST: one of them runs, the others are `busy`, and zoe does not notice."""
    monkeypatch.setattr(searches, "WAIT_S", 0.2)
    hogs: list[Peer] = [await connect("hog", transport) for transport in ("tcp", "ws", "ws-msgpack", "tcp")]
    rest, zoes = Rest(node, issue(node, "hog", ["chat:read"])), Rest(node, issue(node, "zoe", ["chat:read"]))
    zoe: Peer = await connect("zoe", "ws")
    refused: list[Any] = []

    async def by_rest() -> None:
        refused.append((await rest.get("/v1/users", q="x")).refusal)

    with trio.fail_after(25):
        for n, peer in enumerate(hogs):
            await peer.send({"type": "search", "id": "s", "q": "x", "in": ["messages", "users"][n % 2]})
            while hog.began == 0:
                await trio.sleep(0.001)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(by_rest)
            assert (await zoe.ask("search", q="hog", **{"in": "users"}))["type"] == "results"
            assert (await zoe.ask("search", q="hog", **{"in": "messages"}))["type"] == "results"
            assert (await zoes.get("/v1/users", q="hog")).status == 200
            assert (await hogs[0].ask("groups"))["type"] == "groups"
        assert hog.began == 1 and refused == [(503, "busy")]
        for peer in hogs[1:]:
            told = await peer.event("error")
            assert (told["code"], told["temporary"], told["retry_after_ms"]) == ("busy", True, 1000)
        hog.may_end.set()
        assert (await hogs[0].event("results"))["id"] == "s"
    await rest.aclose()
    await zoes.aclose()


async def test_a_closed_session_takes_its_searches_along(node: Node, connect: Connect, hog: Hog) -> None:
    """The one that runs, and those that wait: the user's next session does not wait for 30 s each."""
    gone: Peer = await connect("hog", "ws")  # On TCP one may close one's side, and still wait for replies.
    with trio.fail_after(25):
        for n in range(20):
            await gone.send({"type": "search", "id": n, "q": "x", "in": "users"})
        while hog.began == 0:
            await trio.sleep(0.001)
        await gone.aclose()
        peer: Peer = await connect("hog", "tcp")
        await peer.send({"type": "search", "id": "next", "q": "x", "in": "users"})
        while hog.began < 2:
            await trio.sleep(0.001)
        hog.may_end.set()
        assert (await peer.event("results"))["id"] == "next"
    assert hog.began == 2


async def test_a_search_that_would_look_at_too_much_says_so(
    start: Start, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searches, "ROWS", 0)
    async with start() as node:
        ann = await Peer.open(node, "ws", nursery)
        await ann.hello("ann")
        told = await ann.ask("search", q="ann", **{"in": "users"})
        while told["type"] == "results":  # The name is not written yet.
            told = await ann.ask("search", q="ann", **{"in": "users"})
        assert (told["code"], told["message"]) == ("unavailable", str(_costly()))
        rest = Rest(node, issue(node, "ann", ["chat:read"]))
        answer = await rest.get("/v1/users", q="ann")
        assert answer.refusal == (503, "unavailable")
        await rest.aclose()
        await ann.aclose()


def _costly() -> TooCostly:
    with pytest.raises(TooCostly) as told:
        searches.Budget().spend()
    return told.value
