from __future__ import annotations

from typing import Any

from gochat.client.positions import PAGE, RESUME_WITHIN, Positions, Reset
from gochat.client.wire import Fact, Unknown
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.requests import Position
from tests.client.places import DM, TEA, contact, message, page, room, welcome


def at(head: int) -> Positions:
    positions = Positions()
    positions.resume(65_536)
    positions.welcomed(welcome(room(head)))
    return positions


def asked(positions: Positions) -> Any:
    assert positions.next_behind() == TEA
    request = positions.ask(TEA)
    assert request is not None
    return request


def seqs(result: tuple[list[Fact], Reset | None]) -> list[int]:
    assert result[1] is None
    return [fact.seq for fact in result[0]]


# ---------------------------------------------------------------------------------------------- kept positions


def held(seq: int, epoch: str | None = "e1", *, head: int = 9) -> tuple[Positions, list[Reset]]:
    """The positions after a `welcome` that tells `head`, with the one that an earlier session left."""
    positions = Positions()
    positions.resume(65_536)
    assert positions.hold(TEA, seq, epoch, head, "e1")
    return positions, positions.welcomed(welcome(room(head)))


def test_a_room_goes_on_from_its_kept_position() -> None:
    positions, resets = held(5)
    assert resets == [] and asked(positions) == req.Resume(room=TEA, seq=5, epoch="e1")


def test_a_kept_position_that_is_level_asks_for_nothing() -> None:
    positions, resets = held(9)
    assert resets == [] and not positions.waiting
    assert positions.take(message(10)) and positions.of(TEA) == Position(10, "e1")


def test_a_kept_position_that_does_not_fit_the_list_is_for_the_server_to_judge() -> None:
    """The list may be older than the position, or the log another one."""
    for seq, epoch in ((5, "e0"), (10, "e1")):
        positions, resets = held(seq, epoch)
        assert resets == [] and positions.of(TEA) == Position(seq, epoch)
        question = asked(positions)
        assert question == req.Resume(room=TEA, seq=seq, epoch=epoch)
        positions.answered(question, replies.Ok())
        assert positions.ask(TEA) is None and positions.take(message(seq + 1))


def test_a_kept_position_of_a_room_that_a_list_tells_of_later() -> None:
    positions = at(41)
    assert positions.hold(DM, 3, "e0", 7, "e1")
    positions.found(contact(7))
    assert positions.next_behind() == DM
    assert positions.ask(DM) == req.Resume(room=DM, seq=3, epoch="e0"), "the server says that the log is another one"


def test_a_kept_position_comes_too_late_after_a_live_fact() -> None:
    positions = at(41)
    positions.take(message(7, DM))
    assert not positions.hold(DM, 3, "e1", 7, "e1") and positions.of(DM) == Position(7, None)
    assert positions.of("group:nothing") is None


# ---------------------------------------------------------------------------------------------- live


def test_a_room_begins_after_the_head_of_its_welcome() -> None:
    positions = at(41)
    assert not positions.take(message(41))
    assert positions.take(message(42))


def test_repeats_are_dropped() -> None:
    positions = at(41)
    assert [positions.take(message(seq)) for seq in (42, 42, 43, 42)] == [True, False, True, False]
    assert not positions.waiting


def test_a_page_that_is_older_than_live_facts_rolls_nothing_back() -> None:
    positions = at(41)
    positions.take(message(43))
    resume = asked(positions)
    positions.take(message(44))
    positions.answered(resume, replies.Ok())
    question = positions.ask(TEA)
    assert question == req.History(room=TEA, after=41, limit=PAGE), "it is behind at the same place again"
    assert [positions.take(message(seq)) for seq in (42, 43, 44)] == [True, True, True]
    assert seqs(positions.answered(question, page(43, 42, 43))) == []
    assert positions.ask(TEA) == req.Resume(room=TEA, seq=44, epoch="e1")
    asked_at_the_end = positions.ask(TEA)
    assert isinstance(asked_at_the_end, req.History) and asked_at_the_end.after == 44
    _, reset = positions.answered(asked_at_the_end, page(43))
    assert reset is not None and reset.head == 43, "the log ends before the seq that was asked about"


def test_a_room_that_was_not_listed_begins_with_what_comes_first() -> None:
    positions = at(41)
    assert positions.take(message(7, DM))
    assert not positions.take(message(7, DM))
    assert positions.take(message(8, DM))


def test_a_fact_of_an_unknown_type_counts() -> None:
    positions = at(41)
    assert positions.take(Unknown(type="pin", room=TEA, seq=42, ts=1, sender="bob"))
    assert positions.take(message(43))


def test_a_gap_is_asked_for_and_closed() -> None:
    positions = at(41)
    assert not positions.take(message(44))
    request = asked(positions)
    assert request == req.Resume(room=TEA, seq=41, epoch="e1")
    positions.answered(request, replies.Ok(head=44))
    assert positions.ask(TEA) is None
    assert [positions.take(message(seq)) for seq in (42, 43, 44, 45)] == [True] * 4


