"""A room records before it tells and answers before it delivers; all hear what happened while they were in it."""

from __future__ import annotations

from typing import Any, Never

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.messages import Submit
from gochat.domain import commands
from gochat.domain.limits import TokenBucket
from gochat.domain.turn import Done, Outcome
from gochat.errors import Denied, Full, StoreError
from gochat.protocol.codec import LINE_JSON, WS_JSON, WS_MSGPACK
from gochat.protocol.replies import Contact
from tests.actors.house import KEYS, TEA, Asked, House, Recorder
from tests.waiting import until

DM = "dm:ann:bob"


def seqs(outcomes: list[Any]) -> list[int]:
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes
    return [outcome.seq for outcome in outcomes]


# ---------------------------------------------------------------------------------------------- one turn


async def test_answers_come_before_facts_and_leave_after_them(house: House, autojump_clock: MockClock) -> None:
    ann, bob = Recorder(house, "ann"), Recorder(house, "bob")
    await house.tea("bob")
    asked = house.ask(*house.say("one", "two"))
    await house.settled()
    assert [kind for kind, _ in house.events] == ["settle", "settle", "push", "push"]
    assert seqs([each.outcome for each in asked]) == [3, 4]
    assert [each.flushed for each in asked] == [1, 1]
    assert ann.seqs == [1, 2, 3, 4]
    assert bob.seqs == [2, 3, 4], "from the fact on that added bob"


async def test_a_batch_is_one_append_and_one_push_a_session_encoded_once_a_codec(
    house: House, autojump_clock: MockClock
) -> None:
    sessions = [Recorder(house, "ann", codec) for codec in (LINE_JSON, WS_JSON, WS_MSGPACK) for _ in range(3)]
    await house.outcomes(*house.say("first", room=DM))
    for session in sessions:
        session.pushes.clear()
    await house.outcomes(*house.say(*map(str, range(20)), room=DM))
    commits = [commit for commit, _ in house.journal.log[DM]]
    assert commits == [commits[0]] + [commits[-1]] * 20
    for session in sessions:
        (data,) = session.pushes
        first = next(other for other in sessions if other.codec is session.codec)
        assert data is first.pushes[0], "the same bytes, not equal ones"
    assert len({session.pushes[0] for session in sessions}) == 3


async def test_a_dm_reaches_all_sessions_of_both(house: House, autojump_clock: MockClock) -> None:
    sessions = [Recorder(house, user) for user in ("ann", "ann", "bob", "cat")]
    own = Recorder(house, "dan")
    await house.outcomes(*house.say("hi", room=DM), *house.say("note", user="dan", room="dm:dan:dan"))
    assert [session.seqs for session in sessions] == [[1], [1], [1], []]
    assert own.seqs == [1]


async def test_what_is_refused_is_no_fact_and_stops_nobody(house: House, autojump_clock: MockClock) -> None:
    ann = Recorder(house, "ann")
    await house.tea()
    outcomes = await house.outcomes(*house.say("a"), *house.say("b", user="zoe"), *house.say("c"))
    assert isinstance(outcomes[1], Denied) and outcomes[1].code == "not_found"
    assert seqs([outcomes[0], outcomes[2]]) == [2, 3]
    assert ann.seqs == [1, 2, 3]


async def test_a_refused_repeat_is_answered_with_its_ack(house: House, autojump_clock: MockClock) -> None:
    await house.tea("bob")
    (first,) = await house.outcomes(*house.say("hi", user="bob", key="k"))
    await house.outcomes(commands.Remove(room=TEA, user="ann", users=("bob",)))
    await house.outcomes(*(commands.Send(room=TEA, user="ann", body="x", key=f"k{n}") for n in range(KEYS * 3)))
    repeat, other = await house.outcomes(*house.say("hi", user="bob", key="k"), *house.say("hi", user="bob", key="new"))
    assert isinstance(first, Done) and repeat == Done(first.seq, first.ts, True)
    assert isinstance(other, Denied) and other.code == "not_member"


async def test_a_key_that_the_room_forgot_clashes_and_the_rest_is_decided_again(
    house: House, autojump_clock: MockClock
) -> None:
    ann = Recorder(house, "ann")
    first, *_ = await house.outcomes(*house.say("old", room=DM, key="k"))
    many = [commands.Send(room=DM, user="ann", body="x", key=f"k{n}") for n in range(KEYS * 3)]
    await house.outcomes(*many)
    head = len(many) + 1
    outcomes = await house.outcomes(
        *house.say("new", room=DM, key="n"), *house.say("old", room=DM, key="k"), *house.say("last", room=DM)
    )
    assert isinstance(first, Done)
    assert (outcomes[1], seqs(outcomes)) == (Done(1, first.ts, True), [head + 1, 1, head + 2])
    assert ann.seqs == list(range(1, head + 3)), "no seq is burnt"


