"""Whatever a server does and in whatever order, each fact comes once and in order."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gochat.client.positions import Positions, Reset
from gochat.client.wire import Fact
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import ContactEntry, RequestEntry, RoomEntry
from gochat.protocol.requests import Position
from tests.client.places import DM, TEA, contact, message, page, request, room, welcome


class Server:
    """One room of a server that keeps the contract, with what is under way in both directions."""

    def __init__(self, room: str = TEA, *, lists: bool = True, tells_epoch: bool = True) -> None:
        self.room = room
        self.lists = lists
        """Otherwise the user knows of the room by its facts alone."""
        self.tells_epoch = tells_epoch
        """Otherwise it is an older one."""
        self.waits = False
        """The other of the two has asked, and has no answer."""
        self.head = 0
        self.epoch = 1
        self.hidden = 0
        """The user may see what lies above this."""
        self.live = True
        self.up: deque[req.Resume | req.History] = deque()
        self.down: deque[Any] = deque()

    def entry(self) -> RoomEntry | ContactEntry | RequestEntry:
        if self.waits:
            return request(self.head)
        if self.room == DM:
            return contact(self.head, epoch=f"e{self.epoch}")
        return room(self.head, epoch=f"e{self.epoch}")

    def accept(self) -> None:
        self.waits = False
        self.down.append(replies.Contact(user="bob", state="contact"))

    def post(self, count: int) -> None:
        for _ in range(count):
            self.head += 1
            if self.live and not self.waits:
                self.down.append(message(self.head, self.room))

    def lag(self) -> None:
        self.live = False
        self.down.append(replies.Lag(room=self.room, epoch=f"e{self.epoch}", head=self.head))

    def go_on(self, position: Position) -> None:
        if position.epoch not in (None, f"e{self.epoch}") or position.seq > self.head:
            self.live = False
            self.down.append(replies.Reset(room=self.room, epoch=f"e{self.epoch}", head=self.head))
        elif self.head - position.seq > 500:
            self.lag()
        else:
            self.live = True
            self.down.extend(
                message(seq, self.room) for seq in range(position.seq + 1, self.head + 1) if seq > self.hidden
            )

    def serve(self, ok_first: bool) -> None:
        request = self.up.popleft()
        if isinstance(request, req.Resume) and self.waits:
            self.down.append((request, replies.Error(code="not_found", message="", temporary=False)))
        elif isinstance(request, req.Resume):
            ok = (request, replies.Ok(head=self.head))
            if ok_first:
                self.down.append(ok)
            self.go_on(Position(request.seq, request.epoch))
            if not ok_first:
                self.down.append(ok)
        else:
            assert request.after is not None
            found = range(max(request.after, self.hidden) + 1, self.head + 1)[: request.limit]
            self.down.append((request, page(self.head, *found, epoch=f"e{self.epoch}", room=self.room)))


class Client:
    """Positions, and what a session does around them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.positions = Positions()
        self.epoch = ""
        """Of the log that the last fact was of; empty: the next one begins."""
        self.last = 0
        self.hole = 0
        """Facts up to here may be missing: the server does not show them."""
        self.asking = False
        self.caught: str | None = None
        self.connect()

    def connect(self) -> None:
        server = self.server
        server.up.clear()
        server.down.clear()
        named = self.positions.resume(65_536)
        server.live = True
        self.asking, self.caught = False, None
        if server.room in named and not server.waits:
            server.go_on(named[server.room])
        epoch = f"e{server.epoch}" if server.tells_epoch else None
        for reset in self.positions.welcomed(welcome(*[server.entry()] if server.lists else [], epoch=epoch)):
            self.restart(reset)

    def restart(self, reset: Reset) -> None:
        assert reset.epoch != self.epoch or reset.head >= self.last, "facts of the same log would come again"
        self.epoch, self.last = reset.epoch, reset.head

    def hand_on(self, fact: Fact) -> None:
        epoch = f"e{self.server.epoch}"
        assert self.epoch in ("", epoch) or not self.server.tells_epoch, "facts of two logs are mixed"
        if not self.server.lists and not self.epoch:
            self.last = fact.seq - 1
        self.epoch = epoch
        assert fact.seq == self.last + 1 or (self.last < self.server.hidden and fact.seq == self.server.hidden + 1)
        self.last = fact.seq

    def receive(self, full: bool) -> None:
        frame = self.server.down.popleft()
        match frame:
            case replies.Lag():
                if (reset := self.positions.lagging(frame)) is not None:
                    self.restart(reset)
            case replies.Reset():
                self.restart(self.positions.reset(frame))
            case replies.Contact():
                self.positions.opened(self.server.room)
            case (request, replies.Error()):
                self.asking = False
                self.positions.refused(request)
            case (request, reply):
                self.asking = False
                fresh, reset = self.positions.answered(request, reply)
                for fact in fresh:
                    self.hand_on(fact)
                if reset is not None:
                    self.restart(reset)
            case _:
                if self.positions.take(frame, full):
                    self.hand_on(frame)

    def receive_reply(self) -> None:
        """Over nng replies come before events that have waited longer."""
        down = self.server.down
        reply = next((frame for frame in down if isinstance(frame, tuple)), None)
        if reply is not None:
            down.remove(reply)
            down.appendleft(reply)
            self.receive(full=False)

    def ask(self) -> None:
        if self.asking:
            return
        self.caught = self.caught or self.positions.next_behind()
        if self.caught is not None:
            request = self.positions.ask(self.caught)
            if request is None:
                self.caught = None
            else:
                self.asking = True
                self.server.up.append(request)

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(10_000):
            if self.server.down:
                self.receive(full=False)
            elif self.server.up:
                self.server.serve(ok_first=True)
            else:
                self.ask()
                if not self.server.up and self.caught is None and not self.positions.waiting:
                    return
        pytest.fail("the client never stops asking")


