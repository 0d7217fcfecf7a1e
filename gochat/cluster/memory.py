"""The log and the bulletin in memory, for simulations and tests: what one node sees of a MemoryServer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import trio

from gochat.cluster.memory_server import Inbox, MemoryServer, Primary
from gochat.cluster.ports import (
    BEAT_LIFE_S,
    OFFER_LIFE_S,
    TERM_STEP,
    Batch,
    Element,
    Fence,
    Fences,
    Member,
    Position,
    PutBack,
    Refusal,
    ServerAway,
    Subscription,
    Unsealed,
    check_batch,
    check_put_back,
    keeps_to,
)

T = TypeVar("T")

#: How long a reading waits for something to come.
READ_WAIT_S: Final = 1.0


class _Client:
    """A node's connection, which it keeps until a call fails."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        self._server = server
        self._node = node
        self._connected: Primary | None = None
        self._only: Mapping[int, str] | None = None
        """The server that may answer for each partition: there is one server, and it answers for all of them, or for
        none. None: any may."""

    async def _call(self, job: Callable[[Primary], T]) -> T:
        primary = self._connected or self._server.primary
        if self._connected is None and not keeps_to(self._only, primary.server):
            await trio.lowlevel.checkpoint()
            raise ServerAway("another server answers")
        self._connected = primary
        try:
            return await self._server.carry_out(self._node, primary, job)
        except ServerAway:
            self._connected = None
            raise


class MemoryLog(_Client):
    """`ports.Log` on a MemoryServer."""

    def __init__(
        self, server: MemoryServer, node: str, *, offer_life_s: float = OFFER_LIFE_S, read_wait_s: float = READ_WAIT_S
    ) -> None:
        super().__init__(server, node)
        self._read_wait_s = read_wait_s
        self._offer_life_ms = int(offer_life_s * 1000)
        self.reasons: dict[int, str] = {}
        self.leaves_more = False
        """See `ports.Log`, as of `reasons`."""

    async def create(self, partition: int) -> Fence | None:
        salt = self._server.salt(TERM_STEP)
        return await self._call(lambda primary: primary.create(partition, salt))

    async def append(self, batches: Sequence[Batch]) -> list[Position | Refusal]:
        for batch in batches:
            check_batch(batch.entries)
        try:
            results = await self._call(lambda primary: [primary.append(batch) for batch in batches])
        except ServerAway as error:
            self.reasons.update((batch.partition, str(error)) for batch in batches)
            return ["unknown"] * len(batches)
        for batch in batches:
            self.reasons.pop(batch.partition, None)
        return results

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        await trio.lowlevel.checkpoint()
        self._only = servers
        if self._connected is not None and not keeps_to(servers, self._connected.server):
            self._connected = None

    async def read(self, after: Mapping[int, Position], limit: int, *, wait: bool = True) -> dict[int, list[Element]]:
        deadline = trio.current_time() + self._read_wait_s
        while True:
            found = await self._call(lambda primary: primary.read(after, limit))
            primary = self._connected
            if wait:
                self.leaves_more = primary is not None and primary.has_more(found)
            if found or not wait or primary is None or trio.current_time() >= deadline:
                return found
            with trio.move_on_at(min(deadline, max(self._server.next_late(), trio.current_time()))):
                await primary.changed.wait()

    async def ends(self, partitions: Collection[int]) -> dict[int, Position]:
        return await self._call(lambda primary: primary.ends(partitions))

    async def begins(self, partitions: Collection[int]) -> dict[int, Position]:
        return await self._call(lambda primary: primary.begins(partitions))

    async def fences(self, partitions: Collection[int]) -> Fences:
        return await self._call(lambda primary: primary.fences(partitions))

    async def fenced_ends(self, partitions: Collection[int]) -> tuple[Fences, dict[int, Position], Fences]:
        return await self.fences(partitions), await self.ends(partitions), await self.fences(partitions)

    async def put_back(
        self, partition: int, server: str, previous: Position | None, elements: Sequence[Element]
    ) -> PutBack:
        check_put_back(previous, elements)
        return await self._call(lambda primary: primary.put_back(partition, server, previous, elements))

    async def offer(self, partition: int, server: str, instance: str, end: Position, ballot: int) -> int:
        return await self._call(lambda primary: primary.offer(partition, server, instance, end, ballot))

    async def withdraw(self, partition: int, server: str, instance: str) -> None:
        await self._call(lambda primary: primary.withdraw(partition, server, instance))

    async def seal(
        self,
        partition: int,
        server: str,
        need: int,
        counting: Collection[str] | None = None,
        end: Position | None = None,
    ) -> Fence | Unsealed:
        salt = self._server.salt(TERM_STEP)
        life_ms = self._offer_life_ms
        return await self._call(lambda primary: primary.seal(partition, server, need, counting, end, life_ms, salt))

    async def end_term(self, partition: int, fence: Fence) -> bool:
        return await self._call(lambda primary: primary.end_term(partition, fence))

    async def drop(self, partition: int, server: str, end: Position) -> bool:
        return await self._call(lambda primary: primary.drop(partition, server, end))

    async def trim(self, partition: int, before: Position, keep: int, cap: int) -> int:
        return await self._call(lambda primary: primary.trim(partition, before, keep, cap))


class MemoryBulletin(_Client):
    """`ports.Bulletin` on a MemoryServer."""

    def __init__(self, server: MemoryServer, node: str, *, beat_life_s: float = BEAT_LIFE_S) -> None:
        super().__init__(server, node)
        self._beat_life_ms = int(beat_life_s * 1000)
        self._subscriptions: dict[Inbox, Primary] = {}
        self.server: str | None = None
        """See `ports.Bulletin`."""

    def renew(self) -> None:
        self._connected = None
        self._break_subscriptions()

    def _break_subscriptions(self) -> None:
        for inbox, primary in self._subscriptions.items():
            primary.inboxes.discard(inbox)
            inbox.end()

    async def beat(self, instance: str, boot: str, info: bytes, *, take: bool = False) -> bool:
        return await self._call(
            lambda primary: primary.beat(instance, boot, info, self._beat_life_ms if take else None)
        )

    async def members(self) -> list[Member]:
        server, found = await self._call(lambda primary: (primary.server, primary.members()))
        if self.server not in (None, server):
            self._break_subscriptions()
        self.server = server
        return found

    async def leave(self, instance: str, boot: str) -> None:
        await self._call(lambda primary: primary.leave(instance, boot))

    async def hold(self, name: str, holder: str, life_s: float) -> bool:
        life_ms = max(1, int(life_s * 1000))
        return await self._call(lambda primary: primary.hold(name, holder, life_ms))

    async def release(self, name: str, holder: str) -> None:
        await self._call(lambda primary: primary.release(name, holder))

    async def now(self) -> int:
        return await self._call(lambda primary: primary.now_ms())

    async def publish(self, channel: str, message: bytes) -> None:
        await self._call(lambda primary: primary.publish(channel, message))

    @asynccontextmanager
    async def subscribe(self, channels: Sequence[str]) -> AsyncIterator[Subscription]:
        inbox = Inbox(channels)

        def begin(primary: Primary) -> None:
            primary.inboxes.add(inbox)
            self._subscriptions[inbox] = primary

        await self._call(begin)
        try:
            yield inbox
        finally:
            inbox.end()
            primary = self._subscriptions.pop(inbox, None)  # A call that comes late has not subscribed yet.
            if primary is not None:
                primary.inboxes.discard(inbox)
