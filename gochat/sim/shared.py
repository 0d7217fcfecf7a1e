"""A node's connections to the cluster's log and bulletin, which end with the power of its machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import trio

from gochat.cluster.beat import BeatCodec
from gochat.cluster.identity import Identity
from gochat.cluster.memory import MemoryBulletin, MemoryLog
from gochat.cluster.memory_server import MemoryServer, Primary
from gochat.cluster.ports import PARTITIONS, ServerAway
from gochat.cluster.shared import Shared
from gochat.sim.determinism import Machine

T = TypeVar("T")

#: No secret: nobody else is there.
_SECRET: Final = "simulated-" * 4
_CLUSTER: Final = "51" * 8
#: Reads what nodes tell of themselves.
CODEC: Final = BeatCodec(_CLUSTER, _SECRET)


class _Log(MemoryLog):
    def __init__(self, server: MemoryServer, machine: Machine) -> None:
        super().__init__(server, machine.name)
        self._machine = machine

    async def _call(self, job: Callable[[Primary], T]) -> T:
        await _need_power(self._machine)
        return await super()._call(job)


class _Bulletin(MemoryBulletin):
    def __init__(self, server: MemoryServer, machine: Machine) -> None:
        super().__init__(server, machine.name)
        self._machine = machine

    async def _call(self, job: Callable[[Primary], T]) -> T:
        await _need_power(self._machine)
        return await super()._call(job)


async def _need_power(machine: Machine) -> None:
    if not machine.alive:
        await trio.lowlevel.checkpoint()
        raise ServerAway("the machine has no power")


def connect(server: MemoryServer, machine: Machine, instance: str, boot: int, *, joined: bool) -> Shared:
    """The cluster as the node of one start of a machine is given it. `instance`: the name of its folder, which the
    cluster was created in unless it `joined`."""
    boot_id = f"{instance}-{boot}"
    identity = Identity(cluster=_CLUSTER, secret=_SECRET, instance=instance, boot=boot_id, joined=joined)
    return Shared(_Log(server, machine), _Bulletin(server, machine), identity, name=machine.name)


async def create(server: MemoryServer) -> None:
    """Begin all partitions."""
    log = MemoryLog(server, "maker")
    for partition in range(PARTITIONS):
        await log.create(partition)
