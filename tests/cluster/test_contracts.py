"""All logs, and all bulletins, keep the same promises: in memory, on one server, and on a Redis Cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.redis_cluster import RedisCluster
from tests.cluster.primaries import Primaries
from tests.cluster.real import RealServer
from tests.cluster.servers import InMemory, OnRedis
from tests.contracts.bulletin import BulletinContract
from tests.contracts.log import ALL, LogContract
from tests.contracts.log_repair import LogRepairContract


@pytest.fixture
def in_memory() -> InMemory:
    return InMemory()


@pytest.fixture
async def on_redis(redis: RealServer) -> AsyncIterator[OnRedis]:
    server = OnRedis.alone(redis)
    yield server
    server.close()


@pytest.fixture
async def on_primaries(primaries: Primaries) -> AsyncIterator[OnRedis]:
    server = OnRedis(primaries.servers, partial(RedisCluster, primaries.url), primaries.spread_over(ALL))
    yield server
    server.close()


class TestMemoryLog(LogContract, LogRepairContract):
    @pytest.fixture
    def server(self, in_memory: InMemory) -> InMemory:
        return in_memory


class TestSplitLog(LogContract, LogRepairContract):
    @pytest.fixture
    def server(self) -> InMemory:
        return InMemory(MemoryServer(timeout_s=0.01), MemoryServer(timeout_s=0.01))


class TestMemoryBulletin(BulletinContract):
    @pytest.fixture
    def server(self, in_memory: InMemory) -> InMemory:
        return in_memory


class TestRedisLog(LogContract, LogRepairContract):
    @pytest.fixture
    def server(self, on_redis: OnRedis) -> OnRedis:
        return on_redis


class TestRedisClusterLog(LogContract, LogRepairContract):
    @pytest.fixture
    def server(self, on_primaries: OnRedis) -> OnRedis:
        return on_primaries


class TestRedisClusterBulletin(BulletinContract):
    @pytest.fixture
    def server(self, on_primaries: OnRedis) -> OnRedis:
        return on_primaries


class TestRedisBulletin(BulletinContract):
    @pytest.fixture
    def server(self, on_redis: OnRedis) -> OnRedis:
        return on_redis
