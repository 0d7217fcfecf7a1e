"""The list of rooms follows what happens."""

from __future__ import annotations

from typing import Any

from gochat.client.events import Listed, Online
from gochat.client.rooms import Rooms
from gochat.client.terminal import text
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol.entries import ContactEntry, Last, PresenceEntry, RequestEntry, RoomEntry

DM, TEA = "dm:ann:bob", "group:tea"


def contact(user: str = "bob", **fields: Any) -> ContactEntry:
    known: dict[str, Any] = {"name": user.title(), "online": False, "epoch": "e", "head": 4, "read": 2, "unread": 2}
    return ContactEntry(user=user, room=f"dm:ann:{user}", **known | fields)


def group(room: str = TEA, **fields: Any) -> RoomEntry:
    known: dict[str, Any] = {"title": "Tea", "role": "member", "epoch": "e", "head": 9, "read": 9, "unread": 0}
    return RoomEntry(room=room, **known | fields)


def welcome(*entries: ContactEntry | RoomEntry, **fields: Any) -> replies.Welcome:
    known: dict[str, Any] = {
        "user": "ann", "session": "s", "node": "n", "server": "x", "heartbeat_s": 30, "limits": replies.Limits(),
        "contacts": [entry for entry in entries if isinstance(entry, ContactEntry)],
        "rooms": [entry for entry in entries if isinstance(entry, RoomEntry)],
        "requests": [],
    }  # fmt: skip
    return replies.Welcome(**known | fields)


def message(room: str, seq: int, sender: str, body: str = "hi") -> facts.Message:
    return facts.Message(room=room, seq=seq, ts=1_000 + seq, sender=sender, body=body)


def member(room: str, seq: int, change: Any, *users: str, **fields: Any) -> facts.Member:
    return facts.Member(room=room, seq=seq, ts=seq, sender="eve", users=list(users), change=change, **fields)


def rooms(*events: Any) -> Rooms:
    known = Rooms(welcome(contact(), group()))
    for event in events:
        known.take(event)
    return known


def test_a_message_of_another_counts_as_unread_and_shows_as_the_latest() -> None:
    (entry,) = rooms(message(DM, 5, "bob", "x" * 300)).contacts
    assert (entry.head, entry.unread) == (5, 3)
    assert entry.last is not None
    assert (entry.last.sender, len(entry.last.body)) == ("bob", 200)


def test_it_is_known_where_members_came_in() -> None:
    (entry,) = rooms(member(TEA, 10, "added", "bob", "cat"), member(TEA, 11, "removed", "cat")).groups
    assert entry.joined == {"bob": 10, "cat": 10}
    many = [member(TEA, 10 + number, "added", f"u{number}") for number in range(150)]
    (entry,) = rooms(*many).groups
    assert len(entry.joined) <= 100 and "u149" in entry.joined, "of the latest alone: large groups tell no positions"


def test_an_own_message_reads_the_room() -> None:
    (entry,) = rooms(message(DM, 5, "bob"), message(DM, 6, "ann")).contacts
    assert (entry.head, entry.read, entry.unread) == (6, 6, 0)


def test_a_fact_that_the_welcome_has_counted_is_not_counted_again() -> None:
    (entry,) = rooms(message(DM, 4, "bob")).contacts
    assert (entry.head, entry.unread) == (4, 2)


def test_reading_on_another_device_reads_here_too() -> None:
    def after(seq: int, sender: str = "ann") -> int:
        return rooms(replies.Read(room=DM, sender=sender, seq=seq)).contacts[0].unread

    assert after(4) == 0
    assert after(3) == 1
    assert after(4, sender="bob") == 2, "how far the other has read says nothing of this user"
    assert after(1) == 2


def test_how_far_the_others_are_is_kept_up() -> None:
    known = Rooms(welcome(contact(reads={"bob": 2}), group(reads={"bob": 8}, got={"cat": 3})))
    for event in (
        replies.Read(room=DM, sender="bob", seq=4),
        replies.Read(room=DM, sender="bob", seq=3),
        replies.Read(room=TEA, sender="cat", seq=9),
        replies.Got(room=TEA, got={"ann": 9, "bob": 9, "cat": 2}),
        replies.Got(room="group:unknown", got={"bob": 1}),
    ):
        known.take(event)
    assert known.contacts[0].reads == {"bob": 4}
    assert (known.groups[0].reads, known.groups[0].got) == ({"bob": 8, "cat": 9}, {"cat": 3, "bob": 9})


def test_mentions_are_counted_until_they_are_read() -> None:
    said = [
        facts.Message(room=DM, seq=seq, ts=seq, sender="bob", body="@ann", mentions=users)
        for seq, users in ((5, ["ann"]), (6, None), (7, ["cat"]), (8, ["cat", "ann"]))
    ]
    known = rooms(*said)
    assert (known.contacts[0].unread, known.contacts[0].mentions) == (6, 2)
    known.take(replies.Read(room=DM, sender="ann", seq=7))
    assert known.contacts[0].mentions == 1
    known.take(message(DM, 9, "ann"))
    assert (known.contacts[0].unread, known.contacts[0].mentions) == (0, 0)


def test_the_latest_talk_comes_first_and_a_new_one_appears() -> None:
    known = rooms(message("dm:ann:eve", 1, "eve"), message(DM, 5, "bob"))
    assert [entry.user for entry in known.contacts] == ["bob", "eve"]
    assert known.contacts[1].unread == 1
    assert "dm:ann:eve" in known
    assert "dm:ann:zoe" not in known


