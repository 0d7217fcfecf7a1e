"""nng beside WebSockets, for long: what is heard, in which order, and what memory it takes."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import trio

from gochat.client import Chat, Fact, connect
from gochat.domain.facts import Message
from tests.durability.process import Served
from tests.transports.req import Req

#: Requests in flight of each writer.
WINDOW = 16
#: Users of one group, one of whom writes.
GROUP = 100
#: How long a campaign may take, on a machine that has much else to do.
CAMPAIGN_S = 3_600.0

Seqs: TypeAlias = "array[int]"


class RoomTrace:
    """The facts of one room, as one user hears them: dense, and each message once."""

    def __init__(self, who: str, complaints: list[str], count: int) -> None:
        self.seqs: dict[str, Seqs] = {}
        """By writer: the seq of each message, by its number; 0 where it was not heard."""
        self.messages = 0
        self._who = who
        self._complaints = complaints
        self._count = count
        self._head: int | None = None

    def take(self, fact: Fact) -> None:
        if self._head is not None and fact.seq != self._head + 1:
            self._complaints.append(f"{self._who} heard {fact} after seq {self._head}")
        self._head = fact.seq
        if isinstance(fact, Message):
            seqs = self.seqs.setdefault(fact.sender, array("I", bytes(4 * self._count)))
            if seqs[int(fact.body)]:
                self._complaints.append(f"{self._who} heard {fact} again, first at {seqs[int(fact.body)]}")
            seqs[int(fact.body)] = fact.seq
            self.messages += 1


class Campaign:
    """Pairs of users who write to each other over nng, and groups over WebSocket in which one writes."""

    def __init__(self, served: Served, *, talkers: int, messages: int, listeners: int) -> None:
        self.complaints: list[str] = []
        self._served = served
        self._talkers = [f"n{number:03}" for number in range(talkers)]
        self._messages = messages
        self._listeners = [f"w{number:03}" for number in range(listeners)]
        self._acked: dict[str, Seqs] = {}
        self._heard: list[RoomTrace] = []

    async def run(self) -> None:
        async with trio.open_nursery() as nursery, trio.open_nursery() as hearing:
            chats: dict[str, Chat] = {}
            # One after the other: strangers make room for each other.
            for user in (*self._talkers, *self._listeners):
                chats[user] = await nursery.start(self._enter, user)
            writers = dict(self._pairs())
            for writer, to, users in self._groups():
                await chats[writer].create_group(to.removeprefix("group:"), users=users)
                writers[writer] = to
                for user in (writer, *users):
                    hearing.start_soon(self._hear, user, chats[user], self._messages)
            for user, _ in self._pairs():
                hearing.start_soon(self._hear, user, chats[user], 2 * self._messages)
            async with trio.open_nursery() as writing:
                for writer, to in writers.items():
                    self._acked[writer] = array("I", bytes(4 * self._messages))
                    numbers = iter(range(self._messages))
                    for _ in range(WINDOW if writer in self._talkers else 1):
                        writing.start_soon(self._write, chats[writer], to, numbers, self._acked[writer])
            # The hearers end when they have heard all.
            hearing.start_soon(self._leave_when_done, hearing, nursery)
        self._judge()

    async def _leave_when_done(self, hearing: trio.Nursery, nursery: trio.Nursery) -> None:
        while len(hearing.child_tasks) > 1:
            await trio.sleep(0.05)
        nursery.cancel_scope.cancel()

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for one, other in zip(self._talkers[::2], self._talkers[1::2], strict=True):
            yield one, f"user:{other}"
            yield other, f"user:{one}"

    def _groups(self) -> Iterator[tuple[str, str, list[str]]]:
        for start in range(0, len(self._listeners), GROUP):
            writer, *users = self._listeners[start : start + GROUP]
            yield writer, f"group:g{start}", users

    async def _enter(self, user: str, task_status: trio.TaskStatus[Chat]) -> None:
        nng = user in self._talkers
        host, port = self._served.addresses["nng+tcp" if nng else "http"]
        url = f"nng+tcp://{host}:{port}" if nng else f"ws://{host}:{port}/v1/ws"
        async with connect(url, token=self._served.token(user)) as chat:
            task_status.started(chat)
            await trio.sleep_forever()

    async def _write(self, chat: Chat, to: str, numbers: Iterator[int], acked: Seqs) -> None:
        for number in numbers:
            acked[number] = (await chat.send(to, f"{number}")).seq

    async def _hear(self, user: str, chat: Chat, messages: int) -> None:
        heard = RoomTrace(user, self.complaints, self._messages)
        self._heard.append(heard)
        async for event in chat:
            if isinstance(event, Fact):
                heard.take(event)
                if heard.messages == messages:
                    return
            elif not self._harmless(event):
                self.complaints.append(f"{user} was told {event}")

    @staticmethod
    def _harmless(event: object) -> bool:
        return type(event).__name__ in ("Read", "Listed", "Contact")

    def _judge(self) -> None:
        """Everything that was acked was heard at its seq, by all."""
        for heard in self._heard:
            for writer, seqs in heard.seqs.items():
                if seqs != self._acked[writer]:
                    self.complaints.append(f"of {writer} not all was heard as it was acked")
        if not all(all(acked) for acked in self._acked.values()):
            self.complaints.append("not all was acked")


@pytest.mark.parametrize(
    ("talkers", "messages", "listeners"),
    [(6, 60, 12), pytest.param(100, 10_000, 500, marks=pytest.mark.long)],
)
async def test_nothing_is_lost_doubled_or_out_of_order(
    tmp_path: Path, talkers: int, messages: int, listeners: int
) -> None:
    served = Served(tmp_path, nng=True)
    campaign = Campaign(served, talkers=talkers, messages=messages, listeners=listeners)
    with trio.fail_after(CAMPAIGN_S):
        await served.start()
        try:
            await campaign.run()
        finally:
            await served.aclose()
    assert campaign.complaints[:10] == []
    assert "Traceback" not in served.log.read_text()


async def ask_often(served: Served, user: str, requests: int) -> None:
    """Sessions come and go; the requests of one are pings, pages and messages."""
    host, port = served.addresses["nng+tcp"]
    while requests > 0:
        req = await Req.open(host, port)
        (welcome,) = await req.ask({"type": "hello", "token": served.token(user)})
        assert welcome["type"] == "welcome"
        ping, page = ({"type": "ping", "id": 1}, {"type": "history", "id": 1, "room": f"dm:{user}:{user}", "limit": 1})
        for number in range(min(requests, 200)):
            frame = page if number % 10 == 9 else ping
            assert (await req.ask(frame))[0]["id"] == 1, json.dumps(frame)
        requests -= 200
        await req.ask({"type": "bye"})
        await req.stream.aclose()


@pytest.mark.parametrize("requests", [2_000, pytest.param(1_000_000, marks=pytest.mark.long)])
async def test_memory_is_flat(tmp_path: Path, requests: int) -> None:
    """Of a fifth of the requests, and of the rest."""
    served = Served(tmp_path, nng=True, env={"GOCHAT_LIMITS__READS_PER_S": "0"})

    async def ask(count: int) -> int:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(ask_often, served, f"u{number}", count // 10)
        return served.rss

    with trio.fail_after(CAMPAIGN_S):
        await served.start()
        try:
            before = await ask(requests // 5)
            after = await ask(requests - requests // 5)
        finally:
            await served.aclose()
    assert after - before < 8_000_000, (before, after)
