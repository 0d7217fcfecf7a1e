"""The list of rooms follows what happens."""

from __future__ import annotations

from typing import Any

from gochat.client.events import Listed, Online
from gochat.client.positions import Reset
from gochat.client.rooms import Rooms
from gochat.client.terminal import text
from gochat.client.unread import MAX_COUNTED, MAX_DELETIONS
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol.entries import (
    ContactEntry,
    ContactState,
    GroupEntry,
    Last,
    PresenceEntry,
    RequestEntry,
    RoomEntry,
)

DM, TEA, ZED = "dm:ann:bob", "group:tea", "dm:ann:zed"


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


def message(room: str, seq: int, sender: str, body: str | None = "hi", **fields: Any) -> facts.Message:
    return facts.Message(room=room, seq=seq, ts=1_000 + seq, sender=sender, body=body, **fields)


def deletion(room: str, seq: int, target: int, sender: str = "bob") -> facts.Delete:
    return facts.Delete(room=room, seq=seq, ts=1_000 + seq, sender=sender, target=target)


def by_list(head: int, read: int, unread: int, epoch: str = "e", **fields: Any) -> Listed:
    """A list names the private room with zed."""
    last = Last(seq=head, ts=1_000 + head, sender="zed", body=f"m{head}") if head else None
    place: dict[str, Any] = {"room": ZED, "epoch": epoch, "head": head, "read": read, "unread": unread, "last": last}
    user: dict[str, Any] = {"user": "zed", "name": "Zed", "state": "contact"}
    return Listed([], [ContactState(**user | place | fields)])


def group_by_list(head: int, **fields: Any) -> Listed:
    known: dict[str, Any] = {"title": "Tea", "role": "member", "members": 3, "epoch": "e", "read": head, "unread": 0}
    return Listed([GroupEntry(room=TEA, head=head, **known | fields)], [])


def told(known: Rooms, room: str = ZED) -> tuple[int, int, int]:
    """Head, read position, and number of unread messages."""
    entry = known.entry(room)
    assert entry is not None
    return entry.head, entry.read, entry.unread


def said(known: Rooms, room: str = ZED) -> Last:
    entry = known.entry(room)
    assert entry is not None and entry.last is not None
    return entry.last


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
    spoken = [
        facts.Message(room=DM, seq=seq, ts=seq, sender="bob", body="@ann", mentions=users)
        for seq, users in ((5, ["ann"]), (6, None), (7, ["cat"]), (8, ["cat", "ann"]))
    ]
    known = rooms(*spoken)
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
    posts = []
    known = rooms()
    for seq, post in enumerate(("owner", None, "moderators", "members"), 10):
        known.take(facts.Group(room=TEA, seq=seq, ts=1, sender="eve", post=post, title="Tea"))
        (entry,) = known.groups
        posts.append(entry.post)
    assert posts == ["owner", "owner", "moderators", None]


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
    users = [
        PresenceEntry(user="bob", online=True),
        PresenceEntry(user="nobody", online=True),
    ]
    known = rooms(replies.Presence(users=users))
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


# ---------------------------------------------------------------------------------------------- lists and facts


def test_a_room_that_was_read_elsewhere_meanwhile_is_read_here_too() -> None:
    known = rooms(by_list(10, 4, 6), Online(welcome(contact())), by_list(10, 10, 0))
    assert told(known) == (10, 10, 0)


def test_facts_that_come_before_the_list_of_their_room_count_on_top_of_it() -> None:
    known = rooms(message(ZED, 10, "zed"))
    assert told(known) == (10, 0, 1)
    known.take(by_list(10, 4, 6))
    assert told(known) == (10, 4, 6) and known.contacts[0].name == "Zed"
    known = rooms(message(ZED, 11, "zed", "new"), message(ZED, 12, "zed", "newer"), by_list(10, 4, 6))
    assert told(known) == (12, 4, 8)
    assert said(known).body == "newer"
    known = rooms(replies.Presence(users=[]), message(ZED, 11, "ann", "read it all"), by_list(10, 4, 6))
    assert told(known) == (11, 11, 0), "to write is to have read"


def test_facts_of_an_absence_count_once_whether_they_come_before_the_list_or_behind_it() -> None:
    missed = [message(ZED, seq, "zed") for seq in range(6, 12)]
    for before in range(len(missed) + 1):
        known = rooms(by_list(5, 5, 0), Online(welcome()), *missed[:before], by_list(10, 8, 2), *missed[before:])
        assert told(known) == (11, 8, 3)


def test_a_read_position_that_comes_before_the_list_counts_where_it_is_further() -> None:
    known = rooms(by_list(10, 4, 6), replies.Read(room=ZED, sender="ann", seq=9), by_list(10, 4, 6))
    assert told(known) == (10, 9, 1)


