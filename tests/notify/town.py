"""A store, a notifier and senders in virtual time, for tests of what is told to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from gochat.domain import commands
from gochat.domain.notices import Bounds, Route, told_id
from gochat.notify.due import Timing
from gochat.notify.notifier import NoticeRules, Notifier
from gochat.notify.sender import Sender
from gochat.store import Store
from tests.contracts.scribe import Scribe
from tests.notify.stand_in import MemoryChannel

TEA, DM = "group:tea", "dm:ann:bob"
START_MS = 1_790_000_000_000
HOUR = 3600.0
BOUNDS = Bounds(waiting=1_000, dead=100)


class Town:
    """A store, a notifier and senders whose clock is the test's."""

    def __init__(self, store: Store, nursery: trio.Nursery, **rules: Any) -> None:
        self.store = store
        self.nursery = nursery
        self.online: set[str] = set()
        self.left: dict[str, int] = {}
        self.shut_out: set[str] = set()
        self.channels = rules.pop("channels", None) or [MemoryChannel()]
        routes = [Route(channel.name, channel.name != "push") for channel in self.channels]
        self.rules = NoticeRules(**{"timing": Timing(), "routes": routes, "bounds": BOUNDS} | rules)
        self.began = trio.current_time()
        self.ahead_ms = 0
        """How far the clock is ahead of the right time. While it is, this node may not notify, as in a cluster."""
        self.chance = 0.5
        """By which the pause after a failure is drawn."""
        self.start()

    def start(self) -> None:
        """A node starts: nothing is known but what the store keeps."""
        self.scope = trio.CancelScope()
        self.notifier = Notifier(
            self.store.notices,
            self.rules,
            seen=self.seen,
            now_ms=self.now_ms,
            flush_positions=self.store.journal.flush_positions,
            added=lambda: [sender.wake() for sender in self.senders] and None,
            is_fit=self.is_fit,
        )
        self.results: dict[str, int] = {}
        self.senders = [
            Sender(
                self.store.notices,
                channel,
                seen=self.seen,
                shut_out=self.shut_out.__contains__,
                now_ms=self.now_ms,
                bounds=self.rules.bounds,
                results=self.results,
                is_fit=self.is_fit,
                chance=lambda: self.chance,
            )
            for channel in self.channels
        ]
        self.nursery.start_soon(self.run)

    async def run(self) -> None:
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.notifier.run)
                for sender in self.senders:
                    nursery.start_soon(sender.run)

    def now_ms(self) -> int:
        return START_MS + round((trio.current_time() - self.began) * 1000) + self.ahead_ms

    def is_fit(self) -> bool:
        return not self.ahead_ms

    def seen(self, user: str) -> int:
        return self.now_ms() + 1 if user in self.online else self.left.get(user, 0)

    def leaves(self, user: str) -> None:
        self.online.discard(user)
        self.left[user] = self.now_ms()

    async def said(self, scribe: Scribe, *bodies: str, user: str = "ann", told: bool = True) -> None:
        """Messages are recorded, and the notifier is told unless that is lost."""
        scribe.now_ms = self.now_ms()
        await scribe.said(*bodies, user=user)
        if told:
            self.notifier.recorded(scribe.room, scribe.record, scribe.log[-len(bodies) :], 1)

    async def group(self, *users: str) -> Scribe:
        scribe = await Scribe.at(self.store, TEA)
        scribe.now_ms = self.now_ms()
        await scribe.made(commands.Create, title="Tea", users=())
        for begin in range(0, len(users), 100):
            await scribe.made(commands.Add, users=users[begin : begin + 100])
        return scribe

    async def dm(self) -> Scribe:
        return await Scribe.at(self.store, DM)

    async def waiting_ids(self) -> set[str]:
        """The ids by which those that wait will be told."""
        entries = await self.store.notices.entries(dead=False, limit=200)
        return {told_id(entry.epoch, entry.room, entry.id) for entry in entries}

    @property
    def told(self) -> list[tuple[str, int]]:
        """Each notification's user and count, of the first channel."""
        return [(each.user, each.count) for each, _ in self.channels[0].received]


Build = Callable[..., Town]
