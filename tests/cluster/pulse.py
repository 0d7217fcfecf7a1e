"""Writes to one node all the time, and knows when that node acknowledged what: how long its service was away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from gochat.sim.checker import Evidence, Name
from tests.durability.wire import Closed, Frame, Link

if TYPE_CHECKING:
    from tests.cluster.fleet import Member

GROUP = "pulse"
BEAT_S = 0.05
#: So many may be unanswered. The rest waits, as any client's does.
MOST_OPEN = 16


class Pulse:
    """`run` must be running. Times are of time.monotonic's clock."""

    def __init__(self, member: Member, evidence: Evidence) -> None:
        self.user = f"pulse-{member.folder.name}"
        self._member = member
        self._evidence = evidence
        self._count = 0
        self._open: dict[str, float] = {}
        """When each message that may still be answered was sent, by key."""
        self._acked: list[tuple[float, float]] = []
        """When each message was sent and acknowledged, in the order of the acks."""
        self._news = trio.Event()

    async def run(self) -> None:
        while True:
            try:
                async with await self._member.sign_in(self.user) as link:
                    self._open.clear()
                    while True:
                        await self._beat(link)
            except Closed:
                await trio.sleep(BEAT_S / 2)

    async def _beat(self, link: Link) -> None:
        if len(self._open) < MOST_OPEN:
            name = Name(f"group:{GROUP}", self.user, f"{self.user}-{self._count}")
            self._count += 1
            self._evidence.sent[name] = name.key
            self._evidence.given_up.add(name)  # It is sent once, and may be lost as long as it is not acknowledged.
            self._open[name.key] = time.monotonic()
            await link.send({"type": "send", "id": name.key, "to": name.room, "key": name.key, "body": name.key})
        with trio.move_on_after(BEAT_S):
            while True:
                self._answered(await link.receive())

    def _answered(self, frame: Frame) -> None:
        key = frame.get("id")
        if key not in self._open:
            return
        sent_at = self._open.pop(key)
        if frame["type"] == "ack":
            self._evidence.acks.append((Name(frame["room"], self.user, key), frame["seq"]))
            self._acked.append((sent_at, time.monotonic()))
            self._news.set()
        elif not frame["temporary"]:
            self._evidence.complaints.append(f"{key}: refused: {frame}")

    def longest_away_s(self, since: float) -> float:
        """The longest time since then without any acknowledgement, up to the latest one."""
        acked = [acked_at for _, acked_at in self._acked if acked_at >= since]
        return max((later - earlier for earlier, later in zip([since, *acked], acked, strict=False)), default=0.0)

    async def back_s(self, since: float) -> float:
        """The longest time since then without an acknowledgement of something that was sent since then. Returns when
        there is one."""
        while not (acked := [acked_at for sent_at, acked_at in self._acked if sent_at >= since]):
            self._news = trio.Event()
            await self._news.wait()
        return max(later - earlier for earlier, later in zip([since, *acked], acked, strict=False))
