"""Positions where users come and go, connect anew, or have asked to write."""

from __future__ import annotations

import msgspec

from gochat.client.positions import RESUME_ROOMS, Positions, Reset
from gochat.client.wire import Fact, Page
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.requests import Position
from tests.client.places import DM, TEA, contact, member, message, page, request, room, welcome
from tests.client.test_positions import asked, at, seqs

# ---------------------------------------------------------------------------------------------- coming and going


def test_a_removal_is_the_last_fact_and_an_addition_begins_anew() -> None:
    positions = at(41)
    assert positions.take(member(42, "removed", "bob", "ann"))
    assert positions.resume(65_536) == {}
    assert positions.take(member(57, "added", "ann"))
    assert positions.take(message(58))
    assert not positions.waiting


def test_the_removal_of_others_ends_nothing() -> None:
    positions = at(41)
    assert positions.take(member(42, "removed", "bob"))
    assert positions.resume(65_536) == {TEA: Position(42, "e1")}


def test_a_page_may_hold_the_end_of_one_stay_and_the_beginning_of_the_next() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    entries: list[Fact] = [member(1, "removed", "ann"), member(9, "added", "ann"), message(10)]
    again = Page(room=TEA, epoch="e1", entries=entries, head=10, complete=True)
    assert seqs(positions.answered(asked(positions), again)) == [1, 9, 10]
    assert positions.ask(TEA) == req.Resume(room=TEA, seq=10, epoch="e1")


def test_a_lag_of_a_room_that_was_left_starts_it_anew() -> None:
    positions = at(41)
    positions.take(member(42, "left", "ann"))
    assert positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700)) == Reset(room=TEA, epoch="e1", head=700)


def test_who_may_not_resume_pages_what_is_left_and_then_stops() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=100))
    positions.refused(asked(positions))
    request = positions.ask(TEA)
    assert request == req.History(room=TEA, after=0, limit=200)
    assert seqs(positions.answered(request, page(3, 1, 2, 3))) == [1, 2, 3]
    assert positions.ask(TEA) is None
    assert positions.resume(65_536) == {}


def test_who_may_not_page_either_stops() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=100))
    positions.refused(asked(positions))
    request = positions.ask(TEA)
    assert request is not None
    positions.refused(request)
    assert positions.ask(TEA) is None


# ---------------------------------------------------------------------------------------------- reconnecting


def test_a_named_room_goes_on_by_itself() -> None:
    positions = at(41)
    assert positions.resume(65_536) == {TEA: Position(41, "e1")}
    positions.welcomed(welcome(room(50)))
    assert not positions.waiting
    assert positions.take(message(42))


def test_a_group_that_is_new_begins_at_its_head_and_a_private_room_at_what_was_read() -> None:
    positions = Positions()
    positions.resume(65_536)
    positions.welcomed(welcome())
    positions.resume(65_536)
    positions.welcomed(welcome(room(50), contact(3, read=1)))
    assert positions.next_behind() == DM
    assert positions.ask(DM) == req.Resume(room=DM, seq=1, epoch="e1")
    assert positions.next_behind() is None
    assert positions.take(message(51))


def test_more_rooms_than_hello_may_name_are_resumed_one_by_one() -> None:
    positions = Positions()
    for number in range(RESUME_ROOMS + 50):
        positions.take(message(5, f"group:g{number}"))
    positions.take(message(6, "group:g0"))
    named = positions.resume(10**6)
    assert len(named) == RESUME_ROOMS
    assert {f"group:g{RESUME_ROOMS + 49}", "group:g0"} <= set(named)  # those with the latest facts first
    positions.welcomed(welcome())
    behind = [positions.next_behind() for _ in range(51)]
    assert behind[-1] is None
    assert set(behind[:-1]) == {f"group:g{number}" for number in range(1, 51)}


def test_hello_stays_within_a_frame() -> None:
    positions = Positions()
    for number in range(RESUME_ROOMS):
        name = f"group:{number:0>64}"
        positions.take(message(10**10, name))
        positions.lagging(replies.Lag(room=name, epoch="e" * 32, head=10**10))
    named = positions.resume(65_536)
    assert 100 < len(named) < RESUME_ROOMS
    assert len(msgspec.json.encode(named)) < 50_000


def test_a_room_that_was_not_named_is_compared_with_the_welcome() -> None:
    for head, epoch, expected in ((5, "e1", None), (9, "e1", 5), (3, "e1", 3), (5, "e2", 5)):
        positions = at(5)
        assert positions.resume(0) == {}
        resets = positions.welcomed(welcome(room(head, epoch=epoch)))
        assert bool(resets) is (epoch == "e2" or head < 5)
        room_behind = positions.next_behind()
        if expected is None:
            assert room_behind is None
        else:
            assert positions.ask(TEA) == req.Resume(room=TEA, seq=expected, epoch=epoch)


# ---------------------------------------------------------------------------------------------- requests of strangers


def test_a_request_that_is_accepted_begins_with_what_comes_next() -> None:
    positions = Positions()
    positions.welcomed(welcome(request(3)))
    positions.opened(DM)
    assert not positions.waiting
    assert positions.take(message(4, DM))
    assert not positions.waiting


def test_what_waited_follows_what_was_there_before() -> None:
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    positions.opened(DM)
    assert positions.next_behind() == DM
    asked = positions.ask(DM)
    assert asked == req.Resume(room=DM, seq=5, epoch="e1")
    positions.answered(asked, replies.Ok(head=7))
    assert positions.ask(DM) is None
    assert [positions.take(message(seq, DM)) for seq in (6, 7, 8)] == [True] * 3
    assert not positions.waiting


def test_a_room_that_is_live_before_that_is_known_is_a_gap() -> None:
    """The event `contact` may be lost: the first fact after what waited says the same."""
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    assert not positions.take(message(8, DM))
    assert positions.next_behind() == DM
    assert positions.ask(DM) == req.Resume(room=DM, seq=5, epoch="e1")


def test_a_room_that_waits_is_named_and_not_asked_for() -> None:
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    assert positions.resume(65_536) == {DM: Position(5, "e1")}
    positions.welcomed(welcome(request(7)))
    assert not positions.waiting
    positions.resume(0)  # no space to name it
    positions.welcomed(welcome(request(7)))
    assert not positions.waiting


def test_a_room_that_waits_is_paged_if_asked_for_and_then_goes_on() -> None:
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    positions.rewind(DM, 0, None)
    assert positions.next_behind() == DM
    asked = positions.ask(DM)
    assert isinstance(asked, req.Resume)
    positions.refused(asked)
    asked = positions.ask(DM)
    assert asked == req.History(room=DM, after=0, limit=200)
    assert seqs(positions.answered(asked, page(3, 1, 2, 3, room=DM))) == [1, 2, 3]
    assert positions.ask(DM) is None
    assert positions.resume(65_536) == {DM: Position(3, "e1")}
    assert not positions.take(message(5, DM))  # 4 waited too
    assert positions.next_behind() == DM


def test_an_accept_while_the_past_is_paged_resumes_after_it() -> None:
    """The server may wait for just that: it refused while the room waited."""
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    positions.lagging(replies.Lag(room=DM, epoch="e1", head=7))
    assert positions.next_behind() == DM
    asked = positions.ask(DM)
    assert isinstance(asked, req.Resume)
    positions.refused(asked)
    asked = positions.ask(DM)
    assert isinstance(asked, req.History)
    positions.opened(DM)
    assert seqs(positions.answered(asked, page(7, 6, 7, room=DM))) == [6, 7]
    assert positions.ask(DM) == req.Resume(room=DM, seq=7, epoch="e1")
