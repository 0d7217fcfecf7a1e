"""`gochat top` on a real node, with keys pressed and pictures looked at, but without a terminal; and as a command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from gochat.client.screen.picture import plain
from gochat.client.top.screen import Top
from gochat.client.top.views import VIEWS, Shown, rows
from gochat.node import Node
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    Check,
    Child,
    Crash,
    MailboxEntry,
    ReportEntry,
    RoomOverview,
    SessionEntry,
    SupervisorEntry,
    Suspension,
)
from tests.client.command import gochat
from tests.client.conftest import enter
from tests.client.glass import PATIENCE_S, Glass
from tests.client.top.build import NOON, overview, seen

SECRET = "nobody else's business"


@asynccontextmanager
async def watching(node: Node, **size: int) -> AsyncIterator[Glass]:
    """`gochat top` of an admin, which asks as often as it can."""
    with trio.fail_after(2 * PATIENCE_S):
        async with enter(node, "root", scopes=("admin",)) as chat, trio.open_nursery() as nursery:
            glass = Glass(**size)
            nursery.start_soon(Top(chat, 0.05).run, glass)
            yield glass
            glass.press("q")


async def test_the_views_and_their_keys(node: Node) -> None:
    async with enter(node, "ann") as ann, enter(node, "bob") as bob:
        await ann.create_group("tea", title="Green tea", users=["bob"])
        sent = await bob.send("group:tea", "buy cheap tea")
        await ann.send("user:bob", SECRET)
        await ann.report("group:tea", sent.seq, "spam")
        async with watching(node) as top:
            lines = await top.sees("Users        3", "Messages", "Refusals by rule", "no mailbox holds anything")
            assert lines[0].startswith(" test") or "ready" in lines[0]
            assert "1 node" in lines[1] and "9 tree" in lines[1]
            assert lines[-1].startswith(" q: quit")
            top.press("2")
            await top.sees("buy cheap tea", "spam")
            top.press("3")
            await top.sees("user:ann", "user:bob, 1 session", "/ find")
            top.press("/", "b")
            await top.no_longer_sees("user:ann")
            await top.sees("user:bob", "ids that begin with: b_")
            top.press("q", "esc")
            await top.sees("user:ann")
            top.press("tab")
            await top.sees("group:tea", "Green tea")
            top.press("tab")
            await top.sees("root", "ws", "s: slow ones")
            top.press("s")
            await top.sees("none", "s: all")
            top.press("6")
            await top.sees("nobody is suspended")
            top.press("7")
            await top.sees("message.report")
            top.press("9")
            await top.sees("actors  0 crashes", "─ run queue")
            top.press("left")
            await top.sees("no mailbox holds anything")
            top.columns, top.rows = 40, 10
            top.press("1")
            await top.sees("Users")
            top.press("page down")
            await top.no_longer_sees("Users   ")
            top.columns = 10
            top.press("down")
            await top.sees("too small")


async def test_a_node_that_goes_and_comes_back(start: Callable[..., Any]) -> None:
    async with start() as node:
        source = enter(node, "root", scopes=("admin",))
        async with source as chat, trio.open_nursery() as nursery:
            glass = Glass()
            nursery.start_soon(Top(chat, 0.05).run, glass)
            await glass.sees("ready")
            node.gateway.live.users["root"]  # It is signed in.
            for session in list(node.gateway.sessions.values()):
                session.connection.abort()
            await glass.sees("no connection")
            await glass.sees("· ready ·")
            glass.press("ctrl c")


HOSTILE = "\x1b[2J\u202etea"


def test_names_and_texts_are_inert_and_fit() -> None:
    """Whatever users are called, a row has no control character and no more columns than there are."""
    now = overview(
        checks=[Check(check="store", problem=f"broken {HOSTILE}")],
        ready=False,
        metrics={"gochat_refusals_total": {HOSTILE: 3.0}},
        supervisors=[
            SupervisorEntry(
                name="actors",
                crashes=2,
                given_up=1,
                children=[Child(name=HOSTILE, since=NOON, restarts=2, pausing=True)],
                more=7,
                latest=[Crash(name=HOSTILE, ts=NOON, error="KeyError")],
            )
        ],
    )
    session = SessionEntry(
        user="u" * 64,
        since=NOON,
        transport="ws",
        address="::1",
        device=HOSTILE,
        node="n",
        waiting=5000,
        stalled_ms=90_000,
    )
    mailbox = MailboxEntry(
        kind="private", waiting=3, capacity=1000, peak=3, phase="recording", age_ms=1500, turn_ms=61_000
    )
    report = ReportEntry(report=1, ts=NOON, room="group:tea", seq=1, sender="eve", body=HOSTILE, by="ann")
    lists: dict[str, list[Any]] = {
        "reports": [report],
        "users": [Account(user="eve", name=HOSTILE)],
        "rooms": [RoomOverview(room="group:tea", title=HOSTILE, head=1, messages=1, ts=NOON)],
        "sessions": [session],
        "suspended": [Suspension(user="eve", ts=NOON, by="root", reason=HOSTILE)],
        "audit": [AuditEntry(id=1, ts=NOON, actor="ann", action="x", detail=HOSTILE)],
    }
    for view in VIEWS:
        look = seen(now, slow=[session], mailboxes=[mailbox], entries=lists.get(view, []))
        told = "\n".join(plain(row) for row in rows(view, Shown(look, None, 79)))
        assert told.strip(), view
        assert "\x1b" not in told and "\u202e" not in told, view
    told = "\n".join(
        plain(row) for row in rows("node", Shown(seen(now, slow=[session], mailboxes=[mailbox]), None, 79))
    )
    assert "store: broken" in told and "a private room" in told and "3/1,000" in told


def test_a_narrow_table_cuts_what_is_widest_and_a_long_report_is_read_whole() -> None:
    room = RoomOverview(room="group:a-long-name", title="T" * 100, head=1, messages=1, ts=NOON)
    look = seen(overview(), entries=[room, room])
    told = [plain(row) for row in rows("rooms", Shown(look, None, 60))]
    assert all(len(line) <= 60 for line in told)
    assert "group:a-long-name" in told[1] and told[1].endswith("…")
    report = ReportEntry(report=1, ts=NOON, room="group:tea", seq=1, sender="eve", body="word " * 30, by="ann")
    told = [plain(row) for row in rows("reports", Shown(seen(overview(), entries=[report]), None, 60))]
    assert len(told) > 2 and all(len(line) <= 60 for line in told)
    assert "by ann" in " ".join(told)


# ---------------------------------------------------------------------------------------------- the command


async def test_once_and_as_json(node: Node) -> None:
    ran = await gochat(node, "top", "--as", "root", "--once")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("test, ready, gochat/")
    assert "Sessions" in ran.out and "Mailboxes" in ran.out and "\x1b" not in ran.out
    ran = await gochat(node, "top", "--as", "root", "--once", "--json")
    (line,) = ran.out.splitlines()
    told = json.loads(line)
    assert set(told) == {"overview", "rates", "slow", "mailboxes"}
    assert told["overview"]["ready"] is True
    assert told["rates"]["messages_per_s"] == 0


@pytest.mark.parametrize("words", [(), ("--every", "0.1")])
async def test_without_a_terminal_it_says_what_to_do(node: Node, words: tuple[str, ...]) -> None:
    ran = await gochat(node, "top", "--as", "root", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "--once" in ran.err or "--every" in ran.err


async def test_a_token_without_the_scope_is_refused(node: Node) -> None:
    from tests.tokens import issue

    ran = await gochat(node, "top", "--once", GOCHAT_TOKEN=issue(node, "ann"))
    assert ran.code == 4 or "admin" in ran.err
    assert ran.out == ""
    assert "scope admin" in ran.err
