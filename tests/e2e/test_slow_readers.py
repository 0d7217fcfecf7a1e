"""Many readers that read nothing: what waits for them has one bound, and those who read get everything."""

from __future__ import annotations

import socket

import trio

from gochat.session.slow import STEP
from tests.e2e.conftest import Start
from tests.e2e.peer import Peer, address
from tests.http.rest.client import issue

SLEEPERS = 40
TOTAL = 8 << 20
LIMITS = {"outbox_total_bytes": TOTAL, "unauthenticated_per_address": 1000}


async def test_sleepers_take_no_more_than_the_bound_together(start: Start, nursery: trio.Nursery) -> None:
    async with start(limits=LIMITS) as node:
        ann, bob = [await Peer.open(node, "tcp", nursery) for _ in range(2)]
        await ann.hello("ann", token=issue(node, "ann"))
        await bob.hello("bob", token=issue(node, "bob"))
        users = [f"s{number}" for number in range(SLEEPERS)]
        assert (await ann.ask("group", name="hall", action="create", users=["bob", *users]))["type"] == "ok"
        streams = []
        for user in users:
            sock = trio.socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await sock.connect(address(node, "tcp"))
            streams.append(sock)
            await sock.send(b'{"type":"hello","id":1,"token":"%s"}\n' % issue(node, user).encode())
            assert b"welcome" in await sock.recv(65536)
        outboxes = [session.outbox for session in node.gateway.sessions.values()]
        waited = 0
        for _ in range(1200):
            assert (await ann.ask("send", to="group:hall", body="x" * 3900))["type"] == "ack"
            ann.events.clear()
            bob.events.append(await bob.event("message"))
            bob.events.clear()
            waited = max(waited, sum(outbox.size for outbox in outboxes))
        assert TOTAL / 4 < waited <= TOTAL + TOTAL / STEP, waited
        assert waited == 0 or node.gateway.waiting.size <= waited
        for sock in streams:
            sock.close()
        await ann.aclose()
        await bob.aclose()
