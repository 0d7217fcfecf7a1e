"""The programs of docs/howto/sdk.md and those in examples/ run, against a real node."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trio

from gochat.client import Chat, facts, replies
from gochat.config import Http, Limits, Nng, Policy, Settings, Tcp
from gochat.config import Node as NodeSettings
from gochat.node import Node, running
from tests.client.conftest import enter, url
from tests.docs.pages import HOWTO, ROOT, blocks
from tests.tokens import issue

PROGRAMS = [block.text for block in blocks(HOWTO / "sdk.md") if block.note.strip() == "run"]
EXAMPLES = ROOT / "examples"


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    settings = Settings(
        node=NodeSettings(name="test", data=str(tmp_path / "data"), drain_s=0.5),
        http=Http(bind="127.0.0.1:0"),
        tcp=Tcp(bind=""),
        nng=Nng(bind=""),
        limits=Limits(messages_per_s=0.0),
        policy=Policy(strangers="allow", word_action="off", links="allow"),
    )
    async with running(settings) as node:
        monkeypatch.setenv("GOCHAT_URL", url(node))
        monkeypatch.chdir(tmp_path)  # a program of the page keeps a file
        monkeypatch.setenv("GOCHAT_TOKEN", issue(node, "ann"))
        yield node


def execute(program: str, *arguments: str) -> str:
    """Run a program in this thread, and return what it printed."""
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(program, "program", "exec"), {"__name__": "__main__", "sys": sys})
    return printed.getvalue()


def test_the_page_has_programs() -> None:
    assert len(PROGRAMS) >= 6


async def test_the_programs_of_the_page(node: Node) -> None:
    with trio.fail_after(60):
        printed = [await trio.to_thread.run_sync(execute, program) for program in PROGRAMS]
    assert printed[0].split() == ["dm:ann:bob", "1"]
    assert "1 ann the backup is done" in printed[2]
    assert "['ann', 'bob']\nconflict False" in printed[3]
    assert printed[4] == "ann I count to one.\n"
    found, kept = printed[6].splitlines()
    assert found.startswith("dm:ann:bob ") and found.endswith(" the report is in the blue folder")
    assert kept.startswith("['dm:ann:bob', 'group:news'] ")


async def test_the_bot(node: Node) -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, enter(node, "bob") as bob:
            program = (EXAMPLES / "bot.py").read_text()
            code = [line for line in program.split('"""')[2].splitlines() if line.strip()]
            assert len(code) <= 15, "fifteen lines are promised"
            process = await trio.lowlevel.open_process([sys.executable, str(EXAMPLES / "bot.py")])
            try:
                await bob.send("user:ann", "hi")
                (ann,) = await bob.watch(["ann"])
                while not ann.online:
                    # The bot answers what is written from its sign-in on.
                    event = await anext(bob)
                    ann = event.users[0] if isinstance(event, replies.Presence) else ann
                asked: list[int] = []
                nursery.start_soon(_ask, bob, asked)
                while not (isinstance(event := await anext(bob), facts.Message) and event.sender == "ann"):
                    pass
                assert event.body == "hello" and event.reply_to in asked
                async with enter(node, "ann") as ann_herself:
                    await ann_herself.send("user:bob", "!echo mine")
                await bob.send("user:ann", "!echo last")
                while not (isinstance(event := await anext(bob), facts.Message) and event.body == "last"):
                    assert not isinstance(event, facts.Message) or event.body != "mine", "it answers itself"
            finally:
                process.kill()
                await process.wait()
                nursery.cancel_scope.cancel()


async def _ask(bob: Chat, asked: list[int]) -> None:
    """Again and again: a message of the moment in which the bot signs in is among those that its welcome counts.

    Before each stands one in a group in which the bot may not answer."""
    await bob.create_group("news", users=["ann"], post="owner")
    while True:
        await bob.send("group:news", "!echo nobody")
        asked.append((await bob.send("user:ann", "!echo hello")).seq)
        await trio.sleep(1)


class Feed(BaseHTTPRequestHandler):
    """Two items, the newest first."""

    def do_GET(self) -> None:
        items = [
            {"id": str(number), "title": f"Item {number}", "url": f"https://example.org/{number}"} for number in (2, 1)
        ]
        body = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


async def test_the_feed_comes_into_the_group_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Feed)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(sys, "argv", ["feed.py", f"http://127.0.0.1:{server.server_port}/feed.json", "group:news"])
    program = (EXAMPLES / "feed.py").read_text()
    try:
        with trio.fail_after(60):
            async with enter(node, "ann") as ann:
                await ann.create_group("news")
                assert await trio.to_thread.run_sync(execute, program) == "1\n2\n"
                assert await trio.to_thread.run_sync(execute, program) == ""
                page = await ann.page("group:news")
    finally:
        server.shutdown()
        server.server_close()
    bodies = [fact.body for fact in page.entries if isinstance(fact, facts.Message)]
    assert bodies == ["Item 1\nhttps://example.org/1", "Item 2\nhttps://example.org/2"]


def test_the_reference_has_every_call_of_a_session() -> None:
    text = (ROOT / "docs" / "reference" / "sdk.md").read_text("utf-8")
    calls = {name for name in dir(Chat) if not name.startswith("_")}
    assert sorted(name for name in calls if f"### {name}\n" not in text) == []
