"""Events of other nodes are told here by the rules of here, and only where somebody hears them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.backlog import MOST_EVENTS
from gochat.actors.foreign import hear_event, hear_presence
from gochat.actors.room import RoomActor
from gochat.actors.typing_events import HEARD_EVERY_S, TYPING_EVERY_S
from gochat.domain import commands
from gochat.domain.commands import AnyEphemeral
from gochat.domain.receipts import SMALL_ROOM
from gochat.domain.turn import RoomRules
from gochat.errors import StoreError
from gochat.protocol.replies import Got, Read, Typing
from tests.actors.house import TEA, House, Recorder, keep_house
from tests.actors.test_delivery_receipts import listed, listening

DM = "dm:ann:bob"


class Elsewhere:
    """The other nodes: what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[AnyEphemeral, bool]] = []

    def tell(self, event: AnyEphemeral, *, withheld: bool = False) -> None:
        self.told.append((event, withheld))


@pytest.fixture
async def house(autojump_clock: MockClock) -> AsyncIterator[House]:
    async with keep_house() as house:
        house.live.ephemera = Elsewhere()
        yield house


@pytest.fixture
async def strict_house(autojump_clock: MockClock) -> AsyncIterator[House]:
    """Strangers have to ask."""
    async with keep_house(RoomRules()) as house:
        house.live.ephemera = Elsewhere()
        yield house


def relayed(house: House) -> list[tuple[AnyEphemeral, bool]]:
    elsewhere = house.live.ephemera
    assert isinstance(elsewhere, Elsewhere)
    told, elsewhere.told = elsewhere.told, []
    return told


def typing(user: str, room: str = TEA) -> commands.Typing:
    return commands.Typing(room=room, user=user)


def read(user: str, seq: int, room: str = TEA) -> commands.Read:
    return commands.Read(room=room, user=user, seq=seq)


def got(user: str, seq: int, room: str = TEA) -> commands.Got:
    return commands.Got(room=room, user=user, seq=seq)


async def heard(house: House, *events: AnyEphemeral, withheld: bool = False) -> None:
    for event in events:
        hear_event(house.rooms, house.live, event, withheld)
    await house.settled()


# ------------------------------------------------------------------------------------------ to the others


async def test_the_others_hear_what_is_news(house: House, autojump_clock: MockClock) -> None:
    await house.tea("bob")
    await house.outcomes(*house.say("one"))
    await house.outcomes(
        read("bob", 99), read("bob", 1), typing("bob"), typing("bob"), got("bob", 2), got("bob", 1), read("zoe", 1)
    )
    assert relayed(house) == [(read("bob", 3), False), (typing("bob"), False), (got("bob", 2), False)]


async def test_the_others_are_told_to_keep_what_the_rules_keep(strict_house: House, autojump_clock: MockClock) -> None:
    """The reader's own devices are told; they may be anywhere."""
    house = strict_house
    await house.outcomes(*house.say("hi", room=DM))
    await house.outcomes(read("bob", 1, DM), typing("ann", DM), got("bob", 1, DM))
    assert relayed(house) == [(read("bob", 1, DM), True)]
    await house.outcomes(commands.Create(room="group:big", user="ann", users=tuple(f"u{n}" for n in range(SMALL_ROOM))))
    await house.outcomes(read("u1", 1, "group:big"), typing("u1", "group:big"), got("u1", 1, "group:big"))
    assert relayed(house) == [(read("u1", 1, "group:big"), True)]


# ------------------------------------------------------------------------------------------ from the others


async def test_events_are_told_as_if_they_came_from_here(house: House, autojump_clock: MockClock) -> None:
    ann, bob = listening(house, "ann", "bob")
    await house.tea("bob", "cat")
    await house.outcomes(*house.say("one", "two"))
    relayed(house)
    await heard(house, read("bob", 3), typing("bob"), got("bob", 4), got("cat", 4))
    expected = [Read(room=TEA, sender="bob", seq=3), Typing(room=TEA, sender="bob")]
    assert ann.told == [*expected, Got(room=TEA, got={"bob": 4, "cat": 4})]
    assert bob.told == [expected[0], Got(room=TEA, got={"bob": 4, "cat": 4})]
    assert relayed(house) == [], "nothing goes back"