async def test_all_rooms_together_keep_few_keys_in_memory(house: House, autojump_clock: MockClock) -> None:
    for number in range(60):
        room = f"dm:ann:b{number:02}"
        await house.outcomes(*(commands.Send(room=room, user="ann", body="x", key=f"k{n}") for n in range(20)))
    assert KEYS <= len(house.keys) <= 2 * KEYS
    (repeat,) = await house.outcomes(commands.Send(room="dm:ann:b00", user="ann", body="x", key="k0"))
    assert isinstance(repeat, Done) and (repeat.seq, repeat.duplicate) == (1, True)


class Broken(Asked):
    """A ticket that fails when it is answered, or when its answer is to leave."""

    def __init__(self, house: House, breaks: str) -> None:
        super().__init__(house)
        self.breaks = breaks

    def reply(self, outcome: Outcome) -> None:
        super().reply(outcome)
        if self.breaks == "settle":
            raise RuntimeError("an answer that can't be built")

    def flush(self) -> None:
        super().flush()
        if self.breaks == "flush":
            raise RuntimeError("an answer that can't leave")


@pytest.mark.parametrize("reads_first", [False, True])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("breaks", ["settle", "flush"])
async def test_one_answer_that_fails_is_its_askers_affair(
    house: House, autojump_clock: MockClock, breaks: str, place: int, reads_first: bool
) -> None:
    await house.tea("bob")
    bob = Recorder(house, "bob")
    house.live.enter(TEA, bob)
    asked = [Asked(house) for _ in range(3)]
    asked[place] = Broken(house, breaks)
    buckets = [TokenBucket(1.0, 10) for _ in asked]
    wanted: list[commands.AnyCommand] = [*house.say("a", "b", "c")]
    if reads_first:
        wanted[1] = commands.Edit(room=TEA, user="ann", seq=1, body="no message: refused")
    for number, (each, command, bucket) in enumerate(zip(asked, wanted, buckets, strict=True)):
        bucket.take(0)
        house.rooms.tell(TEA, Submit(command, each, origin=number, bucket=bucket))
    await house.settled()
    outcomes = [each.outcome for each in asked]
    if reads_first:
        refused = outcomes.pop(1)
        assert isinstance(refused, Denied) and refused.code == "not_found"
        assert buckets[1].full(0), "its token is given back"
    assert seqs(outcomes) == list(range(3, 3 + len(outcomes)))
    assert [each.flushed for each in asked] == [1, 1, 1]
    assert bob.seqs == seqs(outcomes)
    assert seqs(await house.outcomes(*house.say("next"))) == [3 + len(outcomes)]


@pytest.mark.parametrize("reads_first", [False, True])
@pytest.mark.parametrize("room", [DM, TEA])
async def test_a_delivery_that_fails_costs_the_askers_nothing(
    house: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, room: str, reads_first: bool
) -> None:
    await house.tea("bob")
    await house.outcomes(*house.say("first", room=room))
    bob = Recorder(house, "bob")
    house.live.enter(TEA, bob)
    listeners, calls = house.live.listeners, 0

    def broken(*args: Any) -> list[Any]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a delivery's fault")
        return listeners(*args)

    monkeypatch.setattr(house.live, "listeners", broken)
    first = house.rooms.at(room).delivered
    wanted: list[commands.AnyCommand] = [*house.say("a", "b", room=room)]
    if reads_first:
        wanted.append(commands.React(room=room, user="ann", seq=first, emoji="+", on=True))
    asked = house.ask(*wanted)
    await house.settled()
    head = first + len(wanted)
    assert seqs([each.outcome for each in asked]) == list(range(first + 1, head + 1))
    assert [each.flushed for each in asked] == [1] * len(wanted)
    assert bob.lags == [(room, head)], "whoever listens learns how far the log goes"
    assert seqs(await house.outcomes(*house.say("next", room=room))) == [head + 1]
    assert bob.seqs == [head + 1]


# ---------------------------------------------------------------------------------------------- a failing store


async def test_what_the_store_refused_is_unavailable_and_nobody_hears_of_it(
    house: House, autojump_clock: MockClock
) -> None:
    ann = Recorder(house, "ann")
    await house.outcomes(*house.say("one", room=DM))
    house.journal.before.append(StoreError("disk full"))
    (outcome,) = await house.outcomes(*house.say("two", room=DM, key="k"))
    assert isinstance(outcome, Denied) and (outcome.code, outcome.unknown, outcome.temporary) == (
        "unavailable",
        False,
        True,
    )
    assert (ann.seqs, ann.lags) == ([1], [])
    assert seqs(await house.outcomes(*house.say("two", room=DM, key="k"))) == [2]
    assert ann.seqs == [1, 2]


