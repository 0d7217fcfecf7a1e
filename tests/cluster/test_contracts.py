"""Both logs, and both bulletins, keep the same promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cluster.real import RealServer
from tests.cluster.servers import InMemory, OnRedis
from tests.contracts.bulletin import BulletinContract
from tests.contracts.log import LogContract
from tests.contracts.log_repair import LogRepairContract


@pytest.fixture
def in_memory() -> InMemory:
    return InMemory()


@pytest.fixture
async def on_redis(redis: RealServer) -> AsyncIterator[OnRedis]:
    server = OnRedis(redis)
    yield server
    server.close()


class TestMemoryLog(LogContract, LogRepairContract):
    @pytest.fixture
    def server(self, in_memory: InMemory) -> InMemory:
        return in_memory


class TestMemoryBulletin(BulletinContract):
    @pytest.fixture
    def server(self, in_memory: InMemory) -> InMemory:
        return in_memory


class TestRedisLog(LogContract, LogRepairContract):
    @pytest.fixture
    def server(self, on_redis: OnRedis) -> OnRedis:
        return on_redis


class TestRedisBulletin(BulletinContract):
    @pytest.fixture
    def server(self, on_redis: OnRedis) -> OnRedis:
        return on_redis
