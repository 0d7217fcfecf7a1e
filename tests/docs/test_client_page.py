"""The clients of docs/howto/client.md, as they stand there, on connections that break."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.node import Node, running
from tests.client.peer import Visit, listed, message
from tests.client.peer import peer as scripted_server
from tests.docs.pages import HOWTO, blocks, file
from tests.docs.relay import Relay, relay
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer, address
from tests.programs import needs
from tests.tokens import issue

PAGE = HOWTO / "client.md"
TEA = "group:tea"
SECRET = "the same on every node of this test"
WAIT_S = 30.0


class Client:
    """A client of the page in a process of its own."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.shown: list[dict[str, Any]] = []
        self._rest = b""

    async def type(self, line: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(line.encode() + b"\n")

    async def shows(self, done: Callable[[list[dict[str, Any]]], bool]) -> None:
        """Wait until what was shown is `done`."""
        assert self.process.stdout is not None
        while not done(self.shown):
            data = await self.process.stdout.receive_some()
            assert data, f"it ended; it had shown {self.shown[-3:]}"
            *lines, self._rest = (self._rest + data).split(b"\n")
            self.shown += map(json.loads, lines)

    async def shows_body(self, body: str) -> None:
        await self.shows(lambda shown: any(frame.get("body") == body for frame in shown))

    def bodies(self) -> list[str]:
        return [frame["body"] for frame in self.shown if frame["type"] == "message" and frame["room"] == TEA]


#: Chance says how long a client waits before it comes back: here it always says the shortest time.
SHORT_WAITS = {
    "waits.py": """
import random, runpy, sys
random.uniform = lambda least, most: least
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
""",
    "waits.mjs": "Math.random = () => 0;",
}


def command(language: str, folder: Path, host: str, port: int) -> list[str]:
    """The program, saved as the page says, and what starts it. Skips where the language is not installed."""
    for name, text in SHORT_WAITS.items():
        (folder / name).write_text(text)
    if language == "python":
        (folder / "client.py").write_text(file(PAGE, "client.py"))
        return [sys.executable, str(folder / "waits.py"), str(folder / "client.py"), host, str(port)]
    needs("node")
    if "--experimental-websocket" not in process_output("node", "--help"):
        pytest.skip("node has no WebSocket before version 20.10: nodejs.org has newer ones")
    for name in ("chat.mjs", "main.mjs"):
        (folder / name).write_text(file(PAGE, name))
    node = ["node", "--experimental-websocket", "--import", str(folder / "waits.mjs")]
    return [*node, str(folder / "main.mjs"), f"ws://{host}:{port}/v1/ws"]


def process_output(*arguments: str) -> str:
    return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60).stdout


@asynccontextmanager
async def started(line: list[str], token: str) -> AsyncIterator[Client]:
    async with trio.open_nursery() as nursery:
        environment = {"PATH": os.environ["PATH"], "GOCHAT_TOKEN": token}
        run = partial(trio.run_process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, check=False)
        process = await nursery.start(run, line)
        try:
            yield Client(process)
        finally:
            process.kill()


def settings(data: Path) -> Any:
    return make_settings(data, auth={"secret": SECRET}, session={"heartbeat_s": 1.0})


async def say(peer: Peer, *bodies: str) -> None:
    for body in bodies:
        assert (await peer.ask("send", to=TEA, body=body))["type"] == "ack"


DOORS = {"python": "tcp", "javascript": "http"}


@pytest.mark.parametrize("language", DOORS)
async def test_nothing_is_lost_and_nothing_comes_twice(language: str, tmp_path: Path) -> None:
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
            await say(bob, "unread")
            between.target = address(node, DOORS[language])
            line = command(language, tmp_path, *between.address)
            async with started(line, issue(node, "ann")) as ann:
                await ann.shows_body("unread")
                await conversation(ann, bob, between)
                sent = ["unread", "live", "missed", "typed while away", "its ack is lost", *map(str, range(700)), "end"]
                assert ann.bodies() == sent
                await another_log(ann, other, between, language, nursery)
                assert ann.bodies() == [*sent, "a", "b", "c"]
            assert await stored(bob) == sent
            nursery.cancel_scope.cancel()


async def conversation(ann: Client, bob: Peer, between: Relay) -> None:
    """All that goes wrong on the way to one node."""
    way = between.target
    await say(bob, "live")
    await ann.shows_body("live")

    await between.cut()
    await say(bob, "missed")
    await ann.type(f"{TEA} typed while away")
    between.target = way
    await ann.shows_body("typed while away")

    between.swallow()  # what is typed is recorded, and its ack lost; the client finds out by the silence
    await ann.type(f"{TEA} its ack is lost")
    while (await bob.event("message"))["body"] != "its ack is lost":
        pass
    await ann.shows_body("its ack is lost")

    await between.cut()
    await say(bob, *map(str, range(700)))  # more than is replayed: the room lags
    between.target = way
    await say(bob, "end")
    await ann.shows_body("end")


async def another_log(ann: Client, other: Node, between: Relay, language: str, nursery: trio.Nursery) -> None:
    """The room is there under another epoch, as after a backup was restored."""
    bob = await Peer.open(other, "tcp", nursery)
    await bob.hello("bob")
    await bob.ask("group", name="tea", action="create", users=["ann"])
    await say(bob, "a", "b")
    await between.cut(address(other, DOORS[language]))
    await ann.shows(lambda shown: any(frame["type"] == "reset" for frame in shown))
    await say(bob, "c")
    await ann.shows_body("c")


