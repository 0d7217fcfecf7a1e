"""With `history.after_leaving = false` no way leads a former member to what was said."""

from __future__ import annotations

from pathlib import Path

import trio

from gochat.node import running
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer


async def test_a_client_that_comes_back_is_sent_nothing(tmp_path: Path, nursery: trio.Nursery) -> None:
    for open_past in (True, False):
        settings = make_settings(tmp_path / str(open_past), history={"after_leaving": open_past})
        async with running(settings) as node:
            ann, bob = await Peer.open(node, "tcp", nursery), await Peer.open(node, "ws", nursery)
            await ann.hello("ann")
            await ann.ask("group", name="tea", action="create", users=["bob"])
            await ann.ask("send", to="group:tea", body="secret")
            await ann.ask("group", name="tea", action="remove", users=["bob"])
            await bob.hello("bob", resume={"group:tea": {"seq": 0}})
            if open_past:
                assert [fact["seq"] for fact in await bob.facts("group:tea", 4)] == [1, 2, 3, 4]
            await bob.nothing_more()
            await ann.aclose()
            await bob.aclose()
