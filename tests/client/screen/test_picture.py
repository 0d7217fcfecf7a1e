"""The whole screen, without a terminal: what stands where."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from gochat.client.errors import Refused
from gochat.client.positions import Reset
from gochat.client.screen.picture import _candidates
from gochat.client.screen.state import STATUS
from gochat.client.screen.width import columns_of
from gochat.client.unsent import Draft
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol.entries import RequestEntry
from tests.client.screen.build import BOB, DAY, NOON, TEA, Shown, contact, group, last, message, page, state


def tea(*messages: Any, columns: int = 79, rows: int = 24, **fields: Any) -> Shown:
    """A screen with the group tea on it."""
    shown = Shown(state(group(last=last(1), **fields), contact(last=last(0))), columns, rows)
    shown.state.timeline(TEA).newest_page(page(list(messages)))
    return shown


def test_a_message_has_its_time_number_and_author() -> None:
    shown = tea(message(1, "hello"), message(2, "hi", sender="ann"))
    assert shown.messages()[-2:] == ["12:00 #1 <bob> hello", "12:00 #2 <ann> hi"]


def test_further_lines_are_indented_so_that_none_passes_for_a_message() -> None:
    shown = tea(message(1, "one\n12:00 #9 <eve> two"))
    assert shown.messages()[-2:] == ["12:00 #1 <bob> one", "      12:00 #9 <eve> two"]


def test_what_else_belongs_to_a_message() -> None:
    shown = tea(
        message(1, "old", edited=NOON),
        message(2, "new", reply_to=1, reactions={"👍": 2}),
        message(3, None, deleted=NOON),
        facts.Member(room=TEA, seq=4, ts=NOON, sender="bob", users=["eve"], change="added"),
        message(5, "?", reply_to=77),
    )
    assert shown.messages()[-8:] == [
        "12:00 #1 <bob> old (edited)",
        "      > #1 bob: old",
        "12:00 #2 <bob> new",
        "      👍 2",
        "12:00 #3 <bob> (deleted)",
        "12:00 -!- bob added eve",
        "      > #77",
        "12:00 #5 <bob> ?",
    ]


def test_days_and_the_first_new_message_have_a_line() -> None:
    shown = Shown(state(contact(last=last(9)), group(head=3, read=1, unread=2)))
    shown.state.open(TEA)
    shown.state.timeline(TEA).newest_page(page([message(1), message(2), message(3, ts=NOON + DAY)]))
    told = shown.messages()[-6:]
    assert told[0].startswith("── Sunday, 01 March 2026 ─")
    assert told[2].startswith("── new ─")
    assert told[4].startswith("── Monday, 02 March 2026 ─")
    assert told[5].endswith("#3 <bob> text")


def test_the_list_has_numbers_presence_and_what_is_new() -> None:
    shown = Shown(
        state(
            contact(last=last(9), online=True),
            group(last=last(8), unread=12, head=12),
            requests=[RequestEntry(user="eve", name="eve", room="dm:ann:eve", head=1, last=last(7))],
        )
    )
    shown.state.watched = frozenset({"bob"})
    shown.state.open(STATUS)
    shown.state.take(message(13, "@ann"), 0.0)
    side = [line[:19] for line in shown.lines()[1:5]]
    assert side == [" 1  gochat         ", " 2  eve          ? ", " 3 *bob            ", " 4 #tea        @13 "]
    assert "Act: 4@,2?" in shown.lines()[-2]


def test_a_narrow_screen_has_no_list_and_a_wide_one_a_wider_one() -> None:
    assert tea(columns=63).picture().side == 0
    assert tea(columns=64).picture().side == 19
    assert tea(columns=119).picture().side == 26


def test_the_title_says_where_one_is() -> None:
    shown = tea(message(1), title="Green\x1b[31m tea")
    shown.state.names[TEA] = ["ann", "bob"]
    assert shown.lines()[0] == " group:tea · Green\\x1b[31m tea · 2 members"
    shown.state.open(BOB)
    shown.state.watched = frozenset({"bob"})
    assert shown.lines()[0] == " user:bob · offline"


def test_the_bar_tells_typing_waiting_and_the_connection() -> None:
    shown = tea(message(1))
    shown.state.take(replies.Typing(room=TEA, sender="bob"), 0.0)
    assert shown.lines()[-2] == " ann · bob is typing"
    shown.state.take(replies.Typing(room=TEA, sender="eve"), 0.0)
    assert shown.lines()[-2].endswith("bob and eve are typing")
    shown.state.take(replies.Typing(room=TEA, sender="zoe"), 0.0)
    assert shown.lines()[-2].endswith("several people are typing")
    shown.state.offline = "the network is down"
    shown.drafts = [Draft(1, TEA, "later", None, None)]
    assert "1 waiting · no connection, trying again: the network is down" in shown.lines()[-2]
    shown.composer.set("x" * 4_001)
    shown.columns = 119
    assert any("4,001 of 4,000 characters" in line for line in shown.lines())


def test_unsent_messages_stand_at_the_end_with_what_they_wait_for() -> None:
    shown = tea(message(1))
    error = replies.Error(code="forbidden", message="no", temporary=False, rule="group.muted")
    refused = Draft(1, TEA, "refused", None, None)
    refused.refused = Refused(error)
    shown.drafts = [refused, Draft(2, TEA, "first", None, None), Draft(3, TEA, "second", None, 1)]
    shown.drafts.append(Draft(4, "user:bob", "elsewhere", None, None))
    assert " ".join(line.strip() for line in shown.messages()[-4:]) == (
        "<ann> refused [not sent: you are muted in this group (forbidden); /retry 1 or /drop 1]"
        " <ann> first [sending] <ann> (new text of #1) second [waits]"
    )


def test_receipts() -> None:
    shown = tea(message(1, sender="ann"), message(2, sender="ann"))
    shown.state.take(replies.Read(room=TEA, sender="bob", seq=1), 0.0)
    assert shown.messages()[-1].endswith("<ann> text")
    for user in ("bob", "eve"):
        shown.state.take(replies.Read(room=TEA, sender=user, seq=2), 0.0)
    assert shown.messages()[-1].endswith("<ann> text [read by bob, eve]")
    for number in range(4):
        shown.state.take(replies.Read(room=TEA, sender=f"u{number}", seq=2), 0.0)
    assert shown.messages()[-1].endswith("[read by 6 users]")


def test_receipts_of_before_and_of_devices() -> None:
    entry = contact(head=2, reads={"bob": 1}, got={"bob": 1}, last=last(2))
    shown = Shown(state(entry, to="user:bob"))
    timeline = shown.state.timeline(BOB)
    timeline.newest_page(page([message(1, sender="ann", room=BOB)], room=BOB))
    assert shown.messages()[-1].endswith("[read]"), "as the list told it"
    timeline.take(message(2, sender="ann", room=BOB))
    assert shown.messages()[-1].endswith("<ann> text")
    shown.state.take(replies.Got(room=BOB, got={"bob": 2, "ann": 2}), 0.0)
    assert shown.messages()[-1].endswith("<ann> text [received]")
    shown.state.take(replies.Read(room=BOB, sender="bob", seq=2), 0.0)
    assert shown.messages()[-1].endswith("<ann> text [read]")
    shown.state.take(Reset(room=BOB, epoch="f", head=2), 0.0)
    assert shown.state.receivers(BOB, 1) == []
    group = tea(message(1, sender="ann"))
    group.state.receipts(TEA, {}, {"bob": 1, "eve": 1})
    assert group.messages()[-1].endswith("[received by bob, eve]")


def test_a_search_in_the_history_shows_what_is_looked_for() -> None:
    shown = tea()
    for typed in ("first", "second"):
        shown.composer.set(typed)
        shown.composer.take()
    shown.composer.search_history()
    shown.composer.search_for("ir")
    assert shown.lines()[-1] == "[typed before: ir] first"
    assert shown.picture().cursor == (len("[typed before: ir] f"), 23)
    shown.composer.search_for("x")
    assert shown.lines()[-1] == "[nothing has: irx] first"


# ---------------------------------------------------------------------------------------------- scrolling


def numbers(shown: Shown) -> list[int]:
    return [int(line.split("#")[1].split()[0]) for line in shown.messages() if "#" in line]


def test_what_is_read_stays_where_it_is_while_messages_arrive_below_and_pages_above() -> None:
    shown = tea(*(message(seq) for seq in range(101, 201)))
    assert numbers(shown)[-1] == 200
    shown.viewport.scroll(30)
    before = shown.messages()
    assert not shown.viewport.follows
    shown.state.take(message(201), 0.0)
    assert shown.messages() == before
    assert "1 new below" in shown.lines()[-2]
    shown.state.timeline(TEA).older_page(page([message(seq) for seq in range(1, 101)], head=201), 101)
    assert shown.messages() == before
    shown.viewport.scroll(-31)
    assert shown.viewport.follows
    assert numbers(shown)[-1] == 201


def test_the_page_before_is_wanted_in_time_and_the_beginning_stays_at_the_top() -> None:
    shown = tea(*(message(seq) for seq in range(1, 101)))
    shown.picture()
    assert not shown.viewport.wants_older
    shown.viewport.scroll(60)
    shown.picture()
    assert shown.viewport.wants_older
    for _ in range(10):
        shown.viewport.scroll(shown.viewport.page())
        shown.picture()
    assert numbers(shown)[0] == 1
    assert shown.messages()[0].startswith("── Sunday")


def test_the_first_new_message_is_gone_to() -> None:
    shown = Shown(state(contact(last=last(9)), group(head=100, read=40, unread=60)))
    shown.state.open(TEA)
    shown.state.timeline(TEA).newest_page(page([message(seq) for seq in range(31, 101)]))
    shown.picture()
    shown.viewport.to_first_new()
    told = shown.messages()
    assert told[0].startswith("── new ─")
    assert "#41 " in told[1]
    shown.state.open(BOB)
    shown.viewport.to_first_new()  # nothing was new there
    assert shown.viewport.follows


def test_a_long_message_is_scrolled_through_row_by_row() -> None:
    shown = tea(message(1, "\n".join(map(str, range(100)))), message(2))
    shown.viewport.scroll(10)
    assert shown.messages()[-1].strip() == "90"
    shown.viewport.scroll(1)
    assert shown.messages()[-1].strip() == "89"


def test_messages_are_marked_from_the_latest_up() -> None:
    shown = tea(*(message(seq) for seq in range(1, 101)))
    shown.picture()
    shown.viewport.select(-1)
    assert shown.viewport.selected == 100
    for _ in range(70):
        shown.viewport.select(-1)
    assert shown.viewport.selected == 30
    assert 30 in numbers(shown)
    assert shown.lines()[-1] == "[tea, to #30]"
    for _ in range(71):
        shown.viewport.select(1)
    assert shown.viewport.selected is None
    assert shown.viewport.follows


# ---------------------------------------------------------------------------------------------- the input


def test_the_cursor_stands_where_one_types() -> None:
    shown = tea(message(1))
    shown.composer.set("hello 你", 6)
    made = shown.picture()
    assert shown.lines()[-1] == "[tea] hello 你"
    assert made.cursor == (12, 23)
    shown.composer.set("x" * 200)
    made = shown.picture()
    assert made.cursor == (6 + 200 - 2 * 72, 23)
    shown.composer.set("one\ntwo\n")
    assert shown.lines()[-3:] == ["[tea] one", "      two", ""]
    assert shown.picture().cursor == (6, 23)


def test_a_long_input_scrolls_with_its_cursor() -> None:
    shown = tea(message(1))
    shown.composer.set("\n".join(map(str, range(30))))
    assert [line.strip() for line in shown.lines()[-6:]] == ["24", "25", "26", "27", "28", "29"]
    shown.composer.set(shown.composer.text, 0)
    assert shown.lines()[-6] == "[tea] 0"
    assert shown.picture().cursor == (6, 18)


def test_every_picture_fits_whatever_is_said_and_however_small_it_is() -> None:
    dice = random.Random(3)
    alphabet = "ab \n你é👍🏽👩‍🚀❤️שلا\x1b\u202e\u2067ก\tं"
    shown = tea(title="你好 " * 50)
    for seq in range(1, 60):
        body = "".join(dice.choices(alphabet, k=dice.choice((1, 30, 300))))
        shown.state.take(message(seq, body, reply_to=seq - 1 or None), 0.0)
    for columns in (1, 20, 21, 40, 63, 64, 79, 119, 250):
        for rows in (1, 4, 5, 8, 24, 60):
            shown.columns, shown.rows = columns, rows
            shown.composer.set("".join(dice.choices(alphabet, k=90)))
            shown.viewport.scroll(dice.randrange(-40, 40))
            made = shown.picture()
            assert len(made.rows) == rows
            for row in made.rows:
                assert sum(columns_of(each) for _, each in row) <= columns
            if made.cursor is not None:
                assert 0 <= made.cursor[0] <= columns
                assert 0 <= made.cursor[1] < rows


@pytest.mark.parametrize("count", [100])
def test_a_list_longer_than_the_screen_shows_where_one_is(count: int) -> None:
    shown = Shown(state(*(group(f"group:g{number:02}", last=last(count - number)) for number in range(count))))
    shown.state.open("group:g70")
    side = [line[:8].strip() for line in shown.lines()[1:-2]]
    assert "72 #g70" in side


def test_people_are_shown_by_their_names() -> None:
    shown = tea(
        message(1, "hi"),
        facts.Member(room=TEA, seq=2, ts=NOON, sender="bob", users=["eve"], change="added"),
        message(3, "?", sender="ann", reply_to=1),
        message(4, "@eve, not @bob nor eve@eve.eve", mentions=["eve"]),
        message(5, "yes", sender="eve", reply_to=4),
        title="Tea",
    )
    assert shown.messages()[-1] == "12:00 #5 <eve> yes", "until the name is known"
    shown.state.shown.learn({"bob": "Bob \u202eMiller", "eve": "Eve"})
    shown.state.take(replies.Read(room=TEA, sender="bob", seq=3), 0.0)
    shown.state.take(replies.Typing(room=TEA, sender="eve"), 0.0)
    assert shown.messages()[-7:] == [
        "12:00 #1 <Bob \\u202eMiller> hi",
        "12:00 -!- Bob \\u202eMiller added Eve",
        "      > #1 Bob \\u202eMiller: hi",
        "12:00 #3 <ann> ? [read by Bob \\u202eMiller]",
        "12:00 #4 <Bob \\u202eMiller> @Eve, not @bob nor eve@eve.eve",
        "      > #4 Bob \\u202eMiller: @Eve, not @bob nor eve@eve.eve",
        "12:00 #5 <Eve> yes",
    ]
    assert "Eve is typing" in shown.lines()[-2]


def styles(shown: Shown, word: str) -> set[str | None]:
    """The styles in which the list of rooms has the row with this word."""
    side = [row[:3] if row[0][0] != "current" else row[:1] for row in shown.picture().rows[1:-2]]
    (found,) = [row for row in side if any(word in text for _, text in row)]
    return {style for style, _ in found}


def test_the_list_shows_where_one_is_and_where_somebody_calls() -> None:
    here = state(group(last=last(5)), group("group:oak", last=last(4)), contact(last=last(9), unread=1), to="group:oak")
    shown = Shown(here, columns=100)
    here.take(message(1, "ann: look"), 0.0)
    assert styles(shown, "oak") == {"current"}
    assert "alert" in styles(shown, "tea")
    assert "unread" in styles(shown, "bob")
    here.open(TEA)
    assert styles(shown, "tea") == {"current"}
    assert not styles(shown, "oak") & {"current", "alert", "unread"}


@pytest.mark.parametrize("chosen", [0, 4, 9])
def test_the_candidate_that_was_chosen_stands_in_brackets_among_the_others(chosen: int) -> None:
    words = [f"user{number}" for number in range(10)]
    completion: Any = SimpleNamespace(candidates=[f"{word} " for word in words], index=chosen)
    line = _candidates(completion, 48)
    assert f" [user{chosen}]" in line and line.count("[") == 1
    before = line[: line.index("[")].split()
    assert before == words[chosen - len(before) : chosen] and columns_of(line[: line.index("]")]) <= 24
    assert len(before) == min(chosen, 2), "as many as have room in the left half"


def test_a_marked_message_is_brought_into_sight_and_no_further() -> None:
    here = state(group(last=last(5)))
    here.timeline(TEA).newest_page(page([message(seq, f"no. {seq}") for seq in range(1, 61)]))
    shown = Shown(here)
    before = shown.messages()
    shown.viewport.select(-1)
    shown.viewport.select(-1)
    assert shown.viewport.selected == 59
    assert [line for line in shown.messages() if "no. 60" in line], "it was in sight: nothing is scrolled"
    for _ in range(40):
        shown.viewport.select(-1)
    lines = shown.messages()
    (row,) = [row for row, line in enumerate(lines) if "no. 19" in line]
    assert row < len(lines) - 1 and len(lines) == len(before)


def test_no_row_outlives_its_message() -> None:
    """Rows are kept between pictures: neither a log that was rolled back nor one that is fetched anew may show the rows
    of entries that are gone."""
    shown = tea()
    for attempt in range(10):
        shown.state.take(Reset(room=TEA, epoch=f"e{attempt}", head=0), 0.0)
        shown.messages()
        shown.state.timeline(TEA).newest_page(page([message(seq, f"log {attempt}") for seq in range(1, 21)]))
        assert shown.messages()[-20:] == [f"12:00 #{seq} <bob> log {attempt}" for seq in range(1, 21)]
    shown.state.close(TEA)
    shown.state.open(TEA)
    shown.messages()
    shown.state.timeline(TEA).newest_page(page([message(seq, None, deleted=NOON) for seq in range(1, 21)]))
    assert shown.messages()[-20:] == [f"12:00 #{seq} <bob> (deleted)" for seq in range(1, 21)]


def test_a_quoted_message_is_told_as_deleted_once_it_is_here() -> None:
    shown = tea(message(5), message(6, "?", reply_to=4), rows=10)
    assert shown.messages()[-2] == "      > #4"
    older = [*(message(seq) for seq in range(1, 4)), message(4, None, deleted=NOON)]
    shown.state.timeline(TEA).older_page(page(older, head=6), 5)
    assert shown.messages()[-2] == "      > #4 bob: (deleted)"


def test_no_name_of_a_room_or_user_reaches_the_terminal_as_a_control() -> None:
    hostile = "x\x1b[2Jy\u202e"
    here = state(
        group(f"group:{hostile}", title=hostile, last=last(5)),
        requests=[RequestEntry(user=hostile, name=hostile, room=f"dm:ann:{hostile}", head=1, last=last(7))],
        user="ann",
    )
    shown = Shown(here, columns=100)
    for room in list(here.order):
        here.open(room)
        assert all(line.isprintable() for line in shown.lines()), room
