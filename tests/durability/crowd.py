"""Senders and readers that come back: what each knows goes into the evidence as it happens.

A sender repeats a message under its key until it is acked, whatever happens to the node meanwhile. A reader asks on
each return for what it missed, from the seq it holds; when told that it lags it pages the history, then resumes.
"""

from __future__ import annotations

import random
import socket
from typing import Any

import trio

from gochat.sim.checker import Evidence, Fact, Name
from tests.durability.process import Served
from tests.durability.wire import Closed, Frame, Link

BURST = 8
PAGE = 200
FACTS = frozenset(("message", "edit", "delete", "reaction", "member", "group", "closed"))


def dm(one: str, other: str) -> str:
    return "dm:" + ":".join(sorted((one, other)))


def fact(frame: Frame) -> Fact:
    return Fact(frame["seq"], frame["type"], frame["from"], frame.get("key"), frame.get("body"))


class Sender:
    """Writes bursts into its rooms by turns, up to BURST messages in flight."""

    def __init__(
        self,
        user: str,
        transport: str,
        rooms: list[str],
        evidence: Evidence,
        rng: random.Random,
        *,
        size: int = 60,
        pause_s: float = 0.0,
    ) -> None:
        """`pause_s`: between two bursts, on average."""
        self.user = user
        self.acked = trio.Event()
        """Set at the next ack; whoever waits for one puts a new event here."""
        self.found_recorded = 0
        """Repeats that were answered by an ack which says `duplicate`: recorded, but the first ack never arrived."""
        self._transport = transport
        self._rooms = rooms
        self._evidence = evidence
        self._rng = rng
        self._size = size
        self._pause_s = pause_s
        self._count = 0
        self._waiting: dict[str, Name] = {}
        """Sent and not acked, by key, oldest first."""

    @property
    def unacked(self) -> int:
        return len(self._waiting)

    def give_up(self) -> None:
        self._evidence.given_up.update(self._waiting.values())

    async def run(self, served: Served, stop: trio.Event) -> None:
        """Until `stop`, and until then all that was sent is acked."""
        while self._waiting or not stop.is_set():
            try:
                async with await served.sign_in(self.user, self._transport) as link:
                    while self._waiting or not stop.is_set():
                        await self._burst(link)
            except Closed:
                continue

    async def _burst(self, link: Link) -> None:
        if not self._waiting:
            for _ in range(self._rng.randint(1, BURST)):
                self._write()
        open_ids = set(self._waiting)
        await link.send(*(self._frame(key, name) for key, name in self._waiting.items()))
        while open_ids:
            frame = await link.receive()
            if frame.get("id") in open_ids:
                open_ids.discard(frame["id"])
                self._settled(self._waiting[frame["id"]], frame)
        if self._pause_s:
            await trio.sleep(self._rng.uniform(0, 2 * self._pause_s))

    def _write(self) -> None:
        name = Name(self._rng.choice(self._rooms), self.user, f"{self.user}-{self._count}")
        self._count += 1
        self._evidence.sent[name] = f"{name.key}:" + "x" * self._rng.randrange(self._size)
        self._waiting[name.key] = name

    def _frame(self, key: str, name: Name) -> Frame:
        return {"type": "send", "id": key, "to": name.room, "key": key, "body": self._evidence.sent[name]}

    def _settled(self, name: Name, reply: Frame) -> None:
        if reply["type"] == "ack":
            self._evidence.acks.append((Name(reply["room"], self.user, name.key), reply["seq"]))
            self.found_recorded += reply.get("duplicate", False)
            del self._waiting[name.key]
            self.acked.set()
        elif not reply["temporary"]:
            self._evidence.complaints.append(f"{name}: refused: {reply}")
            del self._waiting[name.key]


class Reader:
    """Hears its rooms from their first fact on, over as many connections as it takes."""

    def __init__(self, name: str, user: str, transport: str, rooms: list[str], evidence: Evidence) -> None:
        self.user = user
        self.lags = 0
        self.welcomed = trio.Event()
        self.reading = trio.Event()
        """Not set: it reads nothing from its socket."""
        self.reading.set()
        self.heard: dict[str, list[Fact]] = {room: [] for room in rooms}
        evidence.heard[name] = self.heard
        self._name = name
        self._transport = transport
        self._evidence = evidence
        self._link: Link

    async def run(self, served: Served) -> None:
        """For ever."""
        while True:
            try:
                async with await served.connect(self._transport) as self._link:
                    token = served.token(self.user)
                    await self._link.send({"type": "hello", "token": token, "resume": self._positions()})
                    await self._listen()
            except Closed:
                continue

    def stop_reading(self) -> None:
        """Until `reading` is set. The kernel keeps little of what comes meanwhile, on whichever machine."""
        self._link.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.reading = trio.Event()

    def held(self, room: str) -> int:
        """The last seq it holds."""
        facts = self.heard[room]
        return facts[-1].seq if facts else 0

    def holds(self, heads: dict[str, int]) -> bool:
        return all(self.held(room) >= head for room, head in heads.items() if room in self.heard)

    def _positions(self) -> dict[str, dict[str, int]]:
        return {room: {"seq": self.held(room)} for room in self.heard}

    async def _listen(self) -> None:
        while True:
            await self.reading.wait()
            frame = await self._link.receive()
            kind = frame["type"]
            if kind in FACTS:
                # A room that it was not told of is a fact from nowhere: the judge finds it.
                self.heard.setdefault(frame["room"], []).append(fact(frame))
            elif kind == "lag":
                self.lags += 1
                await self._page(frame["room"])
            elif kind == "page":
                await self._paged(frame)
            elif kind == "welcome":
                self.welcomed.set()
            elif kind in ("reset", "error", "goaway"):
                self.complain(frame)

    def complain(self, frame: Frame) -> None:
        """Of what should not be told. Raises Closed where that is a reason to come again."""
        self._evidence.complaints.append(f"{self._name} was told {frame}")

    async def _page(self, room: str) -> None:
        await self._link.send({"type": "history", "room": room, "after": self.held(room), "limit": PAGE})

    async def _paged(self, page: Frame) -> None:
        room = page["room"]
        self.heard[room] += map(fact, page["entries"])
        if page["entries"] and self.held(room) < page["head"]:
            await self._page(room)
        else:
            await self._link.send({"type": "resume", "room": room, "seq": self.held(room)})


async def create_groups(served: Served, groups: dict[str, list[str]]) -> None:
    """Groups with these members, owned by `host`."""
    async with await served.sign_in("host") as link:
        for group, users in groups.items():
            reply = await link.ask({"type": "group", "id": group, "name": group, "action": "create", "users": users})
            assert reply["type"] == "ok", reply


async def history(served: Served, user: str, rooms: list[str]) -> dict[str, list[Fact]]:
    """All of the rooms' logs, as a member pages them; rooms that do not exist are empty."""
    found: dict[str, list[Fact]] = {}
    async with await served.sign_in(user) as link:
        for room in rooms:
            facts = found[room] = []
            while True:
                after: dict[str, Any] = {"room": room, "after": facts[-1].seq if facts else 0, "limit": PAGE}
                page = await link.ask({"type": "history", "id": len(facts), **after})
                if page["type"] == "error" or not page["entries"]:
                    break
                facts += map(fact, page["entries"])
                assert page["complete"], page
    return found
