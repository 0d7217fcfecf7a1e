"""Hostile peers by the thousand: the same process serves on, and nothing of them is left in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio

from gochat import config
from gochat.node import running
from tests.durability.process import Served
from tests.durability.wire import Address, Link
from tests.hostile.attacks import USERS, attack
from tests.tokens import issue

#: Short, so that who sits there silent is gone soon; and caps that one attacking address does not meet.
ENV = {
    "GOCHAT_POLICY__STRANGERS": "allow",
    "GOCHAT_LIMITS__HANDSHAKE_S": "1",
    "GOCHAT_LIMITS__HELLO_S": "1",
    "GOCHAT_LIMITS__UNAUTHENTICATED": "5000",
    "GOCHAT_LIMITS__UNAUTHENTICATED_PER_ADDRESS": "5000",
}
BACK_S = 60.0


async def chat(http: Address, tcp: Address, token: Callable[[str], str], key: str) -> None:
    """Two users, two transports: a message arrives and is acked; the attackers' names are known too."""
    with trio.fail_after(60):
        async with await Link.open("tcp", tcp) as ann, await Link.open("ws", http) as bob:
            await ann.hello(token("ann"))
            await bob.hello(token("bob"))
            ack = await ann.ask({"type": "send", "id": key, "to": "user:bob", "body": key, "key": key})
            assert ack["type"] == "ack", ack
            while (frame := await bob.receive()).get("key") != key:
                pass
            assert (frame["type"], frame["body"], frame["seq"]) == ("message", key, ack["seq"])
        for user in USERS:
            async with await Link.open("tcp", tcp) as link:
                await link.hello(token(user))
                await link.ask({"type": "send", "id": 1, "to": "user:mallory1", "body": "warm", "key": key})


async def survive(served: Served, visits: int) -> None:
    await served.start()
    try:
        http, tcp = served.addresses["http"], served.addresses["tcp"]
        await chat(http, tcp, served.token, "before")
        pid, files, threads = served.pid, served.open_files, served.threads
        await attack(http, tcp, served.token, visits=visits, seed=1)
        await chat(http, tcp, served.token, "after")
        with trio.move_on_after(BACK_S):
            while served.open_files > files or served.threads > threads:
                await trio.sleep(0.05)
        assert served.open_files <= files
        assert served.threads <= threads
        assert served.pid == pid
        assert await served.stop() == 0
        log = served.log.read_text()
        assert "Traceback" not in log, log
        # The wall around a connection speaks of what nobody had thought of.
        assert "closed after" not in log, log
        assert "crashed" not in log, log
    finally:
        if served.up.is_set():
            await served.aclose()


async def test_six_hundred_hostile_connections(tmp_path: Path) -> None:
    await survive(Served(tmp_path, env=ENV), 600)


@pytest.mark.long
async def test_twenty_thousand_hostile_connections(tmp_path: Path) -> None:
    await survive(Served(tmp_path, env=ENV), 20_000)


def tasks() -> Counter[str]:
    """All tasks of this trio run, by name."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, todo = Counter[str](), [root]
    while todo:
        task = todo.pop()
        found[task.name] += 1
        todo += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


async def test_no_task_is_left(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        config.Settings(),
        node=config.Node(name="test", data=str(tmp_path / "data"), drain_s=2.0),
        http=config.Http(bind="127.0.0.1:0"),
        tcp=config.Tcp(bind="127.0.0.1:0"),
        nng=config.Nng(bind=""),
        policy=config.Policy(strangers="allow"),
        limits=config.Limits(messages_per_s=0.0, handshake_s=1.0, hello_s=1.0, unauthenticated_per_address=2_000),
    )
    async with running(settings) as node:
        token = partial(issue, node)
        http, tcp = (_address(node.addresses, door) for door in ("http", "tcp"))
        await chat(http, tcp, token, "before")
        before = tasks()
        await attack(http, tcp, token, visits=160, seed=2)
        await chat(http, tcp, token, "after")
        with trio.move_on_after(BACK_S):
            while tasks() - before or node.connections.statistics().open:
                await trio.sleep(0.05)
        assert tasks() - before == Counter()
        assert node.connections.statistics().open == 0
        assert node.connections.statistics().failed == 0
        assert not node.gateway.sessions


def _address(addresses: list[tuple[str, str]], door: str) -> Address:
    host, _, port = dict(addresses)[door].rpartition(":")
    return host, int(port)
