"""Three whole nodes that share a log in memory, and people on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from gochat.cluster.memory_server import MemoryServer
from gochat.node import Node
from tests.cluster.joining import caught_up, cluster_node
from tests.e2e.peer import Frame, Peer
from tests.http.rest.client import Rest
from tests.tokens import issue

NAMES = ("north", "south", "west")
#: For whatever must come in the end.
PATIENCE_S = 60


class Town:
    """The nodes, each in a task of its own, and people on them."""

    def __init__(self, folder: Path, server: MemoryServer, nursery: trio.Nursery) -> None:
        self.server = server
        self.nodes: dict[str, Node] = {}
        self._folder = folder
        self._nursery = nursery
        self._stops: dict[str, trio.Event] = {}
        self._stopped: dict[str, trio.Event] = {}
        self._open: list[Peer | Rest] = []

    async def start(self, *names: str, **sections: Any) -> None:
        with trio.fail_after(PATIENCE_S):
            for name in names:
                self._stops[name], self._stopped[name] = trio.Event(), trio.Event()
                await self._nursery.start(self._run, name, sections)
            for name in names:
                await caught_up(self.nodes[name].gateway.journal)  # type: ignore[arg-type]

    async def _run(self, name: str, sections: dict[str, Any], task_status: Any) -> None:
        async with cluster_node(self.server, self._folder, name, **sections) as node:
            self.nodes[name] = node
            task_status.started()
            await self._stops[name].wait()
        del self.nodes[name]
        self._stopped[name].set()

    async def stop(self, *names: str) -> None:
        for name in names:
            self._stops[name].set()
        with trio.fail_after(PATIENCE_S):
            for name in names:
                await self._stopped[name].wait()

    async def aclose(self) -> None:
        for each in self._open:
            await each.aclose()
        await self.stop(*self.nodes)

    async def peer(self, name: str, user: str, **hello: Any) -> Peer:
        peer = await Peer.open(self.nodes[name], "tcp", self._nursery)
        self._open.append(peer)
        await peer.hello(user, **hello)
        return peer

    def rest(self, name: str, user: str, *scopes: str) -> Rest:
        node = self.nodes[name]
        rest = Rest(node, issue(node, user, scopes) if scopes else issue(node, user))
        self._open.append(rest)
        return rest


def facts_of(frames: list[Frame]) -> list[tuple[int, str]]:
    return [(frame["seq"], frame["body"]) for frame in frames]


async def log_of(rest: Rest, room: str) -> list[Frame]:
    """All facts of a room, by REST."""
    entries: list[Frame] = []
    while True:
        after = entries[-1]["seq"] if entries else 0
        page = (await rest("GET", f"/v1/messages?room={room}&after={after}&limit=100")).json
        entries += page["entries"]
        if not page["entries"] or entries[-1]["seq"] >= page["head"]:
            return entries


async def all_at_once(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    results: list[Any] = [None] * len(calls)

    async def run(index: int, call: Callable[[], Awaitable[Any]]) -> None:
        results[index] = await call()

    async with trio.open_nursery() as nursery:
        for index, call in enumerate(calls):
            nursery.start_soon(run, index, call)
    return results
