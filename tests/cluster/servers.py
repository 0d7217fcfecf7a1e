"""Both kinds of servers, as the suites of the ports want them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from redis.exceptions import ResponseError

from gochat.cluster import faults
from gochat.cluster.link import Link, connector
from gochat.cluster.memory import MemoryBulletin, MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import Log
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_log import RedisLog
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.split import SplitLog

#: Of a node that soon gives up.
HASTY_S = 0.3


class InMemory:
    """A MemoryServer, or several, as the suites want them."""

    def __init__(self, *servers: MemoryServer) -> None:
        self._servers = servers or (MemoryServer(timeout_s=0.01),)
        self.is_many = len(servers) > 1

    def _strike(self, fault: faults.AnyFault) -> None:
        for server in self._servers:
            server.strike(fault)

    def log(self, node: str, *, offer_life_s: float = 60) -> Log:
        if self.is_many:
            return SplitLog(self._servers, node, offer_life_s=offer_life_s, read_wait_s=0.05)
        return MemoryLog(self._servers[0], node, offer_life_s=offer_life_s, read_wait_s=0.05)

    def bulletin(self, node: str, *, beat_life_s: float = 60) -> MemoryBulletin:
        return MemoryBulletin(self._servers[0], node, beat_life_s=beat_life_s)

    async def flush(self) -> None:
        self._strike(faults.EverythingLost())

    async def lose_stream(self, partition: int) -> None:
        self._strike(faults.StreamLost(partition=partition))

    async def promote(self) -> None:
        self._strike(faults.Promoted())

    async def fill(self) -> None:
        self._strike(faults.Full())

    async def make_room(self) -> None:
        self._strike(faults.Full(on=False))

    async def break_subscriptions(self) -> None:
        self._strike(faults.Unsubscribed())

    @asynccontextmanager
    async def stalled(self, node: str) -> AsyncIterator[None]:
        self._strike(faults.Late(node=node, delay_s=0.05))
        yield


class OnRedis:
    """A real server, or the primaries of a Redis Cluster, as the suites want them."""

    def __init__(
        self, servers: Sequence[RealServer], connect: Callable[[float], Callable[[], Link]], cluster: str
    ) -> None:
        """`connect`: makes links, with so many seconds of patience. `cluster`: the cluster's id."""
        self._servers = servers
        self.is_many = len(servers) > 1
        self._connector = connect
        self._cluster = cluster
        self._close: list[Callable[[], None]] = []

    @classmethod
    def alone(cls, server: RealServer) -> OnRedis:
        """One server, and a cluster of its own on it."""
        return cls([server], partial(connector, server.url), secrets.token_hex(4))

    def _connect(self, node: str) -> Callable[[], Link]:
        return self._connector(HASTY_S if node == "hasty" else PATIENCE_S)

    def _give(self, *command: str | int) -> None:
        for server in self._servers:
            server.command(*command)

    def log(self, node: str, *, offer_life_s: float = 60) -> RedisLog:
        log = RedisLog(self._cluster, self._connect(node), offer_life_s=offer_life_s, read_wait_s=0.05)
        self._close.append(log.close)
        return log

    def bulletin(self, node: str, *, beat_life_s: float = 60) -> RedisBulletin:
        bulletin = RedisBulletin(self._cluster, self._connect(node), beat_life_s=beat_life_s)
        self._close.append(bulletin.close)
        return bulletin

    def close(self) -> None:
        for close in self._close:
            close()

    async def flush(self) -> None:
        self._give("FLUSHALL")

    async def lose_stream(self, partition: int) -> None:
        assert self._holder(partition).command("DEL", f"gc:{{{self._cluster}.{partition}}}:log") == 1

    def _holder(self, partition: int) -> RealServer:
        """The server that has the partition."""
        (holder,) = (server for server in self._servers if self._has(server, partition))
        return holder

    def _has(self, server: RealServer, partition: int) -> bool:
        try:
            return bool(server.command("EXISTS", f"gc:{{{self._cluster}.{partition}}}:log"))
        except ResponseError:
            return False  # It has moved, says the server.

    async def promote(self) -> None:
        self._give("DEBUG", "CHANGE-REPL-ID")

    async def fill(self) -> None:
        self._give("CONFIG", "SET", "maxmemory", 1)

    async def make_room(self) -> None:
        self._give("CONFIG", "SET", "maxmemory", 0)

    async def break_subscriptions(self) -> None:
        self._give("CLIENT", "KILL", "TYPE", "pubsub")

    @asynccontextmanager
    async def stalled(self, node: str) -> AsyncIterator[None]:
        for server in self._servers:
            server.pause()
        try:
            yield
        finally:
            for server in self._servers:
                server.resume()
