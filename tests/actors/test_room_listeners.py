"""A room delivers: each session hears what happened while it was in the room, and a slow one costs no other."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from gochat.actors import deliveries
from gochat.actors.fact_batch import FactBatch
from gochat.actors.foreign import hear_event
from gochat.actors.live import SLICE
from gochat.actors.read_receipts import EVERY_S
from gochat.actors.typing_events import TYPING_EVERY_S
from gochat.domain import commands, facts
from gochat.domain.facts import PostRight
from gochat.domain.receipts import SMALL_ROOM
from gochat.domain.turn import Done
from gochat.protocol.replies import Read, Typing
from tests.actors.house import TEA, House, Recorder, keep_house, run
from tests.waiting import until

DM = "dm:ann:bob"


async def test_a_full_session_lags_and_costs_nobody_else(house: House, autojump_clock: MockClock) -> None:
    ann, bob = Recorder(house, "ann"), Recorder(house, "bob")
    ann.full = True
    await house.outcomes(*house.say("one", "two", room=DM))
    assert (ann.lags, ann.pushes) == ([(DM, 2)], [])
    assert bob.seqs == [1, 2]


async def test_only_what_a_session_was_handed_counts_as_delivered(house: House, autojump_clock: MockClock) -> None:
    class Broken(Recorder):
        def try_send(self, data: bytes) -> bool:
            raise RuntimeError("a bug")

    sessions = [Recorder(house, "ann"), Recorder(house, "ann"), Recorder(house, "bob"), Broken(house, "bob")]
    sessions[0].full = sessions[1].catching_up = True
    await house.outcomes(*house.say("one", "two", "three", room=DM))
    assert [len(session.seqs) for session in sessions] == [0, 0, 3, 0]
    assert house.live.counts.deliveries == 3
    assert (house.live.counts.turns, house.live.counts.commands) == (1, 3)


async def test_a_session_that_crashes_is_aborted_and_costs_nobody_else(house: House, autojump_clock: MockClock) -> None:
    class Broken(Recorder):
        def try_send(self, data: bytes) -> bool:
            raise RuntimeError("a bug")

    broken, bob = Broken(house, "ann"), Recorder(house, "bob")
    await house.outcomes(*house.say("one", room=DM))
    assert broken.aborted
    assert bob.seqs == [1]


async def test_reads_and_typing_are_told_softly(house: House, autojump_clock: MockClock) -> None:
    ann, bob, cat = (Recorder(house, user) for user in ("ann", "bob", "cat"))
    await house.tea("bob")
    await house.outcomes(*house.say("one"))
    await house.outcomes(
        commands.Read(room=TEA, user="bob", seq=99),
        commands.Read(room=TEA, user="bob", seq=1),
        commands.Typing(room=TEA, user="bob"),
        commands.Typing(room=TEA, user="bob"),
        commands.Read(room=TEA, user="zoe", seq=1),
    )
    assert ann.told == [Read(room=TEA, sender="bob", seq=3), Typing(room=TEA, sender="bob")]
    assert bob.told == ann.told[:1], "typing is not told to who types"
    assert cat.told == []
    (entry,) = (await house.archive.welcome("bob", 15, [])).rooms
    assert entry.read == 3


@pytest.mark.parametrize("post", ["members", "moderators", "owner"])
async def test_typing_of_members_who_may_not_write_is_told_to_nobody(
    house: House, autojump_clock: MockClock, post: PostRight
) -> None:
    ann = Recorder(house, "ann")
    await house.tea("bob", "mod", "dan")
    await house.outcomes(
        commands.SetRole(room=TEA, user="ann", member="mod", role="moderator"),
        commands.Configure(room=TEA, user="ann", post=post),
        commands.Mute(room=TEA, user="ann", member="dan"),
    )
    ann.soft.clear()
    users = ("bob", "mod", "dan", "ann")
    await house.outcomes(*(commands.Typing(room=TEA, user=user) for user in users))
    told = [event.sender for event in ann.told]
    wrote = await house.outcomes(*(say for user in users for say in house.say("x", user=user)))
    may = [user for user, outcome in zip(users, wrote, strict=True) if isinstance(outcome, Done)]
    assert told == [user for user in may if user != "ann"]
    ann.soft.clear()
    await trio.sleep(TYPING_EVERY_S)
    for user in users:
        hear_event(house.rooms, house.live, commands.Typing(room=TEA, user=user), False)
    await house.settled()
    assert [event.sender for event in ann.told] == told, "nor where another node has let it pass"


async def test_what_was_there_when_a_member_came_is_not_told_as_read(house: House, autojump_clock: MockClock) -> None:
    await house.tea("bob")
    await house.outcomes(*house.say("one"), commands.Add(room=TEA, user="ann", users=("cat",)))
    ann, cat = Recorder(house, "ann"), Recorder(house, "cat")
    house.live.enter(TEA, ann)
    house.live.enter(TEA, cat, 4)
    await house.outcomes(commands.Read(room=TEA, user="cat", seq=3), commands.Read(room=TEA, user="cat", seq=4))
    assert ann.told == [], "as lists tell nothing of it"
    assert cat.told == [Read(room=TEA, sender="cat", seq=4)]
    await trio.sleep(EVERY_S)
    await house.outcomes(*house.say("two"), commands.Read(room=TEA, user="cat", seq=5))
    assert ann.told == [Read(room=TEA, sender="cat", seq=5)]


async def test_in_a_large_room_reads_are_told_to_the_reader_alone(house: House, autojump_clock: MockClock) -> None:
    await house.tea("bob", *(f"u{n}" for n in range(SMALL_ROOM)))
    ann, bob, other = (Recorder(house, user) for user in ("ann", "bob", "bob"))
    for session in (ann, bob, other):
        house.live.enter(TEA, session)
    await house.outcomes(commands.Read(room=TEA, user="bob", seq=1), commands.Typing(room=TEA, user="bob"))
    assert (ann.told, bob.told, other.told) == ([], *[[Read(room=TEA, sender="bob", seq=1)]] * 2)


async def test_a_large_delivery_is_cut_and_the_next_batch_comes_after_it(
    house: House, autojump_clock: MockClock
) -> None:
    await house.tea("bob")
    sessions = [Recorder(house, "bob") for _ in range(3 * SLICE)]
    for session in sessions:
        house.live.enter(TEA, session)
    asked = house.ask(*house.say("one"))
    await until(lambda: asked[0].outcome is not None)
    reached: list[int] = []
    for tick in range(20):
        reached.append(sum(bool(session.pushes) for session in sessions))
        house.ask(*house.say(f"more {tick}"))
        await trio.lowlevel.checkpoint()
    assert any(0 < count < len(sessions) for count in reached), "others have their turn between the slices"
    await house.settled()
    assert all(session.seqs == list(range(3, 24)) for session in sessions)


@pytest.mark.parametrize("by_task", [False, True])
async def test_writers_do_not_run_ahead_of_what_is_delivered(
    small_house: House, autojump_clock: MockClock, *, by_task: bool
) -> None:
    """However long a delivery takes, so many batches more are recorded meanwhile; all that comes after is the next."""
    house = small_house
    await house.tea("bob")
    sessions = [Recorder(house, "bob") for _ in range(60)]
    for session in sessions:
        house.live.enter(TEA, session)
    asked: list[Any] = []
    most = 0
    for number in range(100):
        # A read is decided by the room's own task.
        asked += house.ask(*house.say(f"{number}"), *([commands.Read(room=TEA, user="bob", seq=1)] if by_task else []))
        await trio.lowlevel.checkpoint()
        most = max(most, *(len(session.offers) for session in sessions))
    assert 1 < most <= deliveries.MOST
    await house.settled()
    assert all(session.seqs == list(range(3, 103)) for session in sessions)
    assert all(each.outcome is not None for each in asked)


async def test_a_large_room_whose_listeners_stand_in_line_already_is_bounded_too(
    small_house: House, autojump_clock: MockClock
) -> None:
    house, others = small_house, [f"group:others{number}" for number in range(3)]
    await house.tea("bob")
    sessions = [Recorder(house, "bob") for _ in range(60)]
    for number, other in enumerate(others):
        await house.outcomes(commands.Create(room=other, user="ann", users=("bob",)))
        for session in sessions[number * 20 : number * 20 + 9]:  # Few enough for the short line.
            house.live.enter(other, session)
    for session in sessions:
        if session in {other: None for room in others for other in house.live.groups[room]}:
            house.live.enter(TEA, session)
    most = 0
    for number in range(100):
        for room in (TEA, *others):
            house.ask(*house.say(f"{number}", room=room))
        await trio.lowlevel.checkpoint()
        most = max(most, *(sum(b"group:tea" in data for data in session.offers) for session in sessions))
    assert 1 < most <= deliveries.MOST
    await house.settled()


async def test_much_is_on_its_way_in_bytes_too(small_house: House, autojump_clock: MockClock) -> None:
    house = small_house
    await house.tea("bob")
    sessions = [Recorder(house, "bob") for _ in range(60)]
    for session in sessions:
        house.live.enter(TEA, session)
    most = 0
    for number in range(40):
        house.ask(*house.say(f"{number}" + "x" * (deliveries.MOST_BYTES // 3)))
        await trio.lowlevel.checkpoint()
        most = max(most, *(len(session.offers) for session in sessions))
    assert 3 <= most < deliveries.MOST
    await house.settled()
    assert all(session.seqs == list(range(3, 43)) for session in sessions)


async def test_what_few_say_is_sent_at_once_to_who_does_not_stand_in_line(
    house: House, autojump_clock: MockClock
) -> None:
    await house.tea("bob")
    waiting, free = Recorder(house, "bob"), Recorder(house, "bob")
    for session in (waiting, free):
        house.live.enter(TEA, session)
    house.live.broadcaster.short.add(waiting)
    asked = house.ask(*house.say("one"))
    await until(lambda: asked[0].outcome is not None)
    assert (free.seqs, waiting.seqs, len(waiting.offers)) in (([3], [], 1), ([3], [3], 0))
    assert ("push", free) in house.events
    await house.settled()
    assert waiting.seqs == [3]


async def test_a_delivery_that_crashes_too_often_is_given_up_and_the_room_goes_on(
    small_house: House, autojump_clock: MockClock
) -> None:
    """Whoever listens learns how far the log goes, and the writers do not wait for ever."""

    class Faulty(Recorder):
        def entered(self, fact_batch: FactBatch) -> None:
            raise RuntimeError("a fault of the session's")

    house = small_house
    await house.tea("bob")
    sessions = [Recorder(house, "bob") for _ in range(12)]
    for session in sessions:
        house.live.enter(TEA, session)
    Faulty(house, "cat")
    await house.outcomes(commands.Add(room=TEA, user="ann", users=("cat",)))
    await trio.sleep(60)
    assert [session.lags for session in sessions] == [[(TEA, 3)]] * len(sessions)
    for body in ("one", "two", "three"):
        await house.outcomes(*house.say(body))
    await house.settled()
    assert all(session.seqs == [4, 5, 6] for session in sessions)


async def test_who_goes_while_a_delivery_is_under_way_is_not_reached(
    small_house: House, autojump_clock: MockClock
) -> None:
    house = small_house
    await house.tea("bob")
    sessions = [Recorder(house, "bob") for _ in range(60)]
    for session in sessions:
        house.live.enter(TEA, session)
    house.ask(*house.say("one"))
    await until(lambda: sessions[0].offers or sessions[0].pushes)
    last = sessions[-1]
    assert not last.offers
    house.live.leave(TEA, last)
    await house.settled()
    assert last.pushes == []
    assert all(session.seqs == [3] for session in sessions[:-1])


async def test_a_delivery_that_is_under_way_keeps_the_room_awake(house: House, autojump_clock: MockClock) -> None:
    await house.tea("bob")
    for _ in range(3 * SLICE):
        house.live.enter(TEA, Recorder(house, "bob"))
    (asked,) = house.ask(*house.say("one"))
    await until(lambda: asked.outcome is not None)
    assert house.rooms.passivate_idle(trio.current_time() + 1000) == 0
    await house.settled()
    assert house.rooms.passivate_idle(trio.current_time() + 1000) == 1


# ---------------------------------------------------------------------------------------------- who hears what

USERS = ["ann", "bob", "cat", "dan"]
BASE: dict[str, Any] = {"room": st.just(TEA), "user": st.sampled_from(USERS)}
SOME = st.lists(st.sampled_from(USERS), min_size=1, max_size=3).map(tuple)
COMMANDS = st.one_of(
    st.builds(commands.Send, **BASE, body=st.just("x")),
    st.builds(commands.Add, room=st.just(TEA), user=st.just("root"), admin=st.just(True), users=SOME),
    st.builds(commands.Remove, room=st.just(TEA), user=st.just("root"), admin=st.just(True), users=SOME),
    st.builds(commands.Leave, **BASE, successor=st.sampled_from(USERS)),
    st.builds(
        commands.SetRole,
        room=st.just(TEA),
        user=st.just("root"),
        admin=st.just(True),
        member=st.sampled_from(USERS),
        role=st.just("owner"),
    ),
    *([st.builds(commands.Close, **BASE)] * 1),
)


def heard(log: list[facts.AnyFact], user: str) -> list[int]:
    """Facts while a member: from the one that added the user to the one that ended it, both told."""
    found, present = [], False
    for fact in log:
        change = fact.change if isinstance(fact, facts.Member) and user in fact.users else None
        present |= change == "added"
        if present:
            found.append(fact.seq)
        if isinstance(fact, facts.Closed) or change in ("removed", "left"):
            present = False
    return found


@settings(max_examples=80)
@given(st.lists(st.lists(COMMANDS, min_size=1, max_size=8), max_size=6), st.booleans())
def test_each_hears_what_happened_while_they_were_in(batches: list[list[commands.AnyCommand]], sliced: bool) -> None:
    async def main() -> None:
        async with keep_house(slice_=1 if sliced else SLICE) as house:
            sessions = [Recorder(house, user) for user in [*USERS, "ann", "bob", "zoe"]]
            await house.tea("bob")
            for number, batch in enumerate(batches):
                house.ask(*batch)
                if number % 2:
                    await house.settled()
                else:
                    await trio.lowlevel.checkpoint()
            await house.settled()
            log = [fact for _, fact in house.journal.log[TEA]]
            for session in sessions:
                assert session.seqs == heard(log, session.user), session.user

    run(main)
