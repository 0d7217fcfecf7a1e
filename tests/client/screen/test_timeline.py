"""Pages and events in one list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.client.screen.timeline import MAX_ENTRIES, Timeline
from gochat.domain import facts
from tests.client.screen.build import NOON, TEA, message, page


def bodies(timeline: Timeline) -> list[str | None]:
    return [entry.fact.body if isinstance(entry.fact, facts.Message) else entry.note for entry in timeline.entries]


def on(kind: type, seq: int, target: int, **fields: Any) -> Any:
    return kind(room=TEA, seq=seq, ts=NOON, sender="bob", target=target, **fields)


def test_events_wait_for_the_first_page_and_none_is_shown_twice() -> None:
    timeline = Timeline()
    timeline.take(message(3, "three"))
    timeline.take(message(4, "four"))
    assert timeline.entries == []
    timeline.newest_page(page([message(1, "one"), message(2, "two"), message(3, "three")]))
    timeline.take(message(4, "four"))
    assert bodies(timeline) == ["one", "two", "three", "four"]
    assert timeline.begins


def test_a_gap_makes_it_stale_until_the_newest_page_is_here() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(1, "one")]))
    timeline.take(message(3, "three"))
    assert not timeline.loaded
    version = timeline.entries[0].version
    timeline.newest_page(page([message(1, "one as it is now"), message(2, "two")]))
    assert timeline.loaded
    assert timeline.entries[0].version == version + 1, "what is drawn is drawn anew"
    assert bodies(timeline) == ["one as it is now", "two", "three"]


def test_after_a_long_gap_only_what_is_dense_stays() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(1, "one")]))
    timeline.forget()
    timeline.newest_page(page([message(50, "fifty")]))
    assert bodies(timeline) == ["fifty"]
    assert not timeline.begins
    timeline.older_page(page([message(1, "one"), *(message(seq, str(seq)) for seq in range(2, 50))], head=50), 50)
    assert timeline.begins
    assert len(timeline.entries) == 50


def test_a_message_is_shown_as_it_is_now() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(1, "one"), message(2, "two")]))
    changes: list[Any] = [
        on(facts.Edit, 3, 1, body="uno"),
        on(facts.Reaction, 4, 1, emoji="👍", on=True),
        on(facts.Reaction, 5, 1, emoji="👍", on=True),
        on(facts.Reaction, 6, 1, emoji="👍", on=False),
        on(facts.Delete, 7, 2),
    ]
    for change in changes:
        versions = [entry.version for entry in timeline.entries]
        timeline.take(change)
        versions[change.target - 1] += 1
        assert [entry.version for entry in timeline.entries] == versions, "what is drawn is drawn anew"
    one, two = timeline.message(1), timeline.message(2)
    assert one is not None and (one.body, one.reactions, one.edited) == ("uno", {"👍": 1}, NOON)
    assert two is not None and two.body is None
    assert len(timeline.entries) == 2
    assert [each.seq for each in timeline.messages()] == [1]


def test_a_change_that_a_page_held_is_not_made_again() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(9)], head=9))
    # The page before it was read later: the reaction, whose event is still to come, is in it.
    timeline.older_page(page([message(1, reactions={"👍": 1})], head=10), 9)
    timeline.take(on(facts.Reaction, 10, 1, emoji="👍", on=True))
    found = timeline.message(1)
    assert found is not None and found.reactions == {"👍": 1}


def test_facts_that_are_not_shown_still_count_as_fetched() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(9)]))
    timeline.older_page(page([on(facts.Edit, seq, 1) for seq in range(3, 9)], head=9), 9)
    assert timeline.lowest == 3


def test_notices_stand_where_they_came() -> None:
    timeline = Timeline()
    timeline.add_note("before all")
    timeline.newest_page(page([message(1, "one")]))
    timeline.add_note("after one")
    timeline.add_note("and this")
    timeline.take(message(2, "two"))
    assert bodies(timeline) == ["before all", "one", "after one", "and this", "two"]
    timeline.clear_notes()
    assert bodies(timeline) == ["one", "two"]


def test_what_is_kept_is_bounded() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(seq) for seq in range(1, MAX_ENTRIES + 2)]))
    timeline.trim()
    assert len(timeline.entries) <= MAX_ENTRIES
    assert not timeline.begins
    first = timeline.entries[0].seq
    assert timeline.lowest == first
    timeline.older_page(page([message(seq) for seq in range(1, first)], head=MAX_ENTRIES + 1), first)
    assert len(timeline.entries) == MAX_ENTRIES + 1
    for number in range(400):
        timeline.add_note(str(number))
    assert len(timeline.entries) < MAX_ENTRIES + 350


CHANGES = [
    (on(facts.Edit, 100, 1, body="new"), "new"),
    (on(facts.Delete, 100, 1), None),
    (on(facts.Reaction, 100, 1, emoji="👍", on=True), "old"),
]


@pytest.mark.parametrize(("change", "body"), CHANGES)
def test_a_change_that_comes_while_its_messages_page_is_read_is_made(change: Any, body: str | None) -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(99)]))
    timeline.take(change)
    # The page was read before the change, and comes after it.
    assert timeline.older_page(page([message(1, "old"), *(message(seq) for seq in range(2, 99))], head=99), 99)
    found = timeline.message(1)
    assert found is not None and found.body == body
    assert found.reactions == ({"👍": 1} if isinstance(change, facts.Reaction) else None)


def test_a_change_waits_for_the_page_that_has_its_message() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(99)]))
    timeline.take(on(facts.Delete, 100, 1))
    assert timeline.older_page(page([message(seq) for seq in range(50, 99)], head=99), 99)
    assert timeline.older_page(page([message(seq) for seq in range(1, 50)], head=99), 50)
    assert timeline.message(1).body is None  # type: ignore[union-attr]


def test_a_page_from_before_changes_that_are_not_known_any_more_is_asked_for_again() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(99)]))
    for seq in range(100, 500):
        timeline.take(on(facts.Delete, seq, seq - 99 if seq < 198 else 1))
    old = [message(seq) for seq in range(1, 99)]
    assert not timeline.older_page(page(old, head=99), 99)
    assert timeline.lowest == 99 and timeline.message(5) is None
    now = [message(seq, None, deleted=NOON) for seq in range(1, 99)]
    assert timeline.older_page(page(now, head=499), 99)
    assert [*timeline.messages()] == [timeline.message(99)]


def test_a_page_that_does_not_connect_any_more_is_not_taken() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(seq) for seq in range(2, MAX_ENTRIES + 3)]))
    timeline.trim()
    assert not timeline.older_page(page([message(1)], head=MAX_ENTRIES + 2), 2)
    assert timeline.message(1) is None
    timeline.forget()
    assert not timeline.older_page(page([message(1, "of another log")]), timeline.lowest)
    timeline.newest_page(page([message(1, "of this log")]))
    assert bodies(timeline) == ["of this log"]


@pytest.mark.parametrize(("change", "body"), CHANGES)
@pytest.mark.parametrize("first", [1, 50])
def test_a_change_in_a_gap_is_made_by_the_page_that_fills_it(change: Any, body: str | None, first: int) -> None:
    """Whether the page has the message itself, or only the fact that changed it; pages tell no texts of edits."""
    timeline = Timeline()
    timeline.newest_page(page([message(1, "old"), *(message(seq) for seq in range(2, 100))]))
    timeline.take(message(102))
    assert not timeline.loaded
    told = on(facts.Edit, 100, 1) if isinstance(change, facts.Edit) else change
    reactions = {"👍": 1} if isinstance(change, facts.Reaction) else None
    now = [message(1, body, reactions=reactions), *(message(seq) for seq in range(2, 100))]
    timeline.newest_page(page([*now[first - 1 :], told, message(101)]))
    if isinstance(change, facts.Edit) and first > 1:
        assert timeline.message(1) is None and timeline.lowest == 50
        timeline.older_page(page(now[: first - 1], head=102), 50)
    found = timeline.message(1)
    assert found is not None and (found.body, found.reactions) == (body, reactions)
    assert timeline.loaded and timeline.message(102) is not None


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_whatever_comes_first_the_end_is_the_same(total: int, size: int, data: st.DataObject) -> None:
    """Pages of any size, fetched at any time between events, make the whole room."""
    everything = [message(seq, str(seq)) for seq in range(1, total + 1)]
    timeline = Timeline()
    fetched_at = data.draw(st.integers(0, total))
    for fact in everything[:fetched_at]:
        timeline.take(fact)
    recorded = data.draw(st.integers(fetched_at, total))
    newest = everything[max(0, recorded - size) : recorded]
    timeline.newest_page(page(newest, head=recorded))
    for fact in everything[fetched_at:]:
        timeline.take(fact)
    if not timeline.loaded:
        timeline.newest_page(page(everything[max(0, total - size) :], head=total))
    while not timeline.begins:
        low = timeline.lowest
        timeline.older_page(page(everything[max(0, low - 1 - size) : low - 1], head=total), low)
    assert bodies(timeline) == [fact.body for fact in everything]


@pytest.mark.parametrize("seq", [0, 7])
def test_a_message_that_is_not_here(seq: int) -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(1)]))
    assert timeline.message(seq) is None


def test_what_waits_for_a_page_goes_with_the_log_that_it_belongs_to() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(1, "one"), message(2, "two")]))
    timeline.take(message(4, "rolled back"))
    timeline.forget()
    timeline.newest_page(page([message(1, "one"), message(2, "two"), message(3, "three")]))
    timeline.take(message(4, "four"))
    assert bodies(timeline) == ["one", "two", "three", "four"]


def test_a_notice_is_not_shown_below_what_comes_after_a_rollback() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(seq) for seq in range(1, 101)]))
    timeline.add_note("from before")
    timeline.forget()
    timeline.add_note("again")
    timeline.newest_page(page([message(1, "one")]))
    timeline.take(message(2, "two"))
    timeline.add_note("new")
    assert bodies(timeline) == ["one", "from before", "again", "two", "new"]


def test_an_edit_tells_whom_it_mentions() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(1, "@bob", mentions=["bob"])]))
    timeline.take(on(facts.Edit, 2, 1, body="@eve", mentions=["eve"]))
    told = timeline.message(1)
    assert told is not None and (told.body, told.mentions) == ("@eve", ["eve"])


def test_reactions_of_a_message_that_is_replayed_count_once() -> None:
    timeline = Timeline()
    timeline.newest_page(page([message(1, "one")]))
    timeline.take(message(2, "two", reactions={"+": 1}))
    timeline.take(on(facts.Reaction, 3, 2, emoji="+", on=True))
    shown = timeline.message(2)
    assert shown is not None and shown.reactions == {"+": 1}


def test_an_edit_without_its_text_has_the_newest_page_fetched() -> None:
    """History tells edits so, and what was missed for long comes from there."""
    timeline = Timeline()
    timeline.newest_page(page([message(1, "old")]))
    timeline.take(on(facts.Edit, 2, 1))
    assert not timeline.loaded
    timeline.newest_page(page([message(1, "new", edited=NOON)], head=2))
    timeline.take(on(facts.Delete, 3, 1))
    timeline.take(on(facts.Edit, 4, 1))
    assert timeline.loaded and bodies(timeline) == [None]
