"""The two logs are twins: one random course of calls and mishaps has the same results on both, call by call."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gochat.cluster import redis_log
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import START, Batch, Element, Fence, Log, Position, ballot_of
from tests.cluster.real import RealServer
from tests.cluster.servers import InMemory, OnRedis
from tests.contracts.log import LogServer

PARTITIONS = (0, 1)
STEPS = 60


class Course:
    """A random course, by its seed, and what came of it."""

    def __init__(self, server: LogServer, seed: int) -> None:
        self._server = server
        self._logs = [server.log("north"), server.log("south")]
        self._random = Random(seed)
        self._servers: list[str] = []
        self._terms = [0]
        self._history: dict[int, list[Element]] = {partition: [] for partition in PARTITIONS}
        """The longest that was read of each partition, to be put back."""
        self.told: list[str] = []

    async def run(self) -> list[str]:
        for _ in range(STEPS):
            log = self._random.choice(self._logs)
            name = self._random.choices(tuple(_STEPS), tuple(_STEPS.values()))[0]
            result = await getattr(self, f"_{name}")(log, self._random.choice(PARTITIONS))
            self.told.append(f"{name}: {self._shown(result)}")
        return self.told

    def _shown(self, value: Any) -> Any:
        """The value with servers' ids by the order that they were seen in."""
        if isinstance(value, str) and len(value) == 40:
            if value not in self._servers:
                self._servers.append(value)
            return f"server {self._servers.index(value)}"
        if isinstance(value, dict):
            return {key: self._shown(value[key]) for key in sorted(value)}
        if isinstance(value, tuple | list):
            return [self._shown(part) for part in value]
        return value

    async def _id(self, log: Log) -> str:
        return (await log.fences(PARTITIONS)).servers[0]

    async def _create(self, log: Log, partition: int) -> object:
        fence = await log.create(partition)
        if fence is not None:
            self._terms.append(fence.term)
        return fence

    async def _append(self, log: Log, partition: int) -> object:
        fences = (await log.fences(PARTITIONS)).by_partition
        batches = []
        for place in (partition, 1 - partition)[: self._random.choice((1, 2))]:
            known = fences.get(place)
            term = known.term if known is not None and self._random.random() < 0.8 else self._random.choice(self._terms)
            entries = [self._random.randbytes(self._random.randint(1, 9)) for _ in range(self._random.randint(1, 4))]
            batches.append(Batch(place, term, entries))
        return await log.append(batches)

    async def _read(self, log: Log, partition: int) -> object:
        history = self._history[partition]
        after = self._random.choice([START, *(element.position for element in history)])
        if (await log.ends([partition])).get(partition, START) <= after:
            return "nothing to wait for"
        found = (await log.read({partition: after}, self._random.choice((2, 1000))))[partition]
        if after == START and (not history or found[-1].position > history[-1].position):
            self._history[partition] = found
        return found

    async def _look(self, log: Log, _: int) -> object:
        return await log.fences(PARTITIONS), await log.ends(PARTITIONS)

    async def _trim(self, log: Log, partition: int) -> object:
        before = Position(0, self._random.randint(0, 20))
        return await log.trim(partition, before, self._random.randint(0, 5), self._random.randint(1, 15))

    async def _put_back(self, log: Log, partition: int) -> object:
        history = self._history[partition]
        if not history:
            return "nothing to put back"
        end = (await log.ends([partition])).get(partition)
        rest = [element for element in history if end is None or element.position > end]
        if self._random.random() < 0.2:
            rest, end = history[self._random.randrange(len(history)) :], None
        try:
            return await log.put_back(partition, await self._id(log), end, rest[: self._random.randint(1, 5)])
        except ValueError:
            return "no history"

    async def _offer(self, log: Log, partition: int) -> object:
        end = (await log.ends([partition])).get(partition, START)
        if self._random.random() < 0.1:
            end = Position(end.term, end.n + 1)
        ballot = ballot_of(end.term) + self._random.choice((0, 1, 1, 1, 1, 2))
        return await log.offer(partition, await self._id(log), self._random.choice("abc"), end, ballot)

    async def _end_term(self, log: Log, partition: int) -> object:
        fence = (await log.fences([partition])).by_partition.get(partition)
        if fence is None or self._random.random() < 0.2:
            fence = Fence(await self._id(log), self._random.choice(self._terms or [1]))
        return await log.end_term(partition, fence)

    async def _drop(self, log: Log, partition: int) -> object:
        end = (await log.ends([partition])).get(partition, START)
        if self._random.random() < 0.2:
            end = Position(end.term, end.n + 1)
        return await log.drop(partition, await self._id(log), end)

    async def _withdraw(self, log: Log, partition: int) -> object:
        return await log.withdraw(partition, await self._id(log), self._random.choice("abc"))

    async def _seal(self, log: Log, partition: int) -> object:
        counting = self._random.choice((None, None, "ab", "c"))
        fence = await log.seal(partition, await self._id(log), self._random.randint(0, 2), counting)
        if not isinstance(fence, str):
            self._terms.append(fence.term)
        return fence

    async def _flush(self, _: Log, __: int) -> None:
        await self._server.flush()

    async def _lose(self, log: Log, partition: int) -> None:
        if partition in await log.ends(PARTITIONS):
            await self._server.lose_stream(partition)

    async def _promote(self, _: Log, __: int) -> None:
        await self._server.promote()


#: Each step, and how often it is taken.
_STEPS = {
    "create": 3,
    "append": 12,
    "read": 8,
    "look": 2,
    "trim": 2,
    "put_back": 8,
    "offer": 6,
    "withdraw": 1,
    "seal": 6,
    "end_term": 1,
    "drop": 1,
    "flush": 1,
    "lose": 1,
    "promote": 2,
}


async def both(redis: RealServer, monkeypatch: pytest.MonkeyPatch, seed: int) -> tuple[list[str], list[str]]:
    salts = Random(seed)
    monkeypatch.setattr(redis_log.secrets, "randbelow", salts.randrange)
    redis.command("FLUSHALL")
    real = OnRedis.alone(redis)
    try:
        told = await Course(real, seed).run()
    finally:
        real.close()
    server = MemoryServer(timeout_s=0.01)
    monkeypatch.setattr(server, "salt", Random(seed).randrange)
    return told, await Course(InMemory(server), seed).run()


async def test_a_random_course_has_the_same_results(redis: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    for seed in range(12):
        told, twin = await both(redis, monkeypatch, seed)
        assert told == twin, seed
        seen.update(told)
    for outcome in ("put_back: done", "put_back: sealed", "put_back: not_next", "seal: wait", "seal: short", "fenced"):
        assert any(outcome in line for line in seen), outcome


@pytest.mark.long
async def test_many_random_courses_have_the_same_results(redis: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(1_000, 2_000):
        told, twin = await both(redis, monkeypatch, seed)
        assert told == twin, seed
