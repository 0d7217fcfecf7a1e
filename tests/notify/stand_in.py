"""A channel in memory. It keeps the suite of the port, so that tests of what uses channels may take it."""

from __future__ import annotations

from collections import deque

import trio

from gochat.notify.channel import DELIVERED, Gone, Result, Retry, Target
from gochat.notify.notification import Notification


class MemoryChannel:
    """Delivers into `received`. `then` holds what happens instead of the next deliveries; `down` makes all fail."""

    def __init__(self, name: str = "webhook", timeout_s: float = 10.0) -> None:
        self.name = name
        self.received: list[tuple[Notification, Target]] = []
        self.then: deque[str] = deque()
        self.down = False
        self.tried = 0
        self.at_once = self.most_at_once = 0
        self.slow: set[Target] = set()
        """Targets that never answer."""
        self.delay_s = 0.0
        """How long the others take to answer."""
        self._timeout_s = timeout_s

    async def send(self, notification: Notification, target: Target) -> Result:
        self.tried += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            return await self._sent(notification, target)
        finally:
            self.at_once -= 1

    async def _sent(self, notification: Notification, target: Target) -> Result:
        what = self.then.popleft() if self.then else ""
        await trio.sleep(self.delay_s)
        if what == "silent" or target in self.slow:
            await trio.sleep(self._timeout_s)
            return Retry(f"no answer within {self._timeout_s:g} s")
        if what == "gone":
            return Gone("the receiver answered 410")
        if what or self.down:
            return Retry("the receiver answered 503")
        self.received.append((notification, target))
        return DELIVERED

    def ids(self) -> list[str]:
        return [notification.id for notification, _ in self.received]