async def stored(peer: Peer) -> list[str]:
    """Every message of the room, as the node has it."""
    bodies: list[str] = []
    after = 0
    while True:
        page = await peer.ask("history", room=TEA, after=after, limit=200)
        bodies += [entry["body"] for entry in page["entries"] if entry["type"] == "message"]
        if not page["entries"] or (after := page["entries"][-1]["seq"]) == page["head"]:
            return bodies


@pytest.mark.parametrize("language", DOORS)
async def test_a_token_that_is_refused_is_not_tried_for_ever(language: str, tmp_path: Path) -> None:
    with trio.fail_after(WAIT_S):
        async with running(settings(tmp_path / "data")) as node:
            line = command(language, tmp_path, *address(node, DOORS[language]))
            async with started(line, "no token at all") as ann:
                if language == "python":
                    assert await ann.process.wait() == 1
                else:
                    await ann.shows(lambda shown: shown == [{"type": "closed", "code": 4500}])


async def test_lag_upon_lag_and_a_page_that_a_reset_overtook(tmp_path: Path) -> None:
    """Seldom with a node: a `resume` that only brings another `lag`, which comes before its `ok`; and a page of the
    old log that comes after the `reset`."""
    with trio.fail_after(WAIT_S):
        async with scripted_server() as server:
            host, port = server.url.removeprefix("tcp://").split(":")
            async with started(command("python", tmp_path, host, int(port)), "a token") as ann:
                visit = await server.visit()
                await visit.welcome(listed(1) | {"read": 1})
                first = await asked(visit, "history")
                await visit.reply(first, "page", **page([], head=1))
                await visit.reply(await asked(visit, "resume"), "ok", head=1)

                await visit.send(message(2), {"type": "lag", "room": TEA, "epoch": "e1", "head": 700})
                await visit.reply(await asked(visit, "history"), "page", **page([3, 4], head=4))
                resume = await asked(visit, "resume")
                await visit.send({"type": "lag", "room": TEA, "epoch": "e1", "head": 5})
                await visit.reply(resume, "ok", head=5)
                await visit.reply(await asked(visit, "history"), "page", **page([5], head=5))
                await visit.reply(await asked(visit, "resume"), "ok", head=5)
                await visit.send(message(5), message(6))
                await ann.shows_body("m6")
                assert ann.bodies() == ["m2", "m3", "m4", "m5", "m6"]

                await visit.send({"type": "lag", "room": TEA, "epoch": "e1", "head": 9})
                stale = await asked(visit, "history")
                await visit.send({"type": "reset", "room": TEA, "epoch": "e2", "head": 8})
                fresh = await asked(visit, "history")
                assert (stale["after"], fresh["after"]) == (6, 0)
                await visit.reply(stale, "page", **page([7, 8], head=8) | {"epoch": "e2"})
                await visit.send(message(9))  # live already, and to come in a page: not to be shown before the others
                await visit.reply(fresh, "page", **page(range(1, 10), head=9) | {"epoch": "e2"})
                await ann.shows_body("m9")
                assert ann.bodies()[5:] == [f"m{seq}" for seq in range(1, 10)]
                assert await asked(visit, "resume") | {"id": ""} == {
                    "type": "resume",
                    "id": "",
                    "room": TEA,
                    "seq": 9,
                    "epoch": "e2",
                }


async def test_a_room_that_no_list_names_is_resumed_with_the_epoch_of_the_welcome(tmp_path: Path) -> None:
    with trio.fail_after(WAIT_S):
        async with scripted_server() as server:
            host, port = server.url.removeprefix("tcp://").split(":")
            async with started(command("python", tmp_path, host, int(port)), "a token") as ann:
                visit = await server.visit()
                await visit.welcome()
                await visit.send(message(4))
                await ann.shows_body("m4")
                await visit.close()
                hello = await (await server.visit()).expect("hello")
                assert hello["resume"] == {TEA: {"seq": 4, "epoch": "e1"}}


async def asked(visit: Visit, kind: str) -> dict[str, Any]:
    """The next request but for `read`, which must be of this kind."""
    while (frame := await visit.receive())["type"] == "read":
        pass
    assert frame["type"] == kind, frame
    return frame


def page(seqs: Iterable[int], head: int) -> dict[str, Any]:
    return {"room": TEA, "epoch": "e1", "entries": [message(seq) for seq in seqs], "head": head, "complete": True}


async def test_the_script_of_the_page_sends_its_message(tmp_path: Path) -> None:
    """It stands in HTML; here it runs without a browser, with a token from where its service would be asked."""
    (html,) = [block.text for block in blocks(PAGE) if block.language == "html"]
    body = re.sub(r"</?script.*?>", "", html)
    with trio.fail_after(WAIT_S):
        async with running(settings(tmp_path / "data")) as node, trio.open_nursery() as nursery:
            bob = await Peer.open(node, "tcp", nursery)
            await bob.hello("bob")
            host, port = address(node, "http")
            line = command("javascript", tmp_path, host, port)
            service = "globalThis.fetch = async () => ({text: async () => process.env.GOCHAT_TOKEN});\n"
            script = service + body.replace("wss://chat.example.org", f"ws://{host}:{port}")
            (tmp_path / "page.mjs").write_text(script)
            async with started([*line[:-2], str(tmp_path / "page.mjs")], issue(node, "ann")):
                told = await bob.event("message")
            assert (told["from"], told["body"]) == ("ann", "hello")
            nursery.cancel_scope.cancel()
