"""Rooms, their numbers, what is new, who types and who has read."""

from __future__ import annotations

from typing import Any

import pytest

from gochat.client import Listed, Offline, Online, Reset
from gochat.client.screen.state import MAX_TIMELINES, MAX_TYPING, STATUS, TYPING_S
from gochat.client.screen.timeline import MAX_ENTRIES
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol.entries import ContactState
from tests.client.screen.build import BOB, NOON, TEA, contact, group, last, message, page, state


def member(seq: int, change: str, *users: str) -> facts.Member:
    return facts.Member(room=TEA, seq=seq, ts=NOON, sender="bob", users=list(users), change=change)  # type: ignore[arg-type]


def test_the_latest_talk_is_the_first_room() -> None:
    made = state(group(last=last(5)), contact(last=last(9)), group("group:old", last=last(1)))
    assert made.order == [STATUS, BOB, TEA, "group:old"]
    assert made.current == BOB
    assert state().current == STATUS
    assert state(group(), to="user:bob").current == BOB


def test_a_room_keeps_its_number() -> None:
    made = state(group(last=last(5)), contact(last=last(9)))
    made.take(message(1), 0.0)
    made.take(message(1, room="dm:ann:eve", sender="eve"), 0.0)
    assert made.order == [STATUS, BOB, TEA, "dm:ann:eve"]
    made.take(Listed([], [ContactState(user="zoe", name="zoe", state="contact", room="dm:ann:zoe", head=3)]), 0.0)
    assert made.order[-1] == "dm:ann:zoe"


def test_a_room_that_was_closed_comes_back_when_somebody_writes() -> None:
    made = state(group(last=last(5)), contact(last=last(9)))
    made.close(BOB)
    assert made.order == [STATUS, TEA]
    assert made.current == STATUS
    made.close(STATUS)
    assert STATUS in made.order
    made.take(message(1, room=BOB), 0.0)
    assert made.order == [STATUS, TEA, BOB]


def test_stepping_goes_on_at_the_other_end() -> None:
    made = state(group(last=last(5)), contact(last=last(9)))
    assert made.step(1) == TEA
    assert made.step(-1) == STATUS
    made.open(TEA)
    assert made.step(1) == STATUS
    assert made.last == BOB


def test_what_is_new_is_counted_and_names_are_noticed() -> None:
    made = state(group(last=last(5)), contact(last=last(9)))
    assert made.take(message(1, "ann: look"), 0.0)
    assert not made.take(message(2, "nothing for anne or ann-marie"), 0.0)
    assert not made.take(message(3, "my own, ann", sender="ann"), 0.0)
    assert made.take(message(1, room=BOB), 0.0)
    assert TEA in made.mentioned
    made.take(message(4), 0.0)
    assert made.active() == [TEA]
    made.open(TEA)
    assert made.mentioned == set()
    assert made.active() == [BOB]


@pytest.mark.parametrize(
    ("body", "named"),
    [("ann", True), ("@Ann!", True), ("hi ann?", True), ("annex", False), ("joann", False), ("x.ann", False)],
)
def test_who_is_named(body: str, named: bool) -> None:
    assert state().names_me(message(1, body)) is named


def test_the_first_new_message_is_remembered_when_a_room_is_opened() -> None:
    made = state(group(head=5, read=3, unread=2, last=last(1)), contact(last=last(9)))
    made.open(TEA)
    assert made.unread_from == {TEA: 3}
    made.take(replies.Read(room=TEA, sender="ann", seq=5), 0.0)
    made.open(BOB)
    made.open(TEA)
    assert made.unread_from == {}


def test_typing_goes_stale_and_ends_with_the_message() -> None:
    made = state(group(last=last(5)))
    made.take(replies.Typing(room=TEA, sender="bob"), 10.0)
    made.take(replies.Typing(room=TEA, sender="eve"), 12.0)
    assert made.typists(TEA, 13.0) == ["bob", "eve"]
    assert made.typing_ends(TEA, 13.0) == 10.0 + TYPING_S - 13.0
    made.take(message(1, sender="eve"), 13.0)
    assert made.typists(TEA, 13.0) == ["bob"]
    assert made.typists(TEA, 10.0 + TYPING_S) == []
    assert made.typing_ends(TEA, 10.0 + TYPING_S) is None
    for number in range(100):
        made.take(replies.Typing(room=TEA, sender=f"u{number}"), 20.0)
    assert len(made.typists(TEA, 20.0)) <= MAX_TYPING


def test_users_who_stopped_typing_take_no_place_from_others() -> None:
    made = state(group(last=last(5)))
    for number in range(MAX_TYPING):
        made.take(replies.Typing(room=TEA, sender=f"u{number}"), 10.0)
    made.take(replies.Typing(room=TEA, sender="bob"), 10.0 + TYPING_S)
    assert made.typists(TEA, 10.0 + TYPING_S) == ["bob"]


def test_a_mention_that_was_read_on_another_device_calls_no_longer() -> None:
    made = state(group(last=last(5)), contact(last=last(9)))
    made.take(message(1, "ann: look"), 0.0)
    assert made.mentioned == {TEA}
    made.take(replies.Read(room=TEA, sender="ann", seq=1), 0.0)
    assert not made.mentioned


