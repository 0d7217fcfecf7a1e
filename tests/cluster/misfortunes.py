"""Faults of a fleet's nodes, of its server, and of the machines and cables below them. Each returns since when all is
there again: see `fleet.Fault`."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping, Sequence

import trio

from tests.cluster.fleet import Fleet, Member
from tests.cluster.machine import Machine
from tests.cluster.network import Network
from tests.cluster.primaries import Primaries
from tests.cluster.real import RealServer
from tests.durability.power import Disk

HOUR_S = 3_600


async def node_killed(fleet: Fleet, rng: random.Random) -> float:
    member = rng.choice(fleet.members)
    await member.kill()
    await trio.sleep(rng.uniform(0, 0.5))
    await member.start()
    return member.listening_at


class OnServer:
    """Things that befall a server."""

    def __init__(self, redis: RealServer, *, paused_s: float = 3.0) -> None:
        self._redis = redis
        self._paused_s = paused_s

    async def killed(self, fleet: Fleet, rng: random.Random) -> float:
        """It comes back with whatever it has kept."""
        self._redis.kill()
        await trio.sleep(rng.uniform(0, 0.5))
        return await self.started()

    async def started(self) -> float:
        await trio.to_thread.run_sync(self._redis.start)
        return time.monotonic()

    async def flushed(self, fleet: Fleet, rng: random.Random) -> float:
        await trio.to_thread.run_sync(self._redis.command, "FLUSHALL")
        return time.monotonic()

    async def paused(self, fleet: Fleet, rng: random.Random) -> float:
        self._redis.pause()
        await trio.sleep(self._paused_s)
        self._redis.resume()
        return time.monotonic()

    async def went_back(self, fleet: Fleet, rng: random.Random) -> float:
        """It comes back with what it had before a node was started again, and much was sent."""
        await trio.to_thread.run_sync(self._redis.command, "SAVE")
        await node_killed(fleet, rng)
        await trio.sleep(rng.uniform(0, 1))
        return await self.killed(fleet, rng)

    async def missed(self, fleet: Fleet, rng: random.Random) -> float:
        """A node is dead while the others go on, and what they wrote is gone from the server when it comes back."""
        member = rng.choice(fleet.members)
        await member.kill()
        await trio.sleep(rng.uniform(0.3, 0.8))
        self._redis.kill()
        await self.started()
        await member.start()
        return member.listening_at


class OnPrimaries:
    """Things that befall a Redis Cluster whose first primary has a replica."""

    def __init__(self, primaries: Primaries) -> None:
        self._primaries = primaries

    async def killed(self, fleet: Fleet, rng: random.Random) -> float:
        """A primary without a replica comes back with whatever it has kept."""
        server = self._primaries.servers[rng.choice([1, 2])]
        server.kill()
        await trio.sleep(rng.uniform(0, 0.5))
        await trio.to_thread.run_sync(server.start)
        await trio.to_thread.run_sync(self._primaries.wait_in_order)
        return time.monotonic()

    async def failed_over(self, fleet: Fleet, rng: random.Random) -> float:
        """The one with a replica dies, which takes its place without the last second."""
        return await trio.to_thread.run_sync(self._primaries.fail_over, 1.0)

    async def lived_on(self, fleet: Fleet, rng: random.Random) -> float:
        """The same, but it lives on, and takes itself for the primary for a while."""
        return await trio.to_thread.run_sync(self._primaries.live_on)

    async def moved(self, fleet: Fleet, rng: random.Random) -> float:
        """The slot of a partition goes to another primary."""
        await trio.to_thread.run_sync(self._primaries.move_any, rng)
        return time.monotonic()


class OnPower:
    """All nodes and the server lose power at one instant. Data that were not synced are gone; chance may have spared
    some of it on the nodes' disks."""

    def __init__(self, redis: RealServer, server_disk: Disk, disks: Mapping[Member, Disk]) -> None:
        self._redis = redis
        self._server_disk = server_disk
        self._disks = disks

    async def failed(self, fleet: Fleet, rng: random.Random) -> float:
        for member in fleet.members:
            member.send_signal(signal.SIGKILL)
        self._redis.kill()
        for member in fleet.members:
            await member.kill()
            self._disks[member].power_fails(rng.choice([rng, None]))
        self._server_disk.power_fails()
        await trio.to_thread.run_sync(self._redis.start)
        async with trio.open_nursery() as nursery:
            for member in fleet.members:
                nursery.start_soon(member.start)
        return max(member.listening_at for member in fleet.members)


class OnMachines:
    """One of these machines has a bad disk or a wrong clock."""

    def __init__(self, machines: Sequence[Machine], *, stalls_s: float = 30.0, wrong_s: float = 7.0) -> None:
        self._machines = machines
        self._stalls_s = stalls_s
        self._wrong_s = wrong_s

    async def disk_stalled(self, fleet: Fleet, rng: random.Random) -> float:
        machine = rng.choice(self._machines)
        machine.stalls = True
        try:
            await trio.sleep(self._stalls_s)
        finally:
            machine.stalls = False
        return time.monotonic()

    async def clock_changed(self, fleet: Fleet, rng: random.Random) -> float:
        """Its clock goes an hour ahead, or an hour behind, or is right again. Whoever compares clocks has time to find
        that: the service is there all the time."""
        machine = rng.choice(self._machines)
        machine.ahead_s = rng.choice([ahead for ahead in (HOUR_S, -HOUR_S, 0) if ahead != machine.ahead_s])
        since = time.monotonic()
        await trio.sleep(self._wrong_s)
        return since


class OnNetwork:
    """One node is cut off from the server."""

    def __init__(self, network: Network, *, cut_s: float = 10.0) -> None:
        self._network = network
        self._cut_s = cut_s

    async def cut(self, fleet: Fleet, rng: random.Random) -> float:
        name = rng.choice(fleet.members).folder.name
        self._network.cut(name, cable=rng.random() < 0.5)
        try:
            await trio.sleep(self._cut_s)
        finally:
            self._network.mend(name)
        return time.monotonic()
