"""In a cluster a turn is one entry of the log: it ends within bounds, and no mail is lost, moved or left unanswered."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from trio.testing import MockClock

from gochat.actors import turn_bounds
from gochat.domain import commands
from gochat.domain.facts import Message
from gochat.domain.turn import Done
from gochat.errors import Denied, StoreError
from tests.actors.house import TEA, House, keep_house


def batches(house: House) -> list[int]:
    """How many facts each batch of the group had, but the one that made it."""
    return list(Counter(commit for commit, _ in house.journal.log[TEA]).values())[1:]


def bodies(house: House) -> list[str | None]:
    return [fact.body for _, fact in house.journal.log[TEA] if isinstance(fact, Message)]


async def test_a_turn_has_so_many_facts_and_the_next_one_goes_on(autojump_clock: MockClock) -> None:
    said = [str(n) for n in range(2 * turn_bounds.MOST_FACTS + 10)]
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        outcomes = await house.outcomes(*house.say(*said))
        assert [outcome.seq for outcome in outcomes if isinstance(outcome, Done)] == list(range(3, len(said) + 3))
        assert batches(house) == [turn_bounds.MOST_FACTS, turn_bounds.MOST_FACTS, 10]
        assert bodies(house) == said


async def test_a_turn_has_so_many_bytes(autojump_clock: MockClock) -> None:
    said = [f"{n} " + "\u20ac" * 4_000 for n in range(100)]
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        await house.outcomes(*house.say(*said))
        assert bodies(house) == said
        assert len(batches(house)) == 3
        assert max(batches(house)) * 12_000 < turn_bounds.MOST_BYTES + 12_000


async def test_a_turn_has_so_many_side_records(autojump_clock: MockClock) -> None:
    report = commands.Report(room=TEA, user="bob", seq=3)
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        await house.outcomes(*house.say("one"))
        count = len(batches(house))
        reports = [report] * turn_bounds.MOST_SIDE_RECORDS
        outcomes = await house.outcomes(*reports[1:], *house.say("within"), *reports, *house.say("the next turn"))
        assert all(isinstance(outcome, Done) for outcome in outcomes)
        assert batches(house)[count:] == [1, 1]


async def test_a_node_alone_takes_everything_at_once(autojump_clock: MockClock) -> None:
    async with keep_house() as house:
        await house.tea("bob")
        await house.outcomes(*house.say(*map(str, range(3_000))))
        assert batches(house) == [3_000]


async def test_a_command_that_names_its_own_turn_begins_the_next_one(autojump_clock: MockClock) -> None:
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        edit = commands.Edit(room=TEA, user="ann", seq=4, body="edited")
        before, after = house.say(*map(str, range(20))), house.say(*map(str, range(20, 50)))
        outcomes = await house.outcomes(*before, edit, *after, *house.say("reply", reply_to=26))
        assert [outcome.seq for outcome in outcomes if isinstance(outcome, Done)] == list(range(3, 55))
        assert batches(house) == [20, 31, 1]


async def test_a_command_that_names_what_is_not_there_cuts_nothing(autojump_clock: MockClock) -> None:
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        replies = house.say(*["reply"] * 10, reply_to=1_000)
        outcomes = await house.outcomes(*house.say("one"), *replies, *house.say("two"))
        assert [type(outcome) for outcome in outcomes] == [Done, *[Denied] * 10, Done]
        assert batches(house) == [2]


@pytest.mark.parametrize("key", [None, "k" * 64, "\U0001f600" * 64])
@pytest.mark.parametrize("body", ["", "a", "\u20ac" * 9, "x" * 200, "y" * 70_000, "\U0001f600" * 70_000])
@pytest.mark.parametrize("mentions", [None, ["u" * 64] * 20, ["ann"]])
def test_a_message_is_taken_for_what_it_takes_or_a_little_more(
    key: str | None, body: str, mentions: list[str] | None
) -> None:
    names = {"room": f"dm:{'a' * 64}:{'b' * 64}", "sender": "a" * 64}
    large = Message(**names, seq=1 << 53, ts=1 << 62, key=key, body=body, mentions=mentions, reply_to=(1 << 53) - 1)
    size = len(msgspec.msgpack.encode(large))
    assert size <= turn_bounds.most_bytes(large) <= size + turn_bounds.FIELDS + 3 * len(key or "")


@pytest.mark.parametrize("error", [StoreError("no"), StoreError("maybe", unknown=True)], ids=["no", "unknown"])
async def test_mail_beyond_a_turn_that_fails_is_decided(autojump_clock: MockClock, error: StoreError) -> None:
    async with keep_house(shared=True) as house:
        await house.tea("bob")
        house.journal.before = [error]
        outcomes = await house.outcomes(*house.say(*map(str, range(turn_bounds.MOST_FACTS + 5))))
        assert [type(outcome) for outcome in outcomes] == [*[Denied] * turn_bounds.MOST_FACTS, *[Done] * 5]
        assert batches(house) == [5]