def test_rooms_that_are_not_looked_at_keep_no_more_than_others() -> None:
    made = state(group(last=last(5)), contact(last=last(9)), to=TEA)
    made.timeline(TEA).newest_page(page([message(1)]))
    made.open(BOB)
    for seq in range(2, 2 * MAX_ENTRIES):
        made.take(message(seq), 0.0)
    assert len(made.timeline(TEA).entries) <= MAX_ENTRIES
    assert made.timeline(TEA).head == 2 * MAX_ENTRIES - 1
    made.take(Reset(room="group:other", epoch="f", head=0), 0.0)
    made.take(message(1, room="group:other"), 0.0)
    assert not made.timeline("group:other")._early, "nobody has looked there: the page will have it"


def test_readers_are_those_who_got_there() -> None:
    made = state(group(last=last(5)))
    for user, seq in (("bob", 3), ("eve", 5), ("bob", 2), ("ann", 9)):
        made.take(replies.Read(room=TEA, sender=user, seq=seq), 0.0)
    assert made.readers(TEA, 3) == ["bob", "eve"]
    assert made.readers(TEA, 4) == ["eve"]
    assert {*made.shown.wanted(9)} >= {"bob", "eve"}, "they are shown by their names"


def test_readers_have_read_nothing_from_before_they_came_in() -> None:
    made = state(group(last=last(5), reads={"bob": 5}, got={"cat": 5}, joined={"bob": 2, "cat": 4}))
    assert [made.readers(TEA, seq) for seq in (1, 2, 3, 5, 6)] == [[], [], ["bob"], ["bob"], []]
    assert [made.receivers(TEA, seq) for seq in (3, 5)] == [["bob"], ["bob", "cat"]]
    made.take(facts.Member(room=TEA, seq=6, ts=6, sender="ann", users=["zoe"], change="added"), 0.0)
    made.take(replies.Read(room=TEA, sender="zoe", seq=7), 0.0)
    assert [made.readers(TEA, seq) for seq in (5, 7)] == [["bob"], ["zoe"]]


def test_requests_are_rooms_of_their_own() -> None:
    made = state(group(last=last(5)))
    loud = made.take(replies.Request(user="eve", name="Eve", room="dm:ann:eve", head=1, last=last(1)), 0.0)
    assert loud
    assert made.asks("dm:ann:eve")
    assert made.active() == ["dm:ann:eve"]
    assert made.shown.of("eve") == "Eve"
    relations = made.relations
    made.take(replies.Contact(user="eve", state="contact"), 0.0)
    assert not made.asks("dm:ann:eve")
    made.related("eve", "blocked")
    assert made.relations == relations + 2, "whose presence is worth knowing has changed each time"


def test_a_group_that_one_left_stays_until_it_is_closed() -> None:
    made = state(group(last=last(5)))
    made.take(member(1, "removed", "ann"), 0.0)
    assert (made.current, made.order) == (TEA, [STATUS, TEA])
    assert made.timeline(TEA).entries[-1].note.startswith("you are no longer in this group")
    made.close(TEA)
    assert made.order == [STATUS]


def test_members_are_listed_anew_once_one_is_back() -> None:
    made = state(group(last=last(5)))
    made.names[TEA] = ["ann", "bob"]
    made.take(member(1, "removed", "ann"), 0.0)
    made.take(member(7, "added", "ann"), 0.0)
    assert TEA not in made.names, "nobody told who came and went meanwhile"


def test_members_come_and_go() -> None:
    made = state(group(last=last(5)))
    made.names[TEA] = ["ann", "bob"]
    made.take(member(1, "added", "eve", "bob"), 0.0)
    assert sorted(made.names[TEA]) == ["ann", "bob", "eve"]
    made.take(member(2, "left", "bob"), 0.0)
    assert sorted(made.names[TEA]) == ["ann", "eve"]


def test_connection_and_reset() -> None:
    made = state(group(last=last(5)))
    made.timeline(TEA).newest_page(page([message(1)]))
    made.take(replies.Typing(room=TEA, sender="bob"), 0.0)
    made.take(Offline("gone", 1.0), 0.0)
    assert made.offline == "gone"
    assert made.typists(TEA, 0.0) == [], "nobody would tell that it has ended"
    welcome: Any = replies.Welcome(
        user="ann",
        session="s",
        node="n",
        server="g",
        heartbeat_s=30.0,
        limits=replies.Limits(),
        contacts=[],
        rooms=[group(), group("group:new")],
        requests=[],
    )
    made.take(Online(welcome), 0.0)
    assert made.offline is None
    assert "group:new" in made.order
    made.names[TEA] = ["ann", "bob"]
    made.unread_from[TEA] = 3
    made.take(Reset(room=TEA, epoch="f", head=0), 0.0)
    assert not made.timeline(TEA).loaded
    assert TEA not in made.names, "members may have been added since: they are listed anew"
    assert TEA not in made.unread_from


def test_only_so_many_rooms_keep_their_messages() -> None:
    made = state(*(group(f"group:g{number}") for number in range(2 * MAX_TIMELINES)))
    for room in list(made.order):
        made.open(room)
        made.timeline(room).newest_page(page([message(1, room=room)], room=room))
    assert sum(made.timeline(room).loaded for room in made.order[:MAX_TIMELINES]) == 1  # the status window's
    assert made.timeline(made.order[-1]).loaded


def test_the_peer_of_the_current_room_is_watched_first() -> None:
    made = state(*(contact(f"u{number:02}", last=last(100 - number)) for number in range(20)))
    made.open("dm:ann:u19")
    assert made.to_watch(15)[:2] == ["u19", "u00"]
    assert len(made.to_watch(15)) == 15