def test_how_far_the_others_are_is_of_the_list_or_of_an_event_whichever_is_further() -> None:
    known = rooms(
        replies.Read(room=TEA, sender="bob", seq=9),
        replies.Read(room=TEA, sender="cat", seq=3),
        message(TEA, 10, "bob"),
        replies.Read(room=TEA, sender="eve", seq=10),
        group_by_list(9, reads={"bob": 7, "dan": 9}),
    )
    assert known.groups[0].reads == {"bob": 9, "dan": 9, "eve": 10}, "cat is not told of any more"


def test_a_list_of_the_same_connection_that_is_older_takes_nothing_back() -> None:
    known = rooms(by_list(10, 4, 6), message(ZED, 11, "zed"), by_list(9, 4, 5))
    assert told(known) == (11, 4, 7)


def test_a_list_tells_a_group_and_facts_that_came_since_count_more() -> None:
    known = rooms(
        facts.Group(room=TEA, seq=10, ts=1, sender="eve", title="Green tea"),
        facts.Group(room=TEA, seq=11, ts=1, sender="eve", post="owner"),
        member(TEA, 12, "added", "bob"),
        group_by_list(10, title="Black tea", role="moderator", joined={"cat": 4}),
    )
    (entry,) = known.groups
    assert (entry.title, entry.role, entry.post, entry.joined) == (
        "Black tea",
        "moderator",
        "owner",
        {"cat": 4, "bob": 12},
    )
    new = Rooms(welcome(rooms_next="cursor"))
    new.take(message(TEA, 10, "bob"))
    new.take(member(TEA, 11, "role", "ann", role="owner"))
    new.take(group_by_list(10, unread=3, read=7))
    (entry,) = new.groups
    assert (entry.title, entry.role, entry.head, entry.unread) == ("Tea", "owner", 11, 3)


def test_presence_outlives_a_list() -> None:
    known = rooms(
        by_list(10, 4, 6), replies.Presence(users=[PresenceEntry(user="zed", online=True)]), by_list(10, 4, 6)
    )
    assert [entry.online for entry in known.contacts] == [True, False]


# ---------------------------------------------------------------------------------------------- another log


def test_a_list_of_another_log_takes_the_place_of_all_that_was_known() -> None:
    known = rooms(by_list(10, 4, 6), Online(welcome(epoch="e2")), by_list(3, 3, 0, epoch="e2"))
    assert told(known) == (3, 3, 0)
    known.take(message(ZED, 4, "zed", "after the restore"))
    assert told(known) == (4, 3, 1) and said(known).body == "after the restore"
    known = rooms(by_list(10, 4, 6), by_list(0, 0, 0, epoch="e2"))
    assert ZED not in known, "nothing was ever said there"


def test_a_room_whose_log_is_another_one_goes_on_from_its_head() -> None:
    known = rooms(by_list(10, 4, 6, reads={"zed": 10}), Reset(room=ZED, epoch="e2", head=6), message(ZED, 7, "zed"))
    assert told(known) == (7, 4, 3), "two may be unread of those before"
    entry = known.entry(ZED)
    assert entry is not None and (entry.epoch, entry.reads) == ("e2", {"zed": 6})
    known = rooms(by_list(10, 4, 6), Reset(room=ZED, epoch="e2", head=6), by_list(6, 4, 2, epoch="e2"))
    assert (told(known), said(known).body) == ((6, 4, 2), "m6"), "what was said above that is gone"
    known = rooms(by_list(10, 4, 6), Reset(room=ZED, epoch="e", head=12), message(ZED, 13, "zed"))
    assert told(known) == (13, 4, 7)
    known = rooms(by_list(10, 4, 6), Reset(room=ZED, epoch="e", head=10), Reset(room="group:no", epoch="e", head=1))
    assert told(known) == (10, 4, 6) and "group:no" not in known


# ---------------------------------------------------------------------------------------------- deletions, edits


def test_a_deleted_message_is_neither_unread_nor_shown() -> None:
    known = rooms(message(DM, 5, "bob", "my secret"), deletion(DM, 6, 5))
    assert told(known, DM) == (6, 2, 2)
    assert (said(known, DM).body, said(known, DM).deleted) == ("", 1_006)
    known.take(deletion(DM, 7, 4))
    assert told(known, DM) == (7, 2, 1), "the list had counted it"
    known.take(deletion(DM, 8, 1))
    assert told(known, DM) == (8, 2, 1), "it was read"
    assert said(known, DM).seq == 5, "the latest message is that one still, as in a list"


def test_a_message_that_comes_as_a_deleted_one_is_not_counted() -> None:
    known = rooms(message(DM, 5, "bob", None, deleted=1_006), deletion(DM, 6, 5))
    assert told(known, DM) == (6, 2, 2)
    assert (said(known, DM).body, said(known, DM).deleted) == ("", 1_006)