@pytest.mark.parametrize("fails", ["append", "look"])
async def test_a_room_whose_batch_was_not_taken_is_not_loaded_again(
    house: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """A node that is away from its cluster refuses every batch at once, and its clients try again and again."""
    bob, loads = Recorder(house, "bob"), list[str]()
    await house.tea("bob")

    async def count(room: str) -> None:
        loads.append(room)

    def refuse(*_: Any) -> Never:
        raise StoreError("the node has been away from the cluster's log for 30 s")

    house.shared.before_load = count
    with monkeypatch.context() as away:
        away.setattr(*((house.shared, "append") if fails == "append" else (house.store.lookups, "recorded")), refuse)
        sends = house.say("one", key="k", user="ann" if fails == "append" else "zoe")
        for _ in range(3):
            (outcome,) = await house.outcomes(*sends)
            assert isinstance(outcome, Denied) and (outcome.code, outcome.unknown) == ("unavailable", False)
    assert loads == []
    head = house.rooms.at(TEA).delivered
    assert seqs(await house.outcomes(*house.say("one", "two"))) == [head + 1, head + 2]
    assert (bob.seqs[-2:], bob.lags) == ([head + 1, head + 2], [])


@pytest.mark.parametrize("mail_comes", [True, False])
async def test_what_was_recorded_all_the_same_makes_listeners_lag(
    house: House, autojump_clock: MockClock, mail_comes: bool
) -> None:
    ann, bob, zoe = (Recorder(house, user) for user in ("ann", "bob", "zoe"))
    await house.outcomes(*house.say("one", room=DM))
    house.journal.after.append(StoreError("COMMIT failed", unknown=True))
    asked = house.ask(*house.say("two", room=DM, key="k"))
    await until(lambda: asked[0].outcome is not None)
    denied = asked[0].outcome
    assert isinstance(denied, Denied) and (denied.code, denied.unknown) == ("unavailable", True)
    assert ann.seqs == bob.seqs == [1]
    if mail_comes:
        assert seqs(await house.outcomes(*house.say("two", room=DM, key="k"))) == [2], "the repeat finds it"
    await house.settled()
    assert ann.lags == bob.lags == [(DM, 2)]
    assert zoe.lags == []
    assert seqs(await house.outcomes(*house.say("three", room=DM))) == [3]
    assert ann.seqs == [1, 3], "a session that lags would see to the rest itself"


async def test_a_room_that_was_rebuilt_looks_up_what_a_reply_names(house: House, autojump_clock: MockClock) -> None:
    await house.outcomes(*house.say("one", room=DM))
    house.journal.after.append(StoreError("COMMIT failed", unknown=True))
    house.ask(*house.say("two", room=DM))
    await house.settled()
    assert seqs(await house.outcomes(*house.say("I agree", room=DM, user="bob", reply_to=1))) == [3]


async def test_an_append_that_crashes_is_unknown(house: House, autojump_clock: MockClock) -> None:
    house.journal.after.append(RuntimeError("a bug"))
    (outcome,) = await house.outcomes(*house.say("one", room=DM, key="k"))
    assert isinstance(outcome, Denied) and outcome.unknown
    assert seqs(await house.outcomes(*house.say("one", room=DM, key="k"))) == [1]


async def test_a_full_store_is_busy(house: House, autojump_clock: MockClock) -> None:
    house.journal.before.append(Full("too many wait"))
    (outcome,) = await house.outcomes(*house.say("one", room=DM))
    assert isinstance(outcome, Denied) and outcome.code == "busy" and outcome.retry_after_ms
    assert seqs(await house.outcomes(*house.say("one", room=DM))) == [1]


async def test_a_room_that_rested_goes_on_where_it_was(house: House, autojump_clock: MockClock) -> None:
    await house.outcomes(*house.say("one", room=DM, key="k"))
    assert house.rooms.passivate_idle(trio.current_time()) == 1
    ann = Recorder(house, "ann")
    assert seqs(await house.outcomes(*house.say("again", room=DM, key="k"), *house.say("two", room=DM))) == [1, 2]
    assert (ann.seqs, ann.lags) == ([2], [])


async def test_a_block_that_was_recorded_all_the_same_is_told(house: House, autojump_clock: MockClock) -> None:
    ann, bob = Recorder(house, "ann"), Recorder(house, "bob")
    await house.outcomes(commands.Contact(room=DM, user="ann", action="add"), *house.say("one", room=DM))
    for session in (ann, bob):
        session.soft.clear()
    parted: list[tuple[str, str]] = []
    house.live.watches.part = lambda *two: parted.append(two)  # type: ignore[method-assign]
    house.journal.after.append(StoreError("COMMIT failed", unknown=True))
    (denied,) = await house.outcomes(commands.Contact(room=DM, user="bob", action="block"))
    assert isinstance(denied, Denied) and denied.unknown
    assert bob.told == [Contact(user="ann", state="blocked")]
    assert parted == [("ann", "bob"), ("bob", "ann")]
    assert ann.told == [] and ann.lags == bob.lags == []


async def test_a_recorded_batch_that_can_not_be_taken_is_unknown_and_the_room_goes_on(
    house: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Recorder(house, "ann")
    await house.outcomes(*house.say("one", room=DM))

    def crashes(keys: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(type(house.keys), "remember", lambda *_: crashes(_))
        (denied,) = await house.outcomes(*house.say("two", room=DM, key="k"))
    assert isinstance(denied, Denied) and (denied.code, denied.unknown) == ("unavailable", True)
    assert ann.lags == [(DM, 2)]
    assert seqs(await house.outcomes(*house.say("two", room=DM, key="k"), *house.say("three", room=DM))) == [2, 3]
