"""A node whose database is damaged, or whose disk is full: it says so, serves what is whole, and sends nobody into a
loop. And one that lets texts end with their age."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from gochat.housekeeping import withdraw_spent
from gochat.node import Node, running
from gochat.store.schema import SEQ_BITS
from tests.e2e.conftest import Start, make_settings
from tests.e2e.peer import Peer
from tests.e2e.test_health import get
from tests.e2e.test_metrics import scrape
from tests.store.read.test_damage import flipped, small_disk

PAGE = 100
YEAR_2100_MS = 4_102_444_800_000


async def said(node: Node, nursery: trio.Nursery, user: str, to: str, bodies: list[str]) -> None:
    peer = await Peer.open(node, "tcp", nursery)
    await peer.hello(user)
    for body in bodies:
        assert (await peer.ask("send", to=to, body=body))["type"] == "ack"
    await peer.aclose()


@pytest.fixture
async def damaged(start: Start, tmp_path: Path, nursery: trio.Nursery) -> Path:
    """A database: a page amid what ann wrote to bob is damaged. Which pages are so depends on when rows were moved from
    the tail to their place, and some have old rows that nobody reads any more, or rows of both rooms."""
    async with start() as node:
        await said(node, nursery, "ann", "user:bob", ["SECRETONE " + "x" * 300] * PAGE)
        await said(node, nursery, "ann", "user:cat", ["y" * 300] * PAGE)
    path, tried = tmp_path / "data" / "gochat.db", tmp_path / "tried.db"
    for number in last_leaves(path, b"SECRETONE"):
        flipped(path, tried, number)
        if (can_be_read(tried, "dm:ann:bob"), can_be_read(tried, "dm:ann:cat")) == (False, True):
            return tried.replace(path)
    raise AssertionError("no page has what was said in one room alone")


def can_be_read(path: Path, room: str) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        try:
            ((num,),) = connection.execute("SELECT num FROM room WHERE id = ?", (room,)).fetchall()
            first, end = num << SEQ_BITS, (num + 1) << SEQ_BITS
            return len(connection.execute("SELECT * FROM fact WHERE id BETWEEN ? AND ?", (first, end)).fetchall()) > 0
        except sqlite3.DatabaseError:
            return False


async def test_a_damaged_page_is_told_and_the_rest_is_served(
    start: Start, damaged: Path, transport: str, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as node:
        ann = await Peer.open(node, transport, nursery)
        await ann.hello("ann")
        error = await ann.ask("history", room="dm:ann:bob", after=0, limit=PAGE)
        assert (error["type"], error["code"], error["temporary"]) == ("error", "internal", False)
        assert "damaged" in error["message"] and "retry_after_ms" not in error
        page = await ann.ask("history", room="dm:ann:cat", after=0, limit=PAGE)
        assert len(page["entries"]) == page["head"] == PAGE
        assert (await ann.ask("send", to="user:cat", body="more"))["seq"] == PAGE + 1

        told = await get(node, "/readyz?verbose")
        assert told.startswith("HTTP/1.1 503 ") and "[-] store: gochat.db is damaged; the log says where" in told
        assert "dm:" not in told
        metrics = await scrape(node)
        assert (metrics["gochat_store_damaged"], metrics["gochat_ready"]) == (1, 0)
        assert metrics["gochat_reads_failed_total"] > 0
        assert any(str(damaged) in record.getMessage() for record in caplog.records)
        rest = await get(node, "/v1/rooms/dm:ann:bob/messages?after=0&limit=100", "http", "chat:read")
        assert rest.startswith("HTTP/1.1 404 "), "who may not read it learns nothing of the damage"


async def test_on_a_full_disk_the_past_is_read_whole_and_it_is_told(
    tmp_path: Path, nursery: trio.Nursery, transport: str
) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        (disk / "ballast").write_bytes(bytes(6 << 20))
        nng = {"bind": "tcp://127.0.0.1:0"} if transport == "nng" else {}
        async with running(make_settings(disk / "data", nng=nng)) as node:
            ann = await Peer.open(node, transport, nursery)
            await ann.hello("ann")
            head = 0
            while (reply := await ann.ask("send", to="user:bob", body="x" * 3000))["type"] == "ack":
                head = reply["seq"]
            assert (reply["code"], reply["temporary"]) == ("unavailable", True)
            assert (await get(node, "/readyz")).startswith("HTTP/1.1 503 ")
            metrics = await scrape(node)
            assert (metrics["gochat_store_problem"], metrics["gochat_store_damaged"]) == (1, 0)
            seen = 0
            while seen < head:
                page = await ann.ask("history", room="dm:ann:bob", after=seen, limit=100)
                if page["type"] == "page":
                    assert page["head"] >= head and page["complete"]
                    assert [entry["seq"] for entry in page["entries"]] == list(
                        range(seen + 1, page["entries"][-1]["seq"] + 1)
                    )
                    seen = page["entries"][-1]["seq"]
                else:
                    assert page["code"] == "unavailable"
            (disk / "ballast").unlink()
            with trio.fail_after(25):
                while (reply := await ann.ask("send", to="user:bob", body="again"))["type"] != "ack":
                    await trio.sleep(0.05)
                while not (await get(node, "/readyz")).startswith("HTTP/1.1 200 "):
                    await trio.sleep(0.05)


async def test_a_node_lets_old_texts_end(start: Start, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start() as node:
        await said(node, nursery, "ann", "user:bob", ["old"])
    monkeypatch.setattr("gochat.node.now_ms", lambda: YEAR_2100_MS)
    async with start(retention={"private_days": 30}) as node:
        bob = await Peer.open(node, "tcp", nursery)
        await bob.hello("bob")
        with trio.fail_after(25):
            while node.commits.expired < 1:
                await trio.sleep(0.01)
        page = await bob.ask("history", room="dm:ann:bob")
        (entry,) = page["entries"]
        assert "body" not in entry and entry["deleted"] == YEAR_2100_MS and page["head"] == 1


async def test_a_request_whose_messages_expired_asks_no_more(
    start: Start, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    async with start(policy={"strangers": "request"}) as node:
        await said(node, nursery, "cat", "user:bob", ["old", "older"])
        await said(node, nursery, "ann", "user:bob", ["old too"])
    # The clock of the rooms, too: what is said now is young.
    monkeypatch.setattr("gochat.node.wall_ns", lambda: YEAR_2100_MS * 1_000_000)
    async with start(policy={"strangers": "request"}) as node:
        await said(node, nursery, "ann", "user:bob", ["young"])
    # As after a crash between the two: the texts are gone, the requests still wait.
    monkeypatch.setattr("gochat.housekeeping.withdraw_spent", nothing_withdrawn)
    async with start(policy={"strangers": "request"}, retention={"private_days": 30}) as node:
        with trio.fail_after(25):
            while node.commits.expired < 3:
                await trio.sleep(0.01)
        assert node.commits.expired == 3, "the young one stays"
    monkeypatch.setattr("gochat.housekeeping.withdraw_spent", withdraw_spent)
    monkeypatch.setattr("gochat.housekeeping.RETENTION_S", 0.05)
    async with start(policy={"strangers": "request"}, retention={"private_days": 30}) as node:
        bob = await Peer.open(node, transport, nursery)
        await bob.hello("bob")
        with trio.fail_after(25):
            # Ann's is looked at first: with the other gone, it is known to stay.
            while [entry["user"] for entry in (await bob.ask("requests"))["requests"]] != ["ann"]:
                await trio.sleep(0.01)
        again = await Peer.open(node, transport, nursery)
        await again.hello("bob")
        assert [entry["user"] for entry in again.welcome["requests"]] == ["ann"], "one of hers is there"
        assert again.welcome["contacts"] == []
        for action in ("accept", "decline"):
            assert (await bob.ask("contact", user="cat", action=action))["code"] == "not_found"
        cat = await Peer.open(node, transport, nursery)
        await cat.hello("cat")
        assert (await cat.ask("send", to="user:bob", body="anew"))["request"] is True
        assert (await again.event("request"))["user"] == "cat"


async def nothing_withdrawn(*_: object) -> None:
    """As if the node had gone before."""


async def test_whoever_is_there_is_told_that_a_request_expired(
    start: Start, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gochat.housekeeping.RETENTION_S", 0.05)
    async with start(policy={"strangers": "request"}, retention={"private_days": 30}) as node:
        bob = await Peer.open(node, "tcp", nursery)
        await bob.hello("bob")
        await said(node, nursery, "ann", "user:bob", ["old"])
        assert (await bob.event("request"))["user"] == "ann"
        monkeypatch.setattr("gochat.node.now_ms", lambda: YEAR_2100_MS)
        event = await bob.event("contact")
        assert (event["user"], event["state"]) == ("ann", "none")
        await bob.nothing_more()


async def test_who_resumes_a_damaged_room_gets_the_others(
    start: Start, damaged: Path, transport: str, nursery: trio.Nursery
) -> None:
    """It is not replayed as if it were whole, nor does it keep its user out: it lags, and reading it says why."""
    async with start() as node:
        cat = await Peer.open(node, transport, nursery)
        rooms = {room: {"seq": 0} for room in ("dm:ann:bob", "dm:ann:cat")}
        await cat.hello("ann", resume=rooms)
        seen, lagged = 0, False
        with trio.fail_after(25):
            while seen < PAGE or not lagged:
                frame = await cat.receive()
                seen += frame["type"] == "message" and frame["room"] == "dm:ann:cat"
                lagged |= frame["type"] == "lag" and frame["room"] == "dm:ann:bob"
                assert frame["type"] != "message" or frame["room"] == "dm:ann:cat"
        assert (await cat.ask("history", room="dm:ann:bob", after=0, limit=PAGE))["code"] == "internal"
        assert "damaged" in (await get(node, "/readyz?verbose"))


def last_leaves(path: Path, *words: bytes) -> list[int]:
    """The leaves of tables that have one of the words, or had it."""
    content = path.read_bytes()
    pages = [content[at : at + 4096] for at in range(0, len(content), 4096)]
    return [n for n, page in enumerate(pages) if page[0] == 0x0D and any(word in page for word in words)]


async def test_who_has_a_damaged_room_signs_in_with_the_others(
    start: Start, tmp_path: Path, transport: str, nursery: trio.Nursery
) -> None:
    """Told as what can't be read, in every list of the welcome, and reading it fails by name; what is new is heard."""
    policy = {"strangers": "allow"}
    async with start(policy=policy) as node:
        ann = await Peer.open(node, "tcp", nursery)
        await ann.hello("ann")
        for name in ("tea", "tin"):
            await ann.ask("group", name=name, action="create", title=name, users=["bob", "cat"])
        for to in ("user:bob", "user:cat", "user:dan", "group:tea", "group:tin"):
            last = "LASTDM" if to == "user:cat" else "LASTTEA" if to == "group:tea" else "last"
            for body in ["x" * 300] * (PAGE - 1) + [last]:
                assert (await ann.ask("send", to=to, body=body))["type"] == "ack"
        await ann.aclose()
    path = tmp_path / "data" / "gochat.db"
    for number in last_leaves(path, b"LASTDM", b"LASTTEA"):
        flipped(path, path, number)
    async with start(policy=policy) as node:
        ann = await Peer.open(node, transport, nursery)
        await ann.hello("ann", resume={"dm:ann:cat": {"seq": 1}, "dm:ann:dan": {"seq": PAGE - 1}})
        assert [entry["room"] for entry in ann.welcome["rooms"]] == ["group:tin"]
        assert {entry["room"] for entry in ann.welcome["contacts"]} == {"dm:ann:bob", "dm:ann:dan"}
        assert set(ann.welcome["unreadable"]) == {"dm:ann:cat", "group:tea"}
        assert (await ann.event("message"))["room"] == "dm:ann:dan"
        assert (await ann.event("lag"))["room"] == "dm:ann:cat", "what it missed can't be replayed"
        error = await ann.ask("history", room="group:tea")
        assert (error["code"], error["temporary"]) == ("internal", False)
        assert "the server's database is damaged" in error["message"]
        assert (await ann.ask("send", to="group:tin", body="on we go"))["type"] == "ack"
        assert (await ann.event("message"))["body"] == "on we go"
        told = await get(node, "/readyz?verbose")
        assert told.startswith("HTTP/1.1 503 "), "the operator is told"
        eve = await Peer.open(node, transport, nursery)
        await eve.hello("eve", resume={"group:tea": {"seq": 1}, "dm:ann:cat": {"seq": 1}, "dm:cat:eve": {"seq": 0}})
        assert "unreadable" not in eve.welcome, "whoever is not in it learns nothing"