def test_a_gap_that_a_resume_does_not_close_is_paged() -> None:
    """Someone who joined late may not see what came before: the log begins for them where the page does."""
    positions = at(10)
    positions.rewind(TEA, 0, None)
    request = asked(positions)
    positions.answered(request, replies.Ok(head=10))
    assert not positions.take(message(8))
    assert positions.next_behind() is None  # still ours
    request = positions.ask(TEA)
    assert request == req.History(room=TEA, after=0, limit=200)
    assert seqs(positions.answered(request, page(10, 8, 9, 10))) == [8, 9, 10]


def test_the_answer_to_a_resume_does_not_hide_a_fact_that_was_passed_over() -> None:
    positions = at(0)
    positions.take(message(8))
    request = asked(positions)
    positions.take(message(9))
    positions.answered(request, replies.Ok(head=9))
    assert positions.ask(TEA) is not None


def test_without_space_a_room_falls_behind_and_nothing_is_lost() -> None:
    positions = at(41)
    assert not positions.take(message(42), full=True)
    assert not positions.take(message(43))
    assert asked(positions) == req.Resume(room=TEA, seq=41, epoch="e1")
    assert positions.take(message(42))


# ---------------------------------------------------------------------------------------------- lag and reset


def test_a_lag_far_from_the_head_is_paged_up_to_it_and_then_resumed() -> None:
    positions = at(0)
    assert positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700)) is None
    request = asked(positions)
    assert request == req.History(room=TEA, after=0, limit=200)
    assert seqs(positions.answered(request, page(700, *range(1, 201)))) == list(range(1, 201))
    request = positions.ask(TEA)
    assert request == req.History(room=TEA, after=200, limit=200)
    positions.answered(request, page(700, *range(201, 460)))
    assert positions.ask(TEA) == req.Resume(room=TEA, seq=459, epoch="e1")
    assert 700 - 459 <= RESUME_WITHIN


def reacted(seq: int, target: int, on: bool = True) -> facts.Reaction:
    return facts.Reaction(room=TEA, seq=seq, ts=seq, sender="bob", target=target, emoji="👍", on=on)


def test_reactions_are_told_by_their_facts_alone() -> None:
    """A page and a replay count them on the message too, as they are now: they would be counted twice."""
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    counted, later = message(1), message(3)
    counted.reactions = later.reactions = {"👍": 1}
    found = page(700)
    found.entries = [counted, reacted(2, 1)]
    facts_of_page, _ = positions.answered(asked(positions), found)
    assert [getattr(fact, "reactions", None) for fact in facts_of_page] == [None, None]
    assert [type(fact) for fact in facts_of_page] == [facts.Message, facts.Reaction]
    assert positions.take(later)
    assert later.reactions is None


def test_a_lag_that_comes_before_the_answer_to_a_resume_counts() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=100))
    request = asked(positions)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=600))
    positions.answered(request, replies.Ok(head=600))
    assert positions.ask(TEA) == req.History(room=TEA, after=0, limit=200)


def test_a_lag_of_a_room_of_which_nothing_is_known_starts_it_anew() -> None:
    positions = at(0)
    reset = positions.lagging(replies.Lag(room=DM, epoch="e1", head=100))
    assert reset == Reset(room=DM, epoch="e1", head=100)
    assert positions.take(message(101, DM))


def test_a_lag_of_another_log_is_a_reset() -> None:
    assert at(5).lagging(replies.Lag(room=TEA, epoch="e2", head=100)) is not None


def test_a_lag_that_a_page_overtook_is_no_reset() -> None:
    """Facts that were handed on would come again."""
    positions = at(5)
    assert positions.lagging(replies.Lag(room=TEA, epoch="e1", head=4)) is None
    # Whether the log is another one all the same, the server says.
    assert asked(positions) == req.Resume(room=TEA, seq=5, epoch="e1")


def test_after_a_reset_facts_go_on_from_the_new_head() -> None:
    positions = at(41)
    assert positions.reset(replies.Reset(room=TEA, epoch="e2", head=30)) == Reset(room=TEA, epoch="e2", head=30)
    assert asked(positions) == req.Resume(room=TEA, seq=30, epoch="e2")
    assert positions.take(message(31))


def test_a_page_of_another_log_is_a_reset() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert positions.answered(asked(positions), page(30, 1, epoch="e2"))[1] == Reset(room=TEA, epoch="e2", head=30)


def test_a_page_of_a_log_that_is_shorter_is_a_reset() -> None:
    positions = at(5)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert positions.answered(asked(positions), page(3))[1] == Reset(room=TEA, epoch="e1", head=3)


def test_where_nothing_may_be_seen_the_room_goes_on_at_its_head() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert seqs(positions.answered(asked(positions), page(700))) == []
    assert positions.ask(TEA) == req.Resume(room=TEA, seq=700, epoch="e1")


def test_an_answer_to_what_was_asked_before_a_rewind_is_stale() -> None:
    positions = at(500)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=900))
    request = asked(positions)
    positions.rewind(TEA, 0, None)
    assert seqs(positions.answered(request, page(900, 501))) == []
    assert positions.take(message(1))


def test_only_the_part_of_an_incomplete_page_that_connects_is_taken() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert seqs(positions.answered(asked(positions), page(700, 1, 2, 7, complete=False))) == [1, 2]
