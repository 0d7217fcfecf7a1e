"""Nodes of one cluster in this process, over a log in memory."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import trio

from gochat import store as stores
from gochat.cluster.identity import Identity
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.memory import MemoryBulletin, MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import PARTITIONS
from gochat.cluster.shared import Shared
from gochat.config import Settings
from gochat.node import Node, running
from gochat.ports.journal import ForeignBatch
from gochat.store import Store
from tests.e2e.conftest import make_settings

CLUSTER = "0123456789abcdef"
#: Long enough to sign tokens with: all nodes of a cluster have the same.
SECRET = "the secret of all nodes, of some length"


async def new_log() -> MemoryServer:
    """A server with the log of a new cluster."""
    server = MemoryServer(random=Random(1))
    maker = MemoryLog(server, "maker")
    for partition in range(PARTITIONS):
        await maker.create(partition)
    return server


class Boots:
    """Names starts of nodes."""

    count = 0


def shared(server: MemoryServer, name: str, *, read_wait_s: float = 1.0) -> Shared:
    """The cluster as the node of that name gets it, for one start."""
    Boots.count += 1
    who = Identity(cluster=CLUSTER, secret=SECRET, instance=name, boot=str(Boots.count))
    return Shared(MemoryLog(server, name, read_wait_s=read_wait_s), MemoryBulletin(server, name), who, name)


@asynccontextmanager
async def joined_store(
    server: MemoryServer, name: str, opening: AbstractAsyncContextManager[Store]
) -> AsyncIterator[tuple[Store, list[ForeignBatch]]]:
    """A store whose journal is the cluster's, and the batches of other nodes that it tells."""
    async with opening as store, joined(store.replica, shared(server, name)) as journal:
        heard: list[ForeignBatch] = []
        journal.listen(heard.append)
        await caught_up(journal)
        yield store._replace(journal=journal), heard


async def caught_up(journal: ClusterJournal) -> None:
    await journal.wait_present()


@asynccontextmanager
async def cluster_node(server: MemoryServer, folder: Path, name: str, **sections: object) -> AsyncIterator[Node]:
    """A whole node on the folder."""
    settings = make_settings(folder / name, **{"auth": {"secret": SECRET}, "node": {"name": name}} | sections)
    async with running(settings, shared(server, name)) as node:
        yield node


def inline() -> AbstractAsyncContextManager[Store]:
    return stores.open_inline(":memory:")


@asynccontextmanager
async def serving(server: MemoryServer, *names: str) -> AsyncIterator[list[Store]]:
    """The stores of nodes that serve, with the cluster's journal each."""
    async with AsyncExitStack() as stack:
        yield [(await stack.enter_async_context(joined_store(server, name, inline())))[0] for name in names]


def journal_of(store: Store) -> ClusterJournal:
    assert isinstance(store.journal, ClusterJournal)
    return store.journal


async def until(holds: Callable[[], object]) -> None:
    """Wait for a state of which nothing tells; on the autojump clock it costs no time."""
    with trio.fail_after(60):
        while not holds():  # noqa: ASYNC110 -- nothing tells
            await trio.sleep(0.1)


class Anywhere:
    """Three nodes that pass for one: each connection to it is to another of them. All else is the first one's."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self._turns = itertools.cycle(nodes)

    @property
    def addresses(self) -> list[tuple[str, str]]:
        return next(self._turns).addresses

    def __getattr__(self, name: str) -> Any:
        return getattr(self.nodes[0], name)


#: Those that run now.
RUNNING: list[Anywhere] = []
#: The logs of clusters by the data folders of their nodes: a node that starts again finds its own.
_LOGS: dict[str, MemoryServer] = {}


@asynccontextmanager
async def running_anywhere(settings: Settings) -> AsyncIterator[Any]:
    """As `node.running`, but three nodes of a cluster with these settings, once all of them serve. Those without a key
    get one: all nodes must have the same."""
    if not settings.auth.configured:
        settings = msgspec.structs.replace(settings, auth=msgspec.structs.replace(settings.auth, secret=SECRET))
    server = _LOGS.get(settings.node.data)
    if server is None:
        server = _LOGS[settings.node.data] = await new_log()
    stop = trio.Event()

    async def run(name: str, task_status: trio.TaskStatus[Node]) -> None:
        data = f"{settings.node.data}-{name}"
        own = msgspec.structs.replace(settings, node=msgspec.structs.replace(settings.node, data=data))
        async with running(own, shared(server, name)) as node:
            task_status.started(node)
            await stop.wait()

    async with trio.open_nursery() as nursery:
        nodes = [await nursery.start(run, name) for name in ("north", "south", "west")]
        for node in nodes:
            await caught_up(node.gateway.journal)
        RUNNING.append(anywhere := Anywhere(nodes))
        try:
            yield anywhere
        finally:
            RUNNING.remove(anywhere)
        stop.set()
