"""The bulletin on Redis or Valkey: a hash of signs of life, and plain channels."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gochat.cluster import scripts
from gochat.cluster.link import Link, run
from gochat.cluster.link_thread import LinkThread
from gochat.cluster.ports import BEAT_LIFE_S, Member, Refused, Subscription

#: After so long without a message the server is asked whether it is still there.
_SILENCE_S: Final = 5.0
#: Messages that are handed over at once.
_MOST_AT_ONCE: Final = 1_000
#: The form of an instance's name, which stands in logs and terminals.
_INSTANCE: Final = re.compile(rb"[0-9A-Za-z_-]{1,64}")


class RedisBulletin:
    """`ports.Bulletin` on Redis or Valkey. To be made in the loop, and closed there."""

    def __init__(self, cluster: str, connect: Callable[[], Link], *, beat_life_s: float = BEAT_LIFE_S) -> None:
        """`cluster`: the cluster's id. `connect`: what `link.connector` gives."""
        self._connect = connect
        self._beat_life_ms = int(beat_life_s * 1000)
        self._nodes = f"gc:{{{cluster}}}:nodes"
        self._leases = f"gc:{{{cluster}}}:lease:"
        self._absent = f"gc:{{{cluster}}}:absent"
        """A key that nobody sets."""
        self._channel = f"gc:{cluster}:"
        self._thread = LinkThread("bulletin", connect)
        self._subscriptions: set[LinkThread] = set()
        self.server: str | None = None
        """See `ports.Bulletin`."""

    def close(self) -> None:
        self._thread.close()

    def renew(self) -> None:
        self._thread.renew()
        self._break_subscriptions()

    def _break_subscriptions(self) -> None:
        for thread in self._subscriptions:
            thread.renew()

    async def beat(self, instance: str, boot: str, info: bytes, *, take: bool = False) -> bool:
        command = run(scripts.BEAT, [self._nodes], instance, boot, int(take), self._beat_life_ms, info)
        return bool(await self._thread.call(lambda link: link.call(*command)))

    async def members(self) -> list[Member]:

        def members(link: Link) -> tuple[str, list[Member]]:
            servers, replies = link.call_primary([("TIME",), ("HGETALL", self._nodes)])
            now_ms, flat = _milliseconds(replies[0]), replies[1]
            told = (_member(name, value, now_ms) for name, value in zip(flat[::2], flat[1::2], strict=True))
            return servers[1], sorted(member for member in told if member is not None)

        server, found = await self._thread.call(members)
        if self.server not in (None, server):
            self._break_subscriptions()
        self.server = server
        return found

    async def refusal(self) -> str | None:
        """Why the server takes no beats, nor anything else that is written, now; None where it does."""
        try:
            await self._thread.call(lambda link: link.call("SET", self._absent, "", "XX"))  # Sets nothing.
        except Refused as error:
            return str(error)
        return None

    async def leave(self, instance: str, boot: str) -> None:
        command = run(scripts.LEAVE, [self._nodes], instance, boot)
        await self._thread.call(lambda link: link.call(*command))

    async def hold(self, name: str, holder: str, life_s: float) -> bool:
        command = run(scripts.HOLD, [self._leases + name], holder, max(1, int(life_s * 1000)))
        return bool(await self._thread.call(lambda link: link.call(*command)))

    async def release(self, name: str, holder: str) -> None:
        command = run(scripts.RELEASE, [self._leases + name], holder)
        await self._thread.call(lambda link: link.call(*command))

    async def now(self) -> int:
        # With a key, so that all nodes ask the same server where there are several: the one that dates their beats.
        commands = [("TIME",), ("EXISTS", self._nodes)]
        return await self._thread.call(lambda link: _milliseconds(link.call_all(commands)[0]))

    async def publish(self, channel: str, message: bytes) -> None:
        await self._thread.call(lambda link: link.call("PUBLISH", self._channel + channel, message))

    @asynccontextmanager
    async def subscribe(self, channels: Sequence[str]) -> AsyncIterator[Subscription]:
        """A subscription has a thread and a connection of its own."""
        thread = LinkThread("subscription", self._connect)
        subscription = _Subscription(self._channel, thread)
        self._subscriptions.add(thread)
        try:
            await subscription.begin(channels)
            yield subscription
        finally:
            self._subscriptions.discard(thread)
            subscription.close()


class _Subscription:
    def __init__(self, prefix: str, thread: LinkThread) -> None:
        self._prefix = prefix.encode()
        self._thread = thread
        self._link: Link | None = None
        """The connection that has the subscription: it ends with that one."""

    def close(self) -> None:
        self._thread.close()

    async def begin(self, channels: Sequence[str]) -> None:
        names = [self._prefix + channel.encode() for channel in channels]

        def begin(link: Link) -> None:
            link.send("SUBSCRIBE", *names)
            for _ in names:
                link.receive()
            self._link = link

        await self._thread.call(begin)

    async def receive(self) -> list[tuple[str, bytes]]:
        return await self._thread.call(self._receive)

    def _receive(self, link: Link) -> list[tuple[str, bytes]]:
        if link is not self._link:
            raise ConnectionResetError("the subscription is broken")
        messages: list[tuple[str, bytes]] = []
        while not messages:
            if not link.is_readable(_SILENCE_S):
                link.send("PING")  # Its answer is awaited with the connection's own patience.
            messages += self._take(link)
            while len(messages) < _MOST_AT_ONCE and link.is_readable(0):
                messages += self._take(link)
        return messages

    def _take(self, link: Link) -> list[tuple[str, bytes]]:
        reply = link.receive()
        if reply[0] != b"message":
            return []  # The answer to a PING.
        return [(reply[1][len(self._prefix) :].decode(), reply[2])]


def _milliseconds(reply: list[bytes]) -> int:
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def _member(instance: bytes, value: bytes, now_ms: int) -> Member | None:
    """None: no node wrote this."""
    if _INSTANCE.fullmatch(instance) is None:
        return None
    try:
        boot, at_ms, info = value.split(b" ", 2)
        return Member(instance.decode(), boot.decode(), abs(now_ms - int(at_ms)), info)
    except ValueError:
        return None
