"""Of a user's reads the others hear the latest, a few times a second at most, and the last one always."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.foreign import hear_event
from gochat.actors.read_receipts import EVERY_S, MOST, MOST_LOOKS
from gochat.domain import commands
from gochat.domain.turn import Done
from gochat.protocol.replies import Read
from tests.actors.house import TEA, House, Recorder, keep_house
from tests.actors.test_delivery_receipts import listening
from tests.actors.test_foreign_events import Elsewhere, read, relayed

DM = "dm:ann:bob"


@pytest.fixture
async def house(autojump_clock: MockClock) -> AsyncIterator[House]:
    async with keep_house() as house:
        house.live.ephemera = Elsewhere()
        yield house


async def tea_of(house: House, messages: int, *users: str) -> None:
    """With so many messages, from seq 3 on."""
    await house.tea(*users)
    await house.outcomes(*house.say(*("x" for _ in range(messages))))


def seqs(session: Recorder, user: str = "bob") -> list[int]:
    return [event.seq for event in session.told if isinstance(event, Read) and event.sender == user]


async def one_waits(house: House, seq: int) -> None:
    """bob's read of 10 is told, and that of `seq` waits."""
    for each in (10, seq):
        house.ask(read("bob", each))
        await trio.sleep(EVERY_S / 30)


async def listed(house: House, user: str) -> int:
    (entry,) = (await house.archive.welcome(user, 15, [])).rooms
    return entry.read


async def test_of_a_batch_the_highest_is_told_and_each_is_answered(house: House, autojump_clock: MockClock) -> None:
    ann, bob = listening(house, "ann", "bob")
    await tea_of(house, 100, "bob", "cat")
    outcomes = await house.outcomes(*(read("bob", seq) for seq in range(3, 100)), read("cat", 7), read("bob", 50))
    assert len(outcomes) == 99 and all(isinstance(outcome, Done) for outcome in outcomes)
    await house.settled()
    assert seqs(ann) == seqs(bob) == [99] and seqs(ann, "cat") == [7]
    assert relayed(house) == [(read("bob", 99), False), (read("cat", 7), False)]
    assert (await listed(house, "bob"), await listed(house, "cat")) == (99, 7)


async def test_batch_upon_batch_is_a_few_events_a_second_and_the_last_comes(
    house: House, autojump_clock: MockClock
) -> None:
    (ann,) = listening(house, "ann")
    await tea_of(house, 100, "bob", "cat")
    came: list[float] = []
    soft = ann.send_best_effort

    def note(data: bytes) -> None:
        if b'"bob"' in data:
            came.append(trio.current_time())
        soft(data)

    ann.send_best_effort = note  # type: ignore[method-assign]
    began = trio.current_time()
    for seq in range(3, 63):
        house.ask(read("bob", seq))
        await trio.sleep_until(began + (seq - 2) * 0.05)
    assert seqs(ann)[0] == 3 and came[0] - began < 0.05, "the first comes at once"
    house.ask(read("cat", 9))
    await trio.sleep(EVERY_S / 10)
    assert seqs(ann, "cat") == [9], "each user has a pace of their own"
    await house.settled()
    assert seqs(ann)[-1] == 62
    assert all(later - earlier > 0.99 * EVERY_S for earlier, later in pairwise(came))
    assert len(came) <= 3 / EVERY_S + 2
    assert [event.seq for event, _ in relayed(house) if event.user == "bob"] == seqs(ann), "other nodes hear no more"
    assert await listed(house, "bob") == 62


async def test_reads_of_other_nodes_are_thinned_too(house: House, autojump_clock: MockClock) -> None:
    ann, bob = listening(house, "ann", "bob")
    await tea_of(house, 100, "bob")
    relayed(house)
    for seq in range(3, 23):
        hear_event(house.rooms, house.live, read("bob", seq), False)
        await trio.sleep(0.1)
    await house.settled()
    assert seqs(ann) == seqs(bob) and seqs(ann)[0] == 3 and seqs(ann)[-1] == 22
    assert len(seqs(ann)) <= 2 / EVERY_S + 2
    assert relayed(house) == []
    hear_event(house.rooms, house.live, read("bob", 23), False)
    hear_event(house.rooms, house.live, read("bob", 24), True)
    await house.settled()
    assert (seqs(ann)[-1], seqs(bob)[-1]) == (23, 24), "what is withheld is its user's alone, also later"


@pytest.mark.parametrize("change", ["removed", "blocked"])
async def test_what_waits_is_told_by_the_rules_of_then(house: House, autojump_clock: MockClock, change: str) -> None:
    room = TEA if change == "removed" else DM
    (ann,) = listening(house, "ann", room=room)
    if change == "removed":
        await tea_of(house, 9, "bob")
    else:
        await house.outcomes(*house.say(*"abcdefgh", room=DM))
    for seq in (3, 5):
        house.ask(read("bob", seq, room))
        await trio.sleep(EVERY_S / 10)
    if change == "removed":
        house.ask(commands.Remove(room=TEA, user="ann", users=("bob",)))
    else:
        house.ask(commands.Contact(room=DM, user="bob", action="block"))
    await house.settled()
    assert seqs(ann) == [3]


async def test_the_last_position_waits_for_a_room_that_is_being_rebuilt(
    house: House, autojump_clock: MockClock
) -> None:
    ann, bob = listening(house, "ann", "bob")
    await tea_of(house, 100, "bob")
    await one_waits(house, 60)
    house.rooms.at(TEA).forget()
    await trio.sleep(4 * EVERY_S)
    await house.outcomes(*house.say("it is loaded again"))
    await trio.sleep(2 * EVERY_S)
    assert seqs(ann) == seqs(bob) == [10, 60]
    assert relayed(house) == [(read("bob", 10), False), (read("bob", 60), False)]


async def test_a_room_that_stays_away_is_waited_for_half_a_minute(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await tea_of(house, 100, "bob")
    house.ask(read("bob", 10))
    await trio.sleep(0.01)
    reads = house.rooms.at(TEA)._events._reads
    house.ask(read("bob", 60))
    await trio.sleep(EVERY_S / 2)
    reads._record, now = (lambda: None), reads._record
    await trio.sleep((MOST_LOOKS + 2) * EVERY_S)
    assert not reads._waiting and not reads._runs
    reads._record = now
    await house.outcomes(read("bob", 61))
    assert seqs(ann) == [10, 61] and await listed(house, "bob") == 61


async def test_a_lower_position_takes_no_place_of_a_higher_one(house: House, autojump_clock: MockClock) -> None:
    """Of a user whom others made the room forget."""
    users = [f"user{number}" for number in range(MOST + 50)]
    (bob,) = listening(house, "bob")
    await tea_of(house, 100, "bob", *users)
    house.ask(read("bob", 10))
    await trio.sleep(0.01)
    house.ask(read("bob", 60))
    for user in users:
        house.ask(read(user, 9))
    await trio.sleep(0.01)
    house.ask(read("bob", 20))
    await trio.sleep(2 * EVERY_S)
    assert seqs(bob) == [10, 60]


async def test_what_is_withheld_stands_for_nothing_that_others_hear(house: House, autojump_clock: MockClock) -> None:
    ann, bob = listening(house, "ann", "bob")
    await tea_of(house, 100, "bob")
    await one_waits(house, 50)
    hear_event(house.rooms, house.live, read("bob", 60), True)
    await trio.sleep(3 * EVERY_S)
    assert (seqs(ann), seqs(bob)) == ([10, 50], [10, 50, 60])
    assert relayed(house) == [(read("bob", 10), False), (read("bob", 50), False)]
