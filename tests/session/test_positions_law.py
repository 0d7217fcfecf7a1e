"""Whatever happens, and in whatever order, a session's client gets each fact once and in order.

A strict client knows no more than the protocol, and takes no fact but the next. Then the session's machine serves
that of the client library.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.session.positions import OPEN, REPLAY_ROOM, LiveFrom, Positions, Replaying, RoomEvent
from tests.client import test_positions_law as client_law
from tests.client.places import DM, TEA, contact, message, page, room, welcome
from tests.session.world import Lag, Restart, World


class Strict:
    """A client that takes no fact but the next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.last = 0
        self.lagging = False

    def take(self) -> None:
        match self.world.out.popleft():
            case Lag():
                assert not self.lagging, "it was told before"
                self.lagging = True
            case Restart(seq, _):
                self.last, self.lagging = seq, False
            case seq:
                batch = self.world.batches.get(seq)
                if batch is not None and batch.change == "added":
                    self.lagging = False  # A new stay begins: what the server told of the last one is over.
                    self.last = seq - 1
                assert (seq, self.lagging) == (self.last + 1, False)
                self.last = seq

    def reply(self) -> None:
        world = self.world
        world.full = False
        for _ in range(20_000):
            if world.out:
                self.take()
            elif world.under_way is not None:
                world.hand()
            elif world.queue:
                world.begin()
            elif world.jobs:
                world.work()
            elif self.lagging:
                self.last = max(self.last, world.head - REPLAY_ROOM // 2)  # It pages what is too much.
                world.resume(self.last)
            else:
                return
        pytest.fail("it never ends")


ROOM_STEPS = ["post", "post many", "begin", "begin", "hand", "hand", "work", "work", "work", "full", "empty", "sleep"]
ROOM_STEPS.append("lose")
STEPS = st.sampled_from(
    [*ROOM_STEPS, "take", "take all", "resume", "resume earlier", "resume ahead", "come back", "come anew"]
)


def do_room(step: str, world: World) -> None:
    actions: dict[str, Callable[[], object]] = {
        "begin": world.begin,
        "hand": world.hand,
        "work": world.work,
        "sleep": world.sleep,
        "lose": world.lose,
        "post": lambda: world.post(1),
        "post many": lambda: world.post(4),
        "post flood": lambda: world.post(300),
    }
    if step in actions:
        actions[step]()
    elif step in ("full", "empty"):
        world.full = step == "full"


def do(step: str, world: World, client: Strict) -> None:
    match step:
        case "take" if world.out:
            client.take()
        case "take all":
            while world.out:
                client.take()
        case "resume":
            world.resume(client.last)
        case "resume earlier":
            world.resume(max(0, client.last - 4))
        case "resume ahead":
            world.resume(world.head + 3)
        case "come back":
            world.sign_in(client.last)
        case "come anew":
            world.sign_in(None)
        case "add" if not world.member:
            world.post(2, "added")
        case "remove" if world.member:
            world.post(2, "removed")
        case _:
            do_room(step, world)


@pytest.mark.parametrize("address", [DM, TEA])
@settings(max_examples=400)
@given(st.lists(STEPS | st.just("post flood"), max_size=80))
def test_all_facts_come_once_and_in_order(address: str, steps: list[str]) -> None:
    world = World(address)
    client = Strict(world)
    world.sign_in(0)
    for step in steps:
        do(step, world, client)
    client.reply()
    world.post(1)
    client.reply()
    assert client.last == world.head
    assert world.machine.positions is None or isinstance(world.machine.position(address), LiveFrom)


@settings(max_examples=400)
@given(st.lists(STEPS | st.sampled_from(["add", "remove", "remove", "add"]), max_size=80))
def test_and_so_they_do_for_a_member_who_is_removed_and_added_again(steps: list[str]) -> None:
    world = World(TEA)
    client = Strict(world)
    world.sign_in(0)
    for step in steps:
        do(step, world, client)
    if not world.member:
        client.reply()
        world.post(1, "added")
    client.reply()
    world.post(1)
    client.reply()
    assert client.last == world.head


# ---------------------------------------------------------------------------------------------- the client's machine


class Relay:
    """The world as the client's law test knows a server: frames in both directions."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.room = world.room
        self.epoch = 1
        self.lists = self.tells_epoch = True
        self.hidden = 0
        self.up: deque[req.Resume | req.History] = deque()
        self.down: deque[Any] = deque()
        self._asked: deque[req.Resume] = deque()

    @property
    def head(self) -> int:
        return self.world.head

    def sign_in(self, held: int | None) -> replies.Welcome:
        """Sign in, all at once."""
        for frames in (self.up, self.down, self._asked):
            frames.clear()
        world = self.world
        world.sign_in(held)
        while world.machine.state != OPEN:
            world.work()
        return welcome(contact(world.head) if self.room == DM else room(world.head), epoch="e1")

    def serve(self) -> None:
        request = self.up.popleft()
        self.carry()
        if isinstance(request, req.Resume):
            self._asked.append(request)
            self.world.resume(request.seq)
        else:
            assert request.after is not None
            found = range(request.after + 1, self.head + 1)[: request.limit]
            self.down.append((request, page(self.head, *found, room=self.room)))

    def carry(self) -> None:
        """Carry everything that the session has sent to the client, in the client's terms."""
        while self.world.out:
            match self.world.out.popleft():
                case Lag(head):
                    self.down.append(replies.Lag(room=self.room, epoch="e1", head=head))
                case Restart(_, "resume"):
                    self.down.append((self._asked.popleft(), replies.Ok(head=self.head)))
                case Restart():
                    pass
                case seq:
                    self.down.append(message(seq, self.room))


class Client(client_law.Client):
    """The client library's positions, at the session's."""

    server: Relay  # type: ignore[assignment]

    def connect(self) -> None:
        named = self.positions.resume(65_536)
        self.asking, self.caught = False, None
        position = named.get(self.server.room)
        for reset in self.positions.welcomed(self.server.sign_in(None if position is None else position.seq)):
            self.restart(reset)

    def reply(self) -> None:
        relay, world = self.server, self.server.world
        world.full = False
        for _ in range(20_000):
            relay.carry()
            if relay.down:
                self.receive(full=False)
            elif world.under_way is not None:
                world.hand()
            elif world.queue:
                world.begin()
            elif world.jobs:
                world.work()
            elif relay.up:
                relay.serve()
            else:
                self.ask()
                if not relay.up and self.caught is None and not self.positions.waiting:
                    return
        pytest.fail("they never agree")


CLIENT_STEPS = st.sampled_from(
    [*ROOM_STEPS, "post flood", "receive", "receive all", "receive full", "ask", "serve", "cut"]
)


@pytest.mark.parametrize("address", [DM, TEA])
@settings(max_examples=400)
@given(st.lists(CLIENT_STEPS, max_size=80))
def test_the_machines_of_both_sides_agree(address: str, steps: list[str]) -> None:
    world = World(address)
    relay = Relay(world)
    client = Client(relay)  # type: ignore[arg-type]
    for step in steps:
        relay.carry()
        if step in ("receive", "receive full") and relay.down:
            client.receive(full=step == "receive full")
        elif step == "receive all":
            while relay.down:
                client.receive(full=False)
        elif step == "ask":
            client.ask()
        elif step == "serve" and relay.up:
            relay.serve()
        elif step == "cut":
            client.connect()
        else:
            do_room(step, world)
    client.reply()
    world.post(1)
    client.reply()
    assert client.last == world.head


def test_what_was_missed_before_a_removal_comes_before_the_return() -> None:
    """Both may be of one transaction, and happen while the welcome is read or while the log is."""
    machine = Positions()
    machine.begin_greeting()
    machine.note(RoomEvent("left", TEA, 52, 5))
    machine.note(RoomEvent("entered", TEA, 53, 5))
    events = machine.open(4)
    machine.put(TEA, Replaying(46))
    for event in events:
        machine.catch_up(event)
    machine.leave(TEA, 60)
    machine.enter(TEA, 70)
    position = machine.position(TEA)
    assert isinstance(position, Replaying)
    read = [(position.after, position.until)]
    while position.next_stay():
        read.append((position.after, position.until))
    assert read == [(46, 52), (52, 60), (69, None)]
    assert not machine.hears(TEA, 70, 6), "what is read comes first"