def test_a_message_that_was_deleted_after_its_room_was_listed_is_not_counted() -> None:
    known = rooms(deletion(ZED, 11, 10, "zed"), by_list(10, 4, 6))
    assert told(known) == (11, 4, 5)
    assert (said(known).body, said(known).deleted) == ("", 1_011)


def test_mentions_go_with_their_messages_and_follow_edits() -> None:
    def mentions(*events: Any) -> int:
        return rooms(message(DM, 5, "bob", mentions=["ann"]), message(DM, 6, "bob"), *events).contacts[0].mentions

    def edit(target: int, *users: str) -> facts.Edit:
        return facts.Edit(room=DM, seq=7, ts=1, sender="bob", target=target, body="x", mentions=list(users) or None)

    assert mentions() == 1
    assert mentions(deletion(DM, 7, 5)) == 0
    assert mentions(deletion(DM, 7, 6)) == 1
    assert mentions(edit(5)) == 0
    assert mentions(edit(6, "ann", "cat")) == 2
    assert mentions(edit(5), deletion(DM, 8, 5)) == 0
    known = Rooms(welcome(contact(mentions=2)))
    known.take(deletion(DM, 5, 4))
    assert known.contacts[0].mentions == 1, "there are no more of them than unread messages"


def test_counts_hold_beyond_what_is_known_one_by_one() -> None:
    count = MAX_COUNTED + 10
    known = rooms(*(message(DM, seq, "bob", mentions=["ann"]) for seq in range(5, 5 + count)))
    assert told(known, DM) == (4 + count, 2, 2 + count)
    assert known.contacts[0].mentions == count
    known.take(replies.Read(room=DM, sender="ann", seq=count))
    assert told(known, DM) == (4 + count, count, 4)
    many = MAX_DELETIONS + 10
    known = rooms(*(deletion(ZED, 100 + number, number, "zed") for number in range(many)), by_list(99, 0, 99))
    assert told(known)[2] == 99 - MAX_DELETIONS


# ---------------------------------------------------------------------------------------------- blocks


def test_a_block_that_ends_brings_the_room_back_as_it_was() -> None:
    known = rooms(replies.Contact(user="bob", state="blocked"))
    assert known.contacts == [] and known.entry(DM) is None
    known.take(message(DM, 5, "bob", "sent before the block"))
    assert known.contacts == [], "facts that were on their way do not bring it back"
    known.take(replies.Contact(user="bob", state="contact"))
    assert [(entry.name, entry.read, entry.unread) for entry in known.contacts] == [("Bob", 2, 3)]


def test_a_block_that_ended_while_away_brings_the_room_back() -> None:
    blocked, listed = replies.Contact(user="bob", state="blocked"), by_list(4, 2, 2, room=DM, user="bob", name="Bob")
    for events in ([Online(welcome(contact()))], [Online(welcome(group())), listed]):
        known = rooms(blocked, *events)
        assert [entry.name for entry in known.contacts] == ["Bob"]


def test_a_list_that_was_read_before_a_block_does_not_bring_the_room_back() -> None:
    listed = by_list(4, 2, 2, room=DM, user="bob", name="Bob")
    for before in ([], [Online(welcome(group()))]):
        known = rooms(*before, replies.Contact(user="bob", state="blocked"), listed)
        assert known.contacts == [] and known.entry(DM) is None
        known.take(replies.Contact(user="bob", state="contact"))
        assert [entry.name for entry in known.contacts] == ["Bob"]


def test_mentions_by_users_who_are_blocked_do_not_count() -> None:
    known = rooms(replies.Contact(user="bob", state="blocked"), message(TEA, 10, "bob", mentions=["ann"]))
    assert (known.groups[0].unread, known.groups[0].mentions) == (1, 0), "a block has no effect inside a group but that"


def test_messages_that_come_after_they_were_read_elsewhere_are_not_unread() -> None:
    """The position may get past a full queue, and the messages come later."""
    read = replies.Read(room=DM, sender="ann", seq=6)
    known = rooms(read, message(DM, 5, "bob"), message(DM, 6, "bob", mentions=["ann"]), message(DM, 7, "bob"))
    entry = known.entry(DM)
    assert entry is not None
    assert (told(known, DM), entry.mentions) == ((7, 6, 1), 0)


def test_a_list_that_was_read_before_a_room_ended_does_not_bring_it_back() -> None:
    for end in (facts.Closed(room=TEA, seq=10, ts=10, sender="eve"), member(TEA, 10, "removed", "ann")):
        known = rooms(end, group_by_list(9))
        assert known.groups == []
        known.take(group_by_list(11))
        assert [entry.head for entry in known.groups] == [11], "the user was added again"


def test_how_far_a_peer_has_read_outlives_an_older_list() -> None:
    known = rooms(by_list(3, 0, 3), replies.Read(room=ZED, sender="zed", seq=3), by_list(3, 0, 3))
    entry = known.entry(ZED)
    assert entry is not None and entry.reads == {"zed": 3}
