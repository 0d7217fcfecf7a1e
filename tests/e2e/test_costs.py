"""Nothing is free: each request is paid for from its user's reads, or by the user's actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio

from gochat.actors.quota import Quota
from gochat.domain.limits import UserLimits
from gochat.node import Node
from gochat.protocol.catalogue import CATALOGUE
from gochat.protocol.requests import Pong, Request
from tests.e2e.peer import Peer
from tests.protocol.frames import REQUESTS
from tests.tokens import issue

Connect = Callable[..., Any]
#: A request that gets no answer is followed by a `ping`, which is a read itself.
SILENT = (Pong,)


class Counted(Quota):
    """A quota that counts what is taken from it."""

    reads = 0

    def read(self, times: int = 1) -> None:
        self.reads += times


async def test_each_request_that_no_actor_limits_counts_as_a_read(node: Node, connect: Connect) -> None:
    ann: Peer = await connect("ann", token=issue(node, "ann", scopes=["admin"]))
    await ann.ask("group", name="tea", action="create")
    session = node.gateway.sessions[ann.welcome["session"]]
    counted = Counted(UserLimits(), node.timer_wheel, node.live.counts, ())
    session.actor.quota = counted
    for name, request in REQUESTS.items():
        assert isinstance(request, Request)
        row = CATALOGUE[type(request)]  # type: ignore[index]
        counted.reads = 0
        frame = msgspec.to_builtins(request)
        kind = frame.pop("type")
        frame.pop("id", None)
        if isinstance(request, SILENT):
            await ann.send({"type": kind})
            await ann.ask("ping")
            counted.reads -= 1
        else:
            await ann.ask(kind, **frame)
        assert counted.reads == (row.cost not in ("message", "action")), name


async def test_what_is_refused_for_its_scope_costs_no_less(node: Node, connect: Connect) -> None:
    ann: Peer = await connect("ann", token=issue(node, "ann", scopes=["metrics"]))
    session = node.gateway.sessions[ann.welcome["session"]]
    counted = Counted(UserLimits(), node.timer_wheel, node.live.counts, ())
    session.actor.quota = counted
    with trio.fail_after(25):
        assert (await ann.ask("history", room="group:tea"))["code"] == "forbidden"
        assert counted.reads == 1
