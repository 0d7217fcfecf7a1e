"""The stage as three nodes of one cluster: every session that is opened is on another one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar

import trio

from gochat.node import Node, running
from tests.cluster.joining import SECRET, new_log, shared
from tests.conformance.stage import Stage, sections_for
from tests.conformance.wires import Wire
from tests.e2e.conftest import make_settings
from tests.store.write.test_faults import full_disk

NAMES = ("north", "south", "west")


class ClusterStage(Stage):
    """`node` is the node of the session that is being opened."""

    def __init__(
        self, nodes: Sequence[Node], wire: type[Wire], trusted: Path, nursery: trio.Nursery, leave: trio.Event
    ) -> None:
        super().__init__(nodes[0], wire, trusted, nursery, leave)
        self._all = nodes
        self._turns = itertools.cycle(nodes)
        self._homes: dict[str, Node] = {}

    async def _open_elsewhere(self, session: str, rest: str) -> None:
        self.node = self._homes[session] = next(self._turns)
        await self._open(session, rest)

    async def _close_there(self, session: str, rest: str) -> None:
        self.node = self._homes.pop(session)
        await self._close(session, rest)

    async def _all_disks(self, _: str, rest: str) -> None:
        if rest == "full":
            self._disk_is_full = contextlib.ExitStack()
            for node in self._all:
                self._disk_is_full.enter_context(full_disk(node.database))
        else:
            self._disk_is_full.close()

    _acts: ClassVar = {
        **Stage._acts,
        (False, "open"): _open_elsewhere,
        (False, "close"): _close_there,
        (True, "disk"): _all_disks,
    }


@contextlib.asynccontextmanager
async def staged_cluster(wire: type[Wire], folder: Path) -> AsyncIterator[ClusterStage]:
    """As `stage.staged`."""
    trusted, sections = sections_for(wire, folder)
    leave = trio.Event()
    server = await new_log()

    async def run(name: str, task_status: trio.TaskStatus[Node]) -> None:
        settings = make_settings(folder / name, **{**sections, "auth": {"secret": SECRET, **sections["auth"]}})
        async with running(settings, shared(server, name)) as node:
            task_status.started(node)
            await leave.wait()

    async with trio.open_nursery() as nodes, trio.open_nursery() as nursery:
        started = [await nodes.start(run, name) for name in NAMES]
        stage = ClusterStage(started, wire, trusted, nursery, leave)
        try:
            yield stage
        finally:
            await stage.aclose()
            nursery.cancel_scope.cancel()
            leave.set()
