"""A Redis Cluster of real servers: its primaries, replicas of some, and the things that befall their slots."""

from __future__ import annotations

import random
import secrets
import tempfile
import time
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from redis.exceptions import RedisError

from gochat.cluster.identity import SLOTS, slot_of
from tests.cluster.real import RealServer
from tests.cluster.watched import NOWHERE, offset, told, until
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
        self.missing = 0
        """Bytes that a primary had and its successor had not, over all changes."""
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
        self.url = f"redis+cluster://{HOST}:{NOWHERE},{HOST}:{self.ports[-1]}"

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

    def holders(self) -> list[int]:
        """The places of those that are primaries now."""
        return [place for place, server in enumerate(self.servers) if b"role:master" in told(server, "replication")]

    def _pair(self) -> tuple[int, int]:
        """The places of the primary that has a replica, and of that one."""
        (primary,) = {0, self.count} & set(self.holders())
        return primary, self.count - primary

    def _wait_replaced(self, old: int, new: int) -> float:
        """Until the Redis Cluster goes on without the old one. When that was, on time.monotonic's clock."""
        others = [server for place, server in enumerate(self.servers) if place != old]
        until(lambda: b"role:master" in told(self.servers[new], "replication"))
        until(lambda: all(self.is_in_order(server) for server in others))
        return time.monotonic()

    def _wait_following(self, old: int) -> None:
        until(lambda: b"master_link_status:up" in told(self.servers[old], "replication"))
        self.wait_in_order()

    def fail_over(self, lacking_s: float = 0.0) -> float:
        """The primary that has a replica dies, and the replica, which lacks what came in the last so many seconds,
        takes its place; the dead one comes back as the replica of that one. When the new one served."""
        old, new = self._pair()
        if lacking_s:
            # Connections that are there go on, and the replica, whose connection is broken, can't make another one.
            self.servers[old].command("CONFIG", "SET", "requirepass", "nobody knows")
            self.servers[old].command("CLIENT", "KILL", "TYPE", "replica")
            time.sleep(lacking_s)
            self.missing += offset(self.servers[old]) - offset(self.servers[new])
        self.servers[old].kill()
        done_at = self._wait_replaced(old, new)
        self.servers[old].start()
        self._wait_following(old)
        return done_at

    def live_on(self) -> float:
        """The primary that has a replica stands still until it is replaced, and then goes on under connections that
        live, for as long as it takes it for the primary. When it was none any more."""
        old, new = self._pair()
        self.servers[old].pause()
        try:
            self._wait_replaced(old, new)
        finally:
            self.servers[old].resume()
        until(lambda: b"role:slave" in told(self.servers[old], "replication"))
        done_at = time.monotonic()
        self._wait_following(old)
        return done_at

    def move_any(self, rng: random.Random) -> None:
        """Give the slot of one of gochat's partitions to another primary."""
        holders = self.holders()
        held = [(place, key) for place in holders for key in self.servers[place].command("KEYS", "gc:{*}:fence")]
        source, key = rng.choice(sorted(held))
        target = rng.choice([place for place in holders if place != source])
        self.move(self.servers[source].command("CLUSTER", "KEYSLOT", key), source, target)

    def move(self, slot: int, source: int, target: int) -> None:
        """Give the slot, with the keys that it has, to another primary, as `redis-cli --cluster reshard` does."""
        giver, taker = self.servers[source], self.servers[target]
        taker.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        giver.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])
        while keys := giver.command("CLUSTER", "GETKEYSINSLOT", slot, 10):
            giver.command("MIGRATE", HOST, self.ports[target], "", 0, 5_000, "KEYS", *keys)
        for place in (target, source, *self.holders()):
            self.servers[place].command("CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])
