"""Nodes of a cluster as far as presence and ephemeral events are concerned: without rooms, stores and sockets."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from random import Random

import trio

from gochat.cluster import faults
from gochat.cluster.memory import MemoryBulletin
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.news import NewsCodec
from gochat.cluster.ports import Bulletin, Member, Subscription
from gochat.cluster.presence import ClusterPresence
from gochat.cluster.soft import Soft
from gochat.domain.commands import AnyEphemeral

SECRET = "the secret of the nodes"
#: Unix time at the beginning of the virtual time, in milliseconds.
EPOCH_MS = 1_700_000_000_000
LIMIT = 3
_ids = count(1)


def now_ms() -> int:
    return EPOCH_MS + int(trio.current_time() * 1000)


class Station:
    """One node. Its sessions are ids."""

    def __init__(
        self, name: str, bulletin: Bulletin, *, cluster: str = "c1", secret: str = SECRET, skew_ms: int = 0
    ) -> None:
        self.name = name
        self.skew_ms = skew_ms
        self.sessions: dict[str, tuple[str, str | None]] = {}
        """Those that live: the user, and the device."""
        self.told: list[tuple[str, int | None]] = []
        """Told to those who watch everybody here: the user, and None or the time last seen."""
        self.noted: list[tuple[str, int]] = []
        self.heard: list[tuple[AnyEphemeral, bool]] = []
        self.presence = ClusterPresence(name, LIMIT, note=lambda *noted: self.noted.append(noted), now_ms=self._now_ms)
        self.presence.listen(lambda *told: self.told.append(told), self.end)
        self.codec = NewsCodec(cluster, secret)
        boot = secrets.token_hex(4)
        self.soft = Soft(bulletin, self.codec, name, boot, self.presence, now_ms=self._now_ms)
        self.soft.listen(lambda *event: self.heard.append(event))
        self._scope = trio.CancelScope()

    def _now_ms(self) -> int:
        return now_ms() + self.skew_ms

    async def run(self) -> None:
        with self._scope:
            await self.soft.run()

    def stop(self) -> None:
        """In order: all sessions end first."""
        for session in list(self.sessions):
            self.end(session)
        self._scope.cancel()

    # ------------------------------------------------------------------------------------------ as a user's actor does

    def begin(self, user: str, device: str | None = None) -> str:
        session = f"{self.name}-{next(_ids)}"
        first = user not in self.users
        same = [other for other, place in self.sessions.items() if device is not None and place == (user, device)]
        others = [other for other, place in self.sessions.items() if place[0] == user and other not in same]
        self.sessions[session] = user, device
        for other in [*same, *others[: max(0, len(others) + 1 - LIMIT)]]:
            self.end(other)
        if first and self.presence.came(user):
            self.told.append((user, None))
        self.presence.entered(session, user, device)
        return session

    def end(self, session: str) -> None:
        user, _ = self.sessions.pop(session)
        self.presence.left(session)
        if user not in self.users and self.presence.went(user):
            at_ms = self._now_ms()
            self.told.append((user, at_ms))
            self.noted.append((user, at_ms))

    @property
    def users(self) -> set[str]:
        return {user for user, _ in self.sessions.values()}

    def online(self, users: Sequence[str]) -> set[str]:
        return {user for user in users if self.presence.is_online(user)}

    def shown(self) -> dict[str, bool]:
        """Of each user whom anything was told of, whether the latest was that they are online."""
        return {user: last_seen is None for user, last_seen in self.told}


class Lossy:
    """A bulletin whose messages may get lost, come twice, or come late, on the way to one node."""

    def __init__(self, inner: Bulletin, random: Random, share: float = 0.2) -> None:
        self._inner = inner
        self._random = random
        self.share = share

    @property
    def server(self) -> str | None:
        return self._inner.server

    def renew(self) -> None:
        self._inner.renew()

    async def beat(self, instance: str, boot: str, info: bytes, *, take: bool = False) -> bool:
        return await self._inner.beat(instance, boot, info, take=take)

    async def members(self) -> list[Member]:
        return await self._inner.members()

    async def leave(self, instance: str, boot: str) -> None:
        await self._inner.leave(instance, boot)

    async def hold(self, name: str, holder: str, life_s: float) -> bool:
        return await self._inner.hold(name, holder, life_s)

    async def release(self, name: str, holder: str) -> None:
        await self._inner.release(name, holder)

    async def now(self) -> int:
        return await self._inner.now()

    async def publish(self, channel: str, message: bytes) -> None:
        await self._inner.publish(channel, message)

    @asynccontextmanager
    async def subscribe(self, channels: Sequence[str]) -> AsyncIterator[Subscription]:
        async with self._inner.subscribe(channels) as subscription:
            yield _LossySubscription(subscription, self)

    def pick(self, messages: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        found = []
        for message in messages:
            chance = self._random.random()
            if chance < self.share:
                continue
            place = len(found) if chance < 1 - self.share else self._random.randrange(len(found) + 1)
            found.insert(place, message)
            if self._random.random() < self.share:
                found.append(message)
        return found


class _LossySubscription:
    def __init__(self, inner: Subscription, lossy: Lossy) -> None:
        self._inner = inner
        self._lossy = lossy
        self._late: list[tuple[str, bytes]] = []

    async def receive(self) -> list[tuple[str, bytes]]:
        while True:
            messages = self._late + await self._inner.receive()
            self._late = []
            if len(messages) > 1 and self._lossy.share:
                self._late = [messages.pop()]
            if found := self._lossy.pick(messages):
                return found


class Town:
    """Some stations over one server."""

    def __init__(self, server: MemoryServer, nursery: trio.Nursery) -> None:
        self.server = server
        self._nursery = nursery
        self.stations: dict[str, Station] = {}

    def open(self, name: str, bulletin: Bulletin | None = None, *, skew_ms: int = 0) -> Station:
        station = Station(name, bulletin or MemoryBulletin(self.server, name), skew_ms=skew_ms)
        self.stations[name] = station
        self._nursery.start_soon(station.run)
        return station

    def stop(self, name: str) -> None:
        self.stations.pop(name).stop()

    def kill(self, name: str) -> Station:
        """Without a word."""
        station = self.stations.pop(name)
        self.server.strike(faults.Unreachable(node=name))
        station._scope.cancel()
        return station

    def revive(self, name: str, *, skew_ms: int = 0) -> Station:
        """The node is started again, after it was killed."""
        self.server.strike(faults.Mended(node=name))
        return self.open(name, skew_ms=skew_ms)


@asynccontextmanager
async def keep_town(*names: str, settle_s: float = 2.0) -> AsyncIterator[Town]:
    async with trio.open_nursery() as nursery:
        town = Town(MemoryServer(), nursery)
        for name in names:
            town.open(name)
        await trio.sleep(settle_s)
        yield town
        nursery.cancel_scope.cancel()
