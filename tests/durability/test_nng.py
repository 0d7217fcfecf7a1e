"""nng beside WebSockets, for long: what is heard, in which order, and what memory it takes.

The full sizes are of the long tests, which print what they took (`pytest -s -m long tests/durability/test_nng.py`).
Both want two cores: the campaign keeps one busy with the node and one with its clients.
"""

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
from tests.durability.crowd import FACTS
from tests.durability.process import Served
from tests.durability.wire import Link
from tests.transports.req import Req

#: Requests in flight of each writer.
WINDOW = 16
#: Users of one group, one of whom writes.
GROUP = 100
#: How long a campaign may take, and more for each message or request, on a machine that has much else to do.
PATIENCE_S, EACH_S = 120.0, 0.02
#: Events that say nothing of what was written.
HARMLESS = ("Read", "Listed", "Contact", "Pong")
#: How often those who only listen give a sign of life.
BEAT_S = 10.0

Seqs: TypeAlias = "array[int]"


#: The parts of a campaign after which it is noted what it took so far.
PARTS = (0.1, 0.5, 1.0)


class Figures:
    """The time and the node's memory after each of PARTS."""

    def __init__(self, served: Served, total: int) -> None:
        self.rss: list[int] = []
        self._served = served
        self._total = total
        self._done = 0
        self._begun = trio.current_time()

    def note(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        while len(self.rss) < len(PARTS) and self._done >= PARTS[len(self.rss)] * self._total:
            part = PARTS[len(self.rss)]
            self.rss.append(self._served.rss)
            took_s = trio.current_time() - self._begun
            print(f"{part:.0%} of {self._total:,}: {took_s:.0f} s, {self.rss[-1] / 1e6:.1f} MB", flush=True)


class RoomTrace:
    """The facts of one room, as one user hears them: dense, and each message once."""

    def __init__(self, who: str, complaints: list[str], count: int) -> None:
        self.seqs: dict[str, Seqs] = {}
        """By writer: the seq of each message, by its number; 0 where it was not heard."""
        self.messages = 0
        self.who = who
        self._complaints = complaints
        self._count = count
        self.head: int | None = None

    def take(self, seq: int, sender: str, body: str | None) -> None:
        """The next fact; a message has a body, which is its number."""
        if self.head is not None and seq != self.head + 1:
            self._complaints.append(f"{self.who} heard {seq} after {self.head}")
        self.head = seq
        if body is not None:
            seqs = self.seqs.setdefault(sender, array("I", bytes(4 * self._count)))
            if seqs[int(body)]:
                self._complaints.append(f"{self.who} heard {body} of {sender} again, first at {seqs[int(body)]}")
            seqs[int(body)] = seq
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
        self._chats: dict[str, Chat] = {}
        self._figures: Figures

    async def run(self) -> None:
        async with trio.open_nursery() as nursery, trio.open_nursery() as hearing:
            writers = dict(self._pairs())
            # One after the other: strangers make room for each other.
            for user in self._talkers:
                await nursery.start(self._enter, user, "nng+tcp")
            for writer, to, users in self._groups():
                await nursery.start(self._enter, writer, "ws")
                for user in users:
                    await hearing.start(self._listen, user)
                await self._chats[writer].create_group(to.removeprefix("group:"), users=users)
                writers[writer] = to
                hearing.start_soon(self._hear, writer, self._messages)
            for user in self._talkers:
                hearing.start_soon(self._hear, user, 2 * self._messages)
            self._figures = Figures(self._served, len(writers) * self._messages)
            async with trio.open_nursery() as writing:
                for writer, to in writers.items():
                    self._acked[writer] = array("I", bytes(4 * self._messages))
                    numbers = iter(range(self._messages))
                    for _ in range(WINDOW):
                        writing.start_soon(self._write, self._chats[writer], to, numbers, self._acked[writer])
            # The hearers end when they have heard all.
            hearing.start_soon(self._leave_when_done, hearing, nursery)
        self._judge()

    def standing(self) -> str:
        """The users who wait, for when nothing goes on any more: how much was acked to each, or heard by each."""
        acked = {writer: sum(map(bool, seqs)) for writer, seqs in self._acked.items()}
        heard = [(trace.who, trace.messages, trace.head) for trace in self._heard]
        return f"acked {acked}; heard: user, messages, last seq: {heard}; {self.complaints[:10]}"

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

    async def _enter(self, user: str, scheme: str, task_status: trio.TaskStatus[None]) -> None:
        host, port = self._served.addresses["http" if scheme == "ws" else scheme]
        url = f"{scheme}://{host}:{port}{'/v1/ws' if scheme == 'ws' else ''}"
        async with connect(url, token=self._served.token(user)) as self._chats[user]:
            task_status.started()
            await trio.sleep_forever()

    async def _write(self, chat: Chat, to: str, numbers: Iterator[int], acked: Seqs) -> None:
        for number in numbers:
            acked[number] = (await chat.send(to, f"{number}")).seq
            self._figures.note()

    def _trace(self, user: str) -> RoomTrace:
        self._heard.append(RoomTrace(user, self.complaints, self._messages))
        return self._heard[-1]

    async def _hear(self, user: str, messages: int) -> None:
        heard = self._trace(user)
        async for event in self._chats[user]:
            if isinstance(event, Fact):
                heard.take(event.seq, event.sender, event.body if isinstance(event, Message) else None)
                if heard.messages == messages:
                    return
            elif type(event).__name__ not in HARMLESS:
                self.complaints.append(f"{user} was told {event}")

    async def _listen(self, user: str, task_status: trio.TaskStatus[None]) -> None:
        """By a WebSocket that costs this process little."""
        heard = self._trace(user)
        async with await self._served.sign_in(user, "ws") as link, trio.open_nursery() as nursery:
            nursery.start_soon(self._live, link)
            task_status.started()
            while heard.messages < self._messages:
                frame = await link.receive()
                if frame["type"] in FACTS:
                    heard.take(frame["seq"], frame["from"], frame.get("body"))
                elif frame["type"].capitalize() not in HARMLESS:
                    self.complaints.append(f"{user} was told {frame}")
            nursery.cancel_scope.cancel()

    async def _live(self, link: Link) -> None:
        """It answers no pings of the WebSocket's."""
        while True:
            await trio.sleep(BEAT_S)
            await link.send({"type": "ping"})

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
    with trio.move_on_after(PATIENCE_S + (talkers + listeners) * messages * EACH_S) as patience:
        await served.start()
        try:
            await campaign.run()
        finally:
            await served.aclose()
    assert not patience.cancelled_caught, campaign.standing()
    assert campaign.complaints[:10] == []
    assert "Traceback" not in served.log.read_text()


async def ask_often(served: Served, user: str, requests: int, figures: Figures) -> None:
    """Sessions come and go; the requests of one are pings, pages and messages."""
    host, port = served.addresses["nng+tcp"]
    while requests > 0:
        req = await Req.open(host, port)
        (welcome,) = await req.ask({"type": "hello", "token": served.token(user)})
        assert welcome["type"] == "welcome"
        await req.ask({"type": "send", "id": 0, "to": f"user:{user}", "body": "a note", "key": "the same"})
        ping, page = ({"type": "ping", "id": 1}, {"type": "history", "id": 1, "room": f"dm:{user}:{user}", "limit": 1})
        for number in range(min(requests, 200)):
            frame = page if number % 10 == 9 else ping
            assert (await req.ask(frame))[0]["id"] == 1, json.dumps(frame)
            figures.note()
        requests -= 200
        await req.ask({"type": "bye"})
        await req.stream.aclose()


@pytest.mark.parametrize("requests", [2_000, pytest.param(1_000_000, marks=pytest.mark.long)])
async def test_memory_is_flat(tmp_path: Path, requests: int) -> None:
    """From a tenth of the requests on."""
    served = Served(tmp_path, nng=True, env={"GOCHAT_LIMITS__READS_PER_S": "0"})
    with trio.fail_after(PATIENCE_S + requests * EACH_S):
        await served.start()
        try:
            figures = Figures(served, requests)
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(ask_often, served, f"u{number}", requests // 10, figures)
        finally:
            await served.aclose()
    first, *later = figures.rss
    assert max(later) - first < 8_000_000, figures.rss
