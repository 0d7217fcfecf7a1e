"""The module of the page in Node, as docs/howto/javascript.md uses it, and the bot in examples/, on a real node."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import pytest
import trio

from gochat.client import facts, replies
from gochat.node import running
from tests.client.conftest import Start, enter, start, url
from tests.docs.pages import HOWTO, ROOT, blocks, file
from tests.docs.relay import relay
from tests.docs.test_client_page import TEA, WAIT_S, process_output, say, settings, started
from tests.e2e.peer import Peer, address
from tests.programs import needs
from tests.tokens import issue

__all__ = ["start"]

PAGE = HOWTO / "javascript.md"
WEB = ROOT / "gochat" / "http" / "web" / "js"
#: The files of the module, which need no other.
MODULE = ("client.js", "connection.js", "positions.js")
#: A connection that broke is made again at once.
AT_ONCE = "Math.random = () => 0;"


def node_program(folder: Path) -> list[str]:
    needs("node")
    if "--experimental-websocket" not in process_output("node", "--help"):
        pytest.skip("node has no WebSocket before version 20.10: nodejs.org has newer ones")
    (folder / "at-once.mjs").write_text(AT_ONCE)
    return ["node", "--experimental-websocket", "--no-warnings", "--import", str(folder / "at-once.mjs")]


def test_the_module_needs_no_other_file() -> None:
    imports = {path for name in MODULE for path in re.findall(r'from "\./([\w.-]+)"', (WEB / name).read_text())}
    assert imports <= set(MODULE)
    for name in MODULE:
        assert f"`{name}`" in PAGE.read_text()


def test_options_and_methods_of_the_page_are_those_of_the_module() -> None:
    source, page = (WEB / "client.js").read_text(), PAGE.read_text()
    options = set(re.findall(r"@property \{.+\} \[?(\w+)\]?", source))
    table = page.partition("| option | |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)", row.partition(" | ")[0])}
    assert named - {"room", "epoch", "head"} == options
    for block in (block.text for block in blocks(PAGE) if block.language in ("js", "html")):
        used = set(re.findall(r"^  ([a-z]\w*)(?:: |,$)", block, re.MULTILINE))
        assert used <= options, used - options
    methods = set(re.findall(r"^  (?:async )?\*?(\w+)\(", source, re.MULTILINE))
    assert {"start", "stop", "retryNow", "send", "ask", "post", "pages", "online"} <= methods


async def test_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    for name in MODULE:
        (tmp_path / name).write_bytes((WEB / name).read_bytes())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "chat.mjs").write_text(file(PAGE, "chat.mjs"))
    line = node_program(tmp_path)
    with trio.fail_after(4 * WAIT_S):
        async with (
            running(settings(tmp_path / "data")) as node,
            running(settings(tmp_path / "other")) as other,
            relay() as between,
            trio.open_nursery() as nursery,
        ):
            bob = await Peer.open(node, "tcp", nursery)
            await bob.hello("bob")
            await bob.ask("group", name="tea", action="create", users=["ann"])
            await say(bob, "before")
            way = between.target = address(node, "http")
            host, port = between.address
            async with started(
                [*line, str(tmp_path / "chat.mjs"), f"ws://{host}:{port}/v1/ws"], issue(node, "ann")
            ) as ann:
                await ann.type(f"{TEA} here")
                await ann.shows_body("here")
                await between.cut()
                await say(bob, "missed")
                await ann.type(f"{TEA} typed while away")
                between.target = way
                await ann.shows_body("typed while away")
                await between.cut()
                await say(bob, *map(str, range(700)))  # more than is replayed: the room is paged
                between.target = way
                await say(bob, "end")
                await ann.shows_body("end")
                sent = ["here", "missed", "typed while away", *map(str, range(700)), "end"]
                assert ann.bodies() == sent
                late = await Peer.open(other, "tcp", nursery)
                await late.hello("bob")
                await late.ask("group", name="tea", action="create", users=["ann"])
                await say(late, "a", "b")
                await between.cut(address(other, "http"))
                await ann.shows_body("b")
                await say(late, "c")
                await ann.shows_body("c")
                assert ann.bodies() == [*sent, "a", "b", "c"], "another log is told, and begins anew"
            nursery.cancel_scope.cancel()


async def test_the_bot(start: Start, tmp_path: Path) -> None:
    line = node_program(tmp_path)
    program = ROOT / "examples" / "bot.mjs"
    code = [row for row in program.read_text().splitlines() if row.strip() and not row.startswith("//")]
    assert len(code) <= 15, "fifteen lines are promised"
    with trio.fail_after(4 * WAIT_S):
        async with start() as node, enter(node, "bob") as bob, trio.open_nursery() as nursery:
            environment = {"PATH": os.environ["PATH"], "GOCHAT_URL": url(node), "GOCHAT_TOKEN": issue(node, "ann")}
            run = partial(trio.run_process, stderr=subprocess.DEVNULL, env=environment, check=False)
            process = await nursery.start(run, [*line, str(program)])
            await bob.send("user:ann", "!echo before anybody listens")
            (ann,) = await bob.watch(["ann"])
            while not ann.online:
                event = await anext(bob)
                ann = event.users[0] if isinstance(event, replies.Presence) else ann
            await bob.create_group("news", users=["ann"], post="owner")
            await bob.send("group:news", "!echo nobody may")
            asked: list[int] = []
            nursery.start_soon(_ask, bob.send, asked)
            while not (isinstance(event := await anext(bob), facts.Message) and event.sender == "ann"):
                pass
            assert event.body == "hello" and event.reply_to in asked
            process.kill()
            nursery.cancel_scope.cancel()


async def _ask(send: object, asked: list[int]) -> None:
    """Again and again: a message of the moment in which the bot signs in is among those that its welcome counts."""
    while True:
        asked.append((await send("user:ann", "!echo hello")).seq)  # type: ignore[operator]
        await trio.sleep(1)


def test_the_example_of_going_on_keeps_what_the_module_tells() -> None:
    """It holds a place of each room that was kept, and nothing of others."""
    needs("node")
    (block,) = [block.text for block in blocks(PAGE) if "places.get" in block.text]
    module = (WEB / "client.js").as_uri()
    lines = [
        f"const {{ Client }} = await import({json.dumps(module)});",
        "globalThis.WebSocket = class { constructor() { globalThis.socket = this; } send() {} close() {} };",
        'const token = () => "T", kept = [], keep = (fact, place) => kept.push([fact.seq, place?.seq]);',
        'const places = new Map([["group:tea", { seq: 1, epoch: "a" }]]);',
        block.replace("\n});", '\n  url: "ws://chat.example/v1/ws",\n});'),
        "client.start(); await null; await null; await null;",
        'const rooms = ["tea", "new"].map((name) => ({ room: `group:${name}`, epoch: "a", head: 2, read: 0 }));',
        'const welcome = { type: "welcome", user: "ann", contacts: [], requests: [], rooms, limits: {} };',
        "const says = (frame) => socket.onmessage({ data: JSON.stringify(frame) });",
        'says(welcome); says({ type: "message", room: "group:tea", seq: 2, ts: 1, from: "bob" });',
        "console.log(JSON.stringify([kept, client.positions.level('group:new')])); client.stop();",
    ]
    told = subprocess.run(
        ["node", "--input-type=module", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == [[[2, None]], {"seq": 2, "epoch": "a"}]
