"""A Redis Cluster of real servers: its primaries, replicas of some, and the things that befall their slots."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from redis.exceptions import RedisError

from gochat.cluster.identity import SLOTS, slot_of
from tests.cluster.real import RealServer
from tests.cluster.watched import NOWHERE, until
from tests.ports import HOST, held_port

#: After so long without an answer a node of the Redis Cluster is taken for dead; no test of this kind waits for it.
NEVER_MS = 60_000


class Primaries:
    """Each has as many slots as any other."""

    def __init__(
        self, stack: ExitStack, *options: str, count: int = 3, replicas: int = 0, timeout_ms: int = NEVER_MS
    ) -> None:
        """`replicas`: of the first primary."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gc")))
        self.count = count
        self.servers: list[RealServer] = []
        self.ports: list[int] = []
        self._bus_ports: list[int] = []
        for number in range(count + replicas):
            self._add(stack, folder / str(number), timeout_ms, *options)
        self.ids = [server.command("CLUSTER", "MYID").decode() for server in self.servers]
        for number, server in enumerate(self.servers):
            server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < count:
                first, last = number * SLOTS // count, (number + 1) * SLOTS // count - 1
                server.command("CLUSTER", "ADDSLOTSRANGE", first, last)
            if number:
                self.servers[0].command("CLUSTER", "MEET", HOST, self.ports[number], self._bus_ports[number])
        until(lambda: all(self._knows_all(server) for server in self.servers))
        for server in self.servers[count:]:
            server.command("CLUSTER", "REPLICATE", self.ids[0])
        self.wait_in_order()
        for server in self.servers[count:]:
            until(lambda server=server: b"master_link_status:up" in server.command("INFO", "replication"))  # type: ignore[misc]
        self.url = f"redis+cluster://{HOST}:{NOWHERE},{HOST}:{self.ports[1]}"

    def _add(self, stack: ExitStack, folder: Path, timeout_ms: int, *options: str) -> None:
        folder.mkdir()
        port, bus_port = stack.enter_context(held_port()), stack.enter_context(held_port())
        own = ("--port", str(port), "--bind", HOST, "--repl-diskless-sync-delay", "0", *options)
        clustered = ("--cluster-enabled", "yes", "--cluster-port", str(bus_port))
        server = RealServer(folder, *own, *clustered, "--cluster-node-timeout", str(timeout_ms))
        stack.callback(server.kill)
        server.start()
        self.servers.append(server)
        self.ports.append(port)
        self._bus_ports.append(bus_port)

    def _knows_all(self, server: RealServer) -> bool:
        nodes: list[bytes] = server.command("CLUSTER", "NODES").splitlines()
        return len(nodes) == len(self.servers) and not any(b"handshake" in node for node in nodes)

    def is_in_order(self, server: RealServer) -> bool:
        """Whether the server takes part in a Redis Cluster that serves all slots."""
        try:
            return b"cluster_state:ok" in server.command("CLUSTER", "INFO")
        except (RedisError, OSError):
            return False

    def wait_in_order(self) -> None:
        until(lambda: all(self.is_in_order(server) for server in self.servers))

    def place_of(self, partition: int, cluster: str) -> int:
        """Which primary had the partition's slot at first."""
        return slot_of(f"{cluster}.{partition}") * self.count // SLOTS

    def spread_over(self, partitions: Collection[int]) -> str:
        """A cluster's id with these partitions on all primaries."""
        while True:
            drawn = secrets.token_hex(4)
            if len({self.place_of(partition, drawn) for partition in partitions}) == self.count:
                return drawn

    def move(self, slot: int, source: int, target: int) -> None:
        """Give the slot, with the keys that it has, to another primary, as `redis-cli --cluster reshard` does."""
        giver, taker = self.servers[source], self.servers[target]
        taker.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        giver.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])
        while keys := giver.command("CLUSTER", "GETKEYSINSLOT", slot, 10):
            giver.command("MIGRATE", HOST, self.ports[target], "", 0, 5_000, "KEYS", *keys)
        for place in (target, source, *range(self.count)):
            self.servers[place].command("CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])
