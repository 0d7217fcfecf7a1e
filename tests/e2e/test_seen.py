"""Users who are online when the node crashes were seen a moment before, and not at the end of an earlier visit."""

from __future__ import annotations

import trio

from tests.e2e.conftest import Start
from tests.e2e.peer import Peer
from tests.http.rest.client import issue


async def test_who_has_just_come_was_seen_now(start: Start, nursery: trio.Nursery) -> None:
    async with start() as node:
        ann = await Peer.open(node, "tcp", nursery)
        before = node.gateway.live.watches.last_seen.get("ann")
        await ann.hello("ann", token=issue(node, "ann"))
        with trio.fail_after(25):
            while (await node.gateway.archive.users(["ann"])).get("ann", ("", None))[1] is None:
                await trio.sleep(0.05)
        assert before is None and node.gateway.live.watches.last_seen.get("ann") is None, "nobody noted her end"
        await ann.aclose()