def test_a_group_tells_who_may_write_where_not_all_may_as_lists_do() -> None:
    told = []
    known = rooms()
    for seq, post in enumerate(("owner", None, "moderators", "members"), 10):
        known.take(facts.Group(room=TEA, seq=seq, ts=1, sender="eve", post=post, title="Tea"))
        (entry,) = known.groups
        told.append(entry.post)
    assert told == ["owner", "owner", "moderators", None]


def test_groups_come_and_go_and_change_their_title() -> None:
    known = rooms(
        member("group:new", 3, "added", "ann"),
        facts.Group(room=TEA, seq=10, ts=1, sender="eve", title="Green tea"),
        member(TEA, 11, "role", "ann", role="moderator"),
        member(TEA, 12, "removed", "bob"),
    )
    assert [(entry.room, entry.title, entry.role) for entry in known.groups] == [
        ("group:new", "", "member"),
        (TEA, "Green tea", "moderator"),
    ]
    known.take(member(TEA, 13, "removed", "ann"))
    known.take(facts.Closed(room="group:new", seq=4, ts=1, sender="eve"))
    assert known.groups == []


def test_an_edit_of_the_latest_message_shows() -> None:
    known = rooms(
        message(TEA, 10, "bob", "helo"),
        facts.Edit(room=TEA, seq=11, ts=1, sender="bob", target=10, body="hello"),
        facts.Edit(room=TEA, seq=12, ts=1, sender="bob", target=3, body="older"),
    )
    last = known.groups[0].last
    assert last is not None
    assert last.body == "hello"
    assert known.groups[0].unread == 1


def test_the_latest_message_is_told_as_deleted_and_its_text_is_gone() -> None:
    known = rooms(
        message(TEA, 10, "bob", "secret"),
        facts.Delete(room=TEA, seq=11, ts=7, sender="bob", target=10),
        facts.Delete(room=TEA, seq=12, ts=8, sender="bob", target=3),
    )
    (group_entry,) = known.groups
    assert group_entry.last == Last(seq=10, ts=1_010, sender="bob", body="", deleted=7)
    assert text.room_line(group_entry).endswith(" bob: (deleted)")
    known.take(facts.Message(room=TEA, seq=13, ts=9, sender="bob", deleted=10))
    assert known.groups[0].last == Last(seq=13, ts=9, sender="bob", body="", deleted=10)


def test_a_new_connection_tells_which_requests_wait_now() -> None:
    last = Last(seq=1, ts=1, sender="eve", body="hi")
    eve, zoe = (RequestEntry(user=user, name=user, room=f"dm:ann:{user}", head=1, last=last) for user in ("eve", "zoe"))
    known = Rooms(welcome(requests=[eve]))
    assert known.is_asked_by("eve")
    known.take(Online(welcome(requests=[zoe])))
    assert [entry.user for entry in known.requests] == ["zoe"], "the other one was answered elsewhere"


def test_requests_wait_until_there_is_an_answer() -> None:
    last = Last(seq=1, ts=1, sender="eve", body="hi")
    known = rooms(replies.Request(user="eve", name="Eve", room="dm:ann:eve", head=1, last=last))
    assert [entry.user for entry in known.requests] == ["eve"]
    known.take(replies.Contact(user="eve", state="contact"))
    assert known.requests == []


def test_a_blocked_user_leaves_the_list() -> None:
    assert rooms(replies.Contact(user="bob", state="blocked")).contacts == []


def test_presence_shows_in_the_list() -> None:
    told = [
        PresenceEntry(user="bob", online=True),
        PresenceEntry(user="nobody", online=True),
    ]
    known = rooms(replies.Presence(users=told))
    assert [entry.online for entry in known.contacts] == [True]


def test_a_new_welcome_counts_and_keeps_private_rooms_that_it_does_not_hold() -> None:
    known = rooms(message("dm:ann:eve", 1, "eve"), Online(welcome(contact(head=9, unread=7))))
    assert {entry.user: entry.unread for entry in known.contacts} == {"bob": 7, "eve": 1}
    assert known.groups == [], "a welcome names all groups"


def test_a_group_stays_where_the_node_can_not_know_of_all() -> None:
    known = rooms()
    known.take(Online(welcome(incomplete=True)))
    assert TEA in known
    known.take(Online(welcome()))
    assert TEA not in known


def test_a_group_that_the_lists_can_not_read_stays_with_what_was_known() -> None:
    known = rooms()
    known.take(Online(welcome(rooms_next="cursor")))
    assert TEA not in known, "a later list names it, or the user has left"
    known.take(Listed([], [], ["group:new", TEA]))
    assert [(entry.room, entry.head) for entry in known.groups] == [(TEA, 9)]
    assert known.unreadable == ["group:new", TEA]
    known.take(Online(welcome()))
    assert known.unreadable == [] and TEA not in known


def test_rooms_that_are_known_by_their_facts_alone_are_of_the_log_that_the_welcome_named() -> None:
    for epoch in ("e1", None):
        known = Rooms(welcome(epoch=epoch))
        known.take(message(DM, 1, "bob"))
        known.take(member("group:den", 3, "added", "ann"))
        assert [known.contacts[0].epoch, known.groups[0].epoch] == [epoch or ""] * 2
    known.take(Online(welcome(epoch="e2")))
    known.take(message("dm:ann:cat", 1, "cat"))
    entry = known.entry("dm:ann:cat")
    assert entry is not None and entry.epoch == "e2"