STEPS = st.sampled_from(
    [
        "post",
        "post many",
        "receive",
        "receive",
        "receive all",
        "receive full",
        "receive reply",
        "ask",
        "serve",
        "serve late",
        "lag",
        "drop",
        "cut",
        "roll back",
        "rewind",
    ]
)


def do(step: str, server: Server, client: Client) -> None:
    match step:
        case "post":
            server.post(1)
        case "post many":
            server.post(280)
        case "receive" | "receive full" if server.down:
            client.receive(full=step == "receive full")
        case "receive reply":
            client.receive_reply()
        case "receive all":
            while server.down:
                client.receive(full=False)
        case "ask":
            client.ask()
        case "serve" | "serve late" if server.up:
            server.serve(ok_first=step == "serve")
        case "lag":
            server.lag()
        case "drop" if server.down and isinstance(server.down[-1], facts.Message):
            server.down.pop()  # what no server should do
        case "cut":
            client.connect()
        case "roll back" if server.head > server.hidden + 5:
            server.head -= 5
            server.epoch += 1
            client.connect()
        case "rewind":
            client.positions.rewind(server.room, 0, None)
            client.epoch, client.last = "", 0


#: A room that falls behind twice at the same place is paged, and the page overtakes a `lag`.
OVERTAKEN = ["post", "receive full", "post", "ask", "serve", "receive full", "receive full", "receive full"]
OVERTAKEN += ["receive reply", "lag", "post", "ask", "serve", "receive reply", "receive"]


#: All rooms of a server are of one log, and only a `welcome` need say which: live facts do not.
ROLLED_BACK = ["post many", "receive", "roll back"]


@settings(max_examples=400)
@example(OVERTAKEN, 0, True, True)
@example(ROLLED_BACK, 0, False, True)
@example(["rewind", "receive all", "ask", "serve", *ROLLED_BACK], 0, True, True)
@given(st.lists(STEPS, max_size=60), st.sampled_from([0, 0, 3, 300]), st.booleans(), st.booleans())
def test_whatever_happens_all_facts_come_once_and_in_order(
    steps: list[str], hidden: int, lists: bool, tells_epoch: bool
) -> None:
    server = Server(lists=lists, tells_epoch=tells_epoch)
    server.hidden = hidden
    server.head = hidden
    client = Client(server)
    client.last = server.head
    for step in steps:
        do(step, server, client)
    client.settle()
    server.post(1)  # a gap at the very end shows with the next fact
    client.settle()
    assert client.last == server.head


@settings(max_examples=400)
@given(st.lists(STEPS | st.sampled_from(["stranger", "accept"]), max_size=60))
def test_and_so_they_do_in_a_room_that_now_and_then_waits_for_an_answer(steps: list[str]) -> None:
    server = Server(DM)
    client = Client(server)
    for step in steps:
        if step == "stranger":
            server.waits = True
        elif step == "accept" and server.waits:
            server.accept()
        elif step != "lag" or not server.waits:  # no fact of a room that waits could be left out
            do(step, server, client)
    client.settle()
    if server.waits:
        server.accept()
        client.settle()
    server.post(1)
    client.settle()
    assert client.last == server.head