async def test_what_other_nodes_took_is_theirs_to_note(house: House, autojump_clock: MockClock) -> None:
    await house.tea("bob", "cat")
    await house.outcomes(*house.say("one", "two"))
    listening(house, "ann", "bob")
    await heard(house, read("bob", 3), got("bob", 4), got("cat", 4))
    (entry,) = (await house.archive.welcome("bob", 15, [])).rooms
    assert entry.read == 2, "where bob was added"
    assert await listed(house, "ann") == {}
    house.ask(got("cat", 3))
    await house.outcomes(*house.say("three"), read("bob", 4), got("cat", 5))
    (entry,) = (await house.archive.welcome("bob", 15, [])).rooms
    assert entry.read == 4
    assert await listed(house, "ann") == {"cat": 5}


async def test_what_is_news_on_two_nodes_is_told_once(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob")
    await house.outcomes(*house.say("one", "two"), read("bob", 4))
    await heard(house, read("bob", 4), read("bob", 3), read("bob", 99))
    assert ann.told == [Read(room=TEA, sender="bob", seq=4)]


async def test_typing_is_thinned_here_too(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob")
    for _ in range(100):
        hear_event(house.rooms, house.live, typing("bob"), False)
        await trio.sleep(0.1)
    assert 4 <= len(ann.told) <= 10 / HEARD_EVERY_S + 1
    ann.soft.clear()
    await trio.sleep(TYPING_EVERY_S)
    for number in range(4):  # As a node tells them whose user goes on typing, with what happens on the way.
        hear_event(house.rooms, house.live, typing("bob"), False)
        await trio.sleep(TYPING_EVERY_S + (-0.2 if number % 2 else 0.2))
    assert len(ann.told) == 4


async def test_a_withheld_event_is_its_users_alone(house: House, autojump_clock: MockClock) -> None:
    ann, bob = listening(house, "ann", "bob")
    await house.tea("bob")
    await heard(house, read("bob", 1), withheld=True)
    await heard(house, typing("bob"), withheld=True)
    assert (ann.told, bob.told) == ([], [Read(room=TEA, sender="bob", seq=1)])


async def test_users_who_are_not_in_the_room_are_not_told_of(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob", "cat")
    await house.outcomes(commands.Remove(room=TEA, user="ann", users=("cat",)))
    await heard(house, typing("zoe"), read("zoe", 1), got("zoe", 1), typing("cat"), read("cat", 1), got("cat", 1))
    assert ann.told == []


@pytest.mark.parametrize(
    "event", [typing("ann", DM), read("ann", 1, DM), got("ann", 1, DM)], ids=["typing", "read", "got"]
)
@pytest.mark.parametrize("blocker", ["ann", "bob"])
async def test_a_block_that_only_this_node_knows_of_holds_here(
    house: House, event: Any, blocker: str, autojump_clock: MockClock
) -> None:
    bob = Recorder(house, "bob")
    await house.outcomes(*house.say("hi", room=DM, user="bob"))
    await heard(house, event)
    assert len(bob.told) == 1, "it comes through without"
    await house.outcomes(*house.say("hi again", room=DM, user="bob"))
    await house.elsewhere(commands.Contact(room=DM, user=blocker, action="block"))
    await house.settled()
    bob.soft.clear()
    await trio.sleep(2 * TYPING_EVERY_S)
    await heard(house, typing("ann", DM), read("ann", 2, DM), got("ann", 2, DM))
    assert bob.told == []


async def test_a_stranger_who_asks_learns_nothing(strict_house: House, autojump_clock: MockClock) -> None:
    house = strict_house
    ann, bob = Recorder(house, "ann"), Recorder(house, "bob")
    await house.outcomes(*house.say("hi", room=DM))
    ann.soft.clear()
    bob.soft.clear()
    await heard(house, read("bob", 1, DM), got("bob", 1, DM), typing("ann", DM), typing("bob", DM))
    assert ann.told == []
    assert bob.told == [Read(room=DM, sender="bob", seq=1)]


async def test_members_who_came_later_are_not_told_of_what_was_before(house: House, autojump_clock: MockClock) -> None:
    await house.outcomes(commands.Create(room=TEA, user="ann", users=("bob",), history="since_join"))
    await house.outcomes(*house.say("one"))
    await house.outcomes(commands.Add(room=TEA, user="ann", users=("cat",)))
    ann, cat = Recorder(house, "ann"), Recorder(house, "cat")
    house.live.enter(TEA, ann)
    house.live.enter(TEA, cat, house.rooms.at(TEA).record.head)  # type: ignore[union-attr]
    await heard(house, read("bob", 3), got("bob", 3))
    assert len(ann.told) == 2
    assert cat.told == []


# ------------------------------------------------------------------------------------------ costs


async def test_where_nobody_hears_it_no_room_is_loaded(house: House, autojump_clock: MockClock) -> None:
    Recorder(house, "zoe")
    await house.tea("ann", "bob")
    await house.outcomes(*house.say("hi", room=DM))
    house.rooms.passivate_idle(float("inf"))
    events = [typing("ann", DM), read("ann", 1, DM), got("ann", 1, DM), typing("ann"), read("ann", 1), got("ann", 1)]
    await heard(house, *events)
    await heard(house, read("ann", 1), withheld=True)
    assert len(house.rooms) == 0


async def test_a_room_is_loaded_for_those_who_hear_it(house: House, autojump_clock: MockClock) -> None:
    await house.tea("bob")
    await house.outcomes(*house.say("one"))
    (ann,) = listening(house, "ann")
    house.rooms.passivate_idle(float("inf"))
    assert len(house.rooms) == 0
    await heard(house, read("bob", 3), typing("bob"))
    assert ann.told == [Read(room=TEA, sender="bob", seq=3), Typing(room=TEA, sender="bob")]


async def test_few_events_wait_for_a_room(
    house: House, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    await house.tea(*(f"u{n}" for n in range(SMALL_ROOM - 1)))
    (ann,) = listening(house, "ann")
    house.rooms.passivate_idle(float("inf"))
    for number in range(10 * MOST_EVENTS):
        hear_event(house.rooms, house.live, read(f"u{number % (SMALL_ROOM - 1)}", 1), False)
    (room,) = house.rooms
    assert room._backlog is not None and len(room._backlog.events) == MOST_EVENTS
    await house.settled()
    assert len(ann.told) == SMALL_ROOM - 1


async def test_what_can_not_be_loaded_now_is_lost_and_not_tried_for_ever(
    house: House, autojump_clock: MockClock
) -> None:
    await house.tea("bob")
    (ann,) = listening(house, "ann")
    house.rooms.passivate_idle(float("inf"))
    loads = 0

    async def fails(room: str) -> None:
        nonlocal loads
        loads += 1
        await trio.lowlevel.checkpoint()
        raise StoreError("not now")

    house.shared.before_load = fails
    await heard(house, typing("bob"))
    assert loads == 1
    assert not any(isinstance(room, RoomActor) and room.lacking for room in house.rooms)
    house.shared.before_load = None
    await heard(house, typing("bob"))
    assert ann.told == [Typing(room=TEA, sender="bob")]


async def test_an_event_that_crashes_costs_nobody_else(
    house: House, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob", "cat")

    def crashes(self: Any, record: Any, command: Any, **fields: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("gochat.actors.typing_events.TypingEvents.hear", crashes)
        await heard(house, typing("bob"), got("bob", 1))
    await heard(house, typing("cat"))
    assert ann.told == [Got(room=TEA, got={"bob": 1}), Typing(room=TEA, sender="cat")]


# ------------------------------------------------------------------------------------------ presence


async def test_who_watches_a_user_hears_that_they_came_and_went(house: House, autojump_clock: MockClock) -> None:
    ann = Recorder(house, "ann")
    told: list[bytes] = ann.soft
    house.live.watches.replace(ann, ["bob"], oversees=True)  # type: ignore[arg-type]
    hear_presence(house.live, "bob", None)
    hear_presence(house.live, "cat", None)
    hear_presence(house.live, "bob", 1234)
    assert [data.count(b'"online":true') for data in told] == [1, 0]
    assert b"1234" in told[1]
    assert house.live.watches.last_seen == {"bob": 1234}
