from __future__ import annotations

import trio

from gochat.node import Node
from tests.e2e.peer import Peer, address
from tests.tokens import issue


async def get(node: Node, path: str, door: str = "http", *scopes: str) -> str:
    """The whole answer to one request, with a token that has these scopes."""
    token = f"Authorization: Bearer {issue(node, 'operator', scopes)}\r\n" if scopes else ""
    async with await trio.open_tcp_stream(*address(node, door)) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}\r\n".encode())
        with trio.fail_after(25):
            return b"".join([chunk async for chunk in stream]).decode()


async def test_health(node: Node) -> None:
    assert (await get(node, "/livez")).startswith("HTTP/1.1 200 ")
    verbose = await get(node, "/readyz?verbose")
    assert verbose.endswith("[+] accepting ok\n[+] store ok\nready\n")
    node.drain()
    drained = await get(node, "/readyz?verbose")
    assert drained.startswith("HTTP/1.1 503 ") and "[-] accepting: the node is draining" in drained


async def test_names_that_nobody_knows_are_not_kept(node: Node, nursery: trio.Nursery) -> None:
    ann = await Peer.open(node, "tcp", nursery)
    await ann.hello("ann")
    for number in range(50):
        assert (await ann.ask("send", to=f"group:none{number}", body="x"))["code"] == "not_found"
    assert len(node.gateway.rooms) == 0
    assert (await ann.ask("group", name="tea", action="create"))["seq"] == 1
    assert len(node.gateway.rooms) == 1
