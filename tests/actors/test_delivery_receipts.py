"""The confirmations of devices are put together, and told to those who may know them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.delivery_receipts import EVERY_S
from gochat.actors.messages import Submit
from gochat.domain import commands
from gochat.domain.ids import dm
from gochat.domain.receipts import SMALL_ROOM
from gochat.domain.turn import Done, Outcome, RoomRules
from gochat.errors import Denied, StoreError
from gochat.protocol.replies import Got
from tests.actors.house import TEA, Asked, House, Recorder, keep_house, keep_users

DM = "dm:ann:bob"
LookUp: TypeAlias = Callable[..., Awaitable[Any]]


@pytest.fixture
async def strict_house() -> AsyncIterator[House]:
    """Strangers have to ask."""
    async with keep_house(RoomRules()) as house:
        yield house


def got(user: str, seq: int, room: str = TEA) -> commands.Got:
    return commands.Got(room=room, user=user, seq=seq)


def listening(house: House, *users: str, room: str = TEA, since: int = 1) -> list[Recorder]:
    sessions = [Recorder(house, user) for user in users]
    for session in sessions:
        house.live.enter(room, session, since)
    return sessions


@contextmanager
def looking_up(house: House, instead: LookUp) -> Iterator[None]:
    """Have blocks looked up by `instead`, which gets the true way before what is asked."""
    lookups = house.store.lookups
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookups, "blocks", partial(instead, lookups.blocks))
        yield


async def fails(*_: Any) -> Any:
    raise StoreError("no")


async def listed(house: House, user: str) -> dict[str, int]:
    snapshot = await house.archive.welcome(user, 15, [])
    (entry,) = snapshot.rooms or snapshot.contacts
    return dict(entry.got)


async def test_what_a_group_confirms_within_a_second_is_one_event(house: House, autojump_clock: MockClock) -> None:
    ann, bob, zoe = listening(house, "ann", "bob", "zoe")
    await house.tea("bob", "cat", "zoe")
    await house.outcomes(*house.say("one", "two"))
    house.ask(got("bob", 3), got("cat", 99), got("bob", 4), got("cat", 1), got("eve", 4))
    await trio.sleep(EVERY_S / 2)
    assert ann.told == [], "it waits for others"
    house.ask(got("zoe", 4))
    await house.settled()
    assert ann.told == bob.told == zoe.told == [Got(room=TEA, got={"bob": 4, "cat": 4, "zoe": 4})]
    assert len({*ann.soft, *bob.soft, *zoe.soft}) == 1, "the same bytes for all"
    await house.outcomes(got("bob", 4), got("bob", 2), got("cat", 4))
    assert len(ann.told) == 1, "nothing new"
    await house.outcomes(*house.say("three"), got("bob", 5))
    assert ann.told[1:] == [Got(room=TEA, got={"bob": 5})]
    assert await listed(house, "ann") == {"bob": 5, "cat": 4, "zoe": 4}
    await house.outcomes(commands.Read(room=TEA, user="bob", seq=5))
    assert await listed(house, "ann") == {"cat": 4, "zoe": 4}, "what is read has come"


async def test_a_group_of_fifty_costs_each_of_them_an_event_a_second(house: House, autojump_clock: MockClock) -> None:
    users = [f"u{number}" for number in range(SMALL_ROOM - 1)]
    (ann,) = listening(house, "ann")
    await house.tea(*users)
    for seq in range(3, 13):
        house.ask(*house.say("hi"))
        await trio.sleep(EVERY_S / 10)
        house.ask(*(got(user, seq) for user in users))
    await house.settled()
    assert 1 <= len(ann.told) <= 3
    assert ann.told[-1].got == dict.fromkeys(users, 12)


async def test_of_a_large_group_nothing_is_kept_or_told(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob", *(f"u{number}" for number in range(SMALL_ROOM)))
    await house.outcomes(*house.say("one"), got("bob", 3))
    assert ann.told == [] and await listed(house, "ann") == {}


async def test_what_members_of_a_large_group_confirm_costs_it_no_turn(house: House, autojump_clock: MockClock) -> None:
    users = keep_users(house)
    await house.tea("bob", *(f"u{number}" for number in range(SMALL_ROOM - 2)))
    turns = house.live.counts.turns

    async def confirmed(user: str, seq: int = 2) -> Outcome | None:
        asked = Asked(house)
        users.at(user).tell(Submit(got(user, seq), asked))
        await house.settled()
        assert asked.flushed
        return asked.outcome

    assert isinstance(await confirmed("bob"), Done)
    assert house.live.counts.turns > turns, "of 50 members it is kept"
    await house.outcomes(commands.Add(room=TEA, user="ann", users=("zoe",)))
    turns = house.live.counts.turns
    assert isinstance(await confirmed("bob", 3), Done)
    assert house.live.counts.turns == turns
    assert isinstance(await confirmed("eve"), Denied), "the room alone says who is not in it"
    await house.outcomes(commands.Close(room=TEA, user="ann"))
    assert isinstance(await confirmed("bob", 3), Denied)


async def test_what_members_of_a_large_group_confirm_does_not_bring_it_back_into_memory(
    house: House, autojump_clock: MockClock
) -> None:
    users = keep_users(house)
    await house.tea("bob", *(f"u{number}" for number in range(SMALL_ROOM)))

    async def confirmed(user: str) -> Outcome | None:
        asked = Asked(house)
        users.at(user).tell(Submit(got(user, 2), asked))
        await house.settled()
        return asked.outcome

    async def outcome_asleep(user: str) -> Outcome | None:
        await house.settled()
        assert house.rooms.passivate_idle(trio.current_time()) == 1
        return await confirmed(user)

    bob = Recorder(house, "bob")
    users.at("bob").sessions[bob] = None
    house.live.enter(TEA, bob)
    assert isinstance(await outcome_asleep("bob"), Done)
    assert house.rooms.get(TEA) is not None, "nobody knows how large it is"
    assert isinstance(await confirmed("bob"), Done)
    assert isinstance(await outcome_asleep("bob"), Done)
    assert house.rooms.get(TEA) is None
    assert isinstance(await confirmed("eve"), Denied), "the room alone says who is not in it"
    assert house.rooms.get(TEA) is not None


async def test_users_of_whom_one_has_blocked_the_other_do_not_learn_it(house: House, autojump_clock: MockClock) -> None:
    ann, bob, cat = listening(house, "ann", "bob", "cat")
    await house.tea("bob", "cat")
    await house.outcomes(commands.Contact(room=DM, user="bob", action="block"))
    for session in (ann, bob, cat):
        session.soft.clear()
    await house.outcomes(*house.say("one"), got("bob", 3), got("cat", 3), got("ann", 3))
    assert ann.told == [Got(room=TEA, got={"cat": 3, "ann": 3})]
    assert bob.told == [Got(room=TEA, got={"bob": 3, "cat": 3})]
    assert cat.told == [Got(room=TEA, got={"bob": 3, "cat": 3, "ann": 3})]
    assert await listed(house, "ann") == {"cat": 3} and await listed(house, "cat") == {"bob": 3}
    await house.outcomes(*house.say("two"), got("bob", 4))
    assert len(ann.told) == 1, "an event with nothing to tell is none"


async def test_where_the_past_is_hidden_positions_in_it_are_too(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob", history="since_join")
    await house.outcomes(*house.say("one", "two"), commands.Add(room=TEA, user="ann", users=("zoe",)))
    (zoe,) = listening(house, "zoe", since=6)
    await house.outcomes(got("bob", 5))
    assert ann.told == [Got(room=TEA, got={"bob": 5})] and zoe.told == []
    assert await listed(house, "zoe") == {} and await listed(house, "ann") == {"bob": 5}
    await house.outcomes(got("bob", 6))
    assert zoe.told == [Got(room=TEA, got={"bob": 6})]
    assert await listed(house, "zoe") == {"bob": 6}


async def test_what_was_there_when_a_member_came_has_not_come_to_them(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob")
    await house.outcomes(*house.say("one"), commands.Add(room=TEA, user="ann", users=("cat",)))
    listening(house, "cat", since=4)
    await house.outcomes(got("cat", 4))
    assert ann.told == [] and await listed(house, "ann") == {}
    await house.outcomes(*house.say("two"), got("cat", 5))
    assert ann.told == [Got(room=TEA, got={"cat": 5})] and await listed(house, "ann") == {"cat": 5}


async def test_in_a_private_room_the_other_is_told(house: House, autojump_clock: MockClock) -> None:
    ann, bob = Recorder(house, "ann"), Recorder(house, "bob")
    await house.outcomes(*house.say("one", room=DM), got("bob", 1, DM), got("ann", 1, DM), got("zoe", 1, DM))
    assert ann.told == [Got(room=DM, got={"bob": 1})]
    assert bob.told == [Got(room=DM, got={"ann": 1})]


@pytest.mark.parametrize("action", ["remove", "block"])
async def test_a_private_room_tells_it_as_long_as_one_may_see_the_other(
    strict_house: House, autojump_clock: MockClock, action: Any
) -> None:
    house, ann, bob = strict_house, Recorder(strict_house, "ann"), Recorder(strict_house, "bob")

    def told(session: Recorder) -> list[dict[str, int]]:
        found = [event.got for event in session.told if isinstance(event, Got)]
        session.soft.clear()
        return found

    await house.outcomes(*house.say("may I?", room=DM), got("bob", 1, DM))
    assert told(ann) == [], "a request waits"
    await house.outcomes(commands.Contact(room=DM, user="bob", action="accept"), got("bob", 1, DM))
    await house.outcomes(*house.say("thanks", room=DM), got("bob", 2, DM))
    assert told(ann) == [{"bob": 2}] and await listed(house, "ann") == {"bob": 2}
    await house.outcomes(*house.say("more", room=DM))
    await house.outcomes(commands.Contact(room=DM, user="bob", action=action))
    ann.soft.clear()
    await house.outcomes(got("bob", 3, DM))
    assert told(ann) == [] and await listed(house, "ann") == {}
    if action == "remove":
        await house.outcomes(got("ann", 3, DM))
        assert told(bob) == [{"ann": 3}], "ann still lets bob write"


async def test_ones_own_room_has_nobody_to_tell(house: House, autojump_clock: MockClock) -> None:
    room = dm("ann", "ann")
    ann = Recorder(house, "ann")
    await house.outcomes(*house.say("note", room=room), got("ann", 1, room))
    assert ann.told == []


async def test_what_can_not_be_looked_up_is_not_told(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob")

    with looking_up(house, fails):
        await house.outcomes(*house.say("one"), got("bob", 3))
        assert ann.told == []
    await house.outcomes(*house.say("two"), got("bob", 4))
    assert ann.told == [Got(room=TEA, got={"bob": 4})]


async def test_who_leaves_meanwhile_is_not_told_of(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob", "cat")
    house.ask(*house.say("one"), got("bob", 3), got("cat", 3))
    await trio.sleep(EVERY_S / 2)
    house.ask(commands.Leave(room=TEA, user="bob"))
    await house.settled()
    assert ann.told == [Got(room=TEA, got={"cat": 3})]


async def test_who_comes_while_blocks_are_looked_up_is_not_told_without_a_look(
    house: House, autojump_clock: MockClock
) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob")
    zoes: list[Recorder] = []

    async def slowly(blocks: LookUp, *asked: Any) -> Any:
        found = await blocks(*asked)
        zoes.extend(listening(house, "zoe"))
        return found

    with looking_up(house, slowly):
        await house.outcomes(*house.say("one"), got("bob", 3))
    (zoe,) = zoes
    assert ann.told == [Got(room=TEA, got={"bob": 3})] and zoe.told == []
    await house.outcomes(commands.Add(room=TEA, user="ann", users=("zoe",)), *house.say("two"), got("bob", 5))
    assert zoe.told == [Got(room=TEA, got={"bob": 5})]


async def test_members_who_come_while_blocks_are_looked_up_are_told_after_a_look(
    house: House, autojump_clock: MockClock
) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob", "cat")
    await house.outcomes(commands.Contact(room=dm("bob", "eve"), user="eve", action="block"))
    come: list[Recorder] = []
    looks: list[set[str]] = []

    async def slowly(blocks: LookUp, users: list[str], others: list[str]) -> Any:
        looks.append(set(others))
        found = await blocks(users, others)
        if not come:
            await house.outcomes(commands.Add(room=TEA, user="ann", users=("zoe", "eve")))
            come.extend(listening(house, "zoe", "eve"))
        return found

    with looking_up(house, slowly):
        house.ask(*house.say("one"), got("bob", 3), got("cat", 3))
        await trio.sleep(3 * EVERY_S)
        await house.settled()
    zoe, eve = come
    assert looks == [{"ann", "bob", "cat"}, {"zoe", "eve"}]
    assert ann.told == zoe.told == [Got(room=TEA, got={"bob": 3, "cat": 3})]
    assert eve.told == [Got(room=TEA, got={"cat": 3})]


async def test_what_was_not_told_is_news_when_it_is_said_again(house: House, autojump_clock: MockClock) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob")
    await house.outcomes(*house.say("one"))

    with looking_up(house, fails):
        await house.outcomes(got("bob", 3))
    house.ask(got("bob", 3))
    await trio.sleep(EVERY_S / 2)
    house.rooms.at(TEA).forget()
    await trio.sleep(EVERY_S)
    assert ann.told == [] and await listed(house, "ann") == {}
    await house.outcomes(got("bob", 3), got("bob", 3))
    assert ann.told == [Got(room=TEA, got={"bob": 3})] and await listed(house, "ann") == {"bob": 3}


async def test_a_room_tells_in_one_task_also_while_newcomers_are_looked_up(
    house: House, autojump_clock: MockClock
) -> None:
    (ann,) = listening(house, "ann")
    await house.tea("bob")
    await house.outcomes(*house.say("one", "two"))
    come: list[Recorder] = []

    async def slowly(blocks: LookUp, *asked: Any) -> Any:
        found = await blocks(*asked)
        if not come:
            house.ask(commands.Add(room=TEA, user="ann", users=("zoe",)))
            come.extend(listening(house, "zoe"))
        await trio.sleep(3 * EVERY_S)
        return found

    with looking_up(house, slowly):
        house.ask(got("bob", 3))
        await trio.sleep(5 * EVERY_S)
        house.ask(got("bob", 4))
        await trio.sleep(EVERY_S / 2)
        assert sum(child.spec.name.startswith("got") for child in house.actors) == 1
        await house.settled()
    assert house.actors.crashes == 0
    assert ann.told == [Got(room=TEA, got={"bob": 3}), Got(room=TEA, got={"bob": 4})]
