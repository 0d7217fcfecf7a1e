"""The user's rooms as a list shows them: kept up with what happens after `welcome` told them. No I/O.

It is fed every event that the application reads. Fields that no event has (the title of a group that the user was just
added to, the presence of somebody who is not watched) stay as they were, until the next `welcome`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gochat.client.events import Event, Listed, Online
from gochat.client.wire import FACTS, Fact
from gochat.domain import facts, ids
from gochat.protocol import replies
from gochat.protocol.entries import ContactEntry, ContactState, GroupEntry, Last, RequestEntry, RoomEntry

#: Characters of a body that a list holds, as in `welcome`.
_LAST_CHARS: Final = 200
#: Members of a group of whom it is remembered where they came in, the latest ones: positions are told in small groups.
_MAX_JOINED: Final = 100

Entry = ContactEntry | RoomEntry


class Rooms:
    """`contacts` are private rooms, the latest talk first; `groups` are in the order of their ids; `requests` are
    strangers who wait for an answer, the latest first."""

    def __init__(self, welcome: replies.Welcome) -> None:
        self._me = welcome.user
        self._epoch = ""
        """Of the rooms that this connection tells of by their facts alone."""
        self._entries: dict[str, Entry] = {}
        self._requests: dict[str, RequestEntry] = {}
        self.unreadable: list[str] = []
        """Rooms that the latest `welcome` left out, and the lists after it, since the server can't read them: its
        database is damaged."""
        self._left_out: dict[str, Entry] = {}
        """Groups that the latest `welcome` did not name: until the lists after it do, or say that they can't."""
        self._welcomed(welcome)

    @property
    def contacts(self) -> list[ContactEntry]:
        found = [entry for entry in self._entries.values() if isinstance(entry, ContactEntry)]
        return sorted(found, key=lambda entry: entry.last.ts if entry.last else 0, reverse=True)

    @property
    def groups(self) -> list[RoomEntry]:
        found = [entry for entry in self._entries.values() if isinstance(entry, RoomEntry)]
        return sorted(found, key=lambda entry: entry.room)

    @property
    def requests(self) -> list[RequestEntry]:
        return sorted(self._requests.values(), key=lambda entry: entry.last.ts, reverse=True)

    def __contains__(self, room: str) -> bool:
        """Whether anything is known of a room, be it only that no message was ever sent in it."""
        return room in self._entries

    def entry(self, room: str) -> Entry | None:
        """The entry of a room that is in the list."""
        return self._entries.get(room)

    def is_asked_by(self, user: str) -> bool:
        """Whether a stranger waits for an answer."""
        return user in self._requests

    def take(self, event: Event) -> None:
        """Follow one event."""
        match event:
            case Online():
                self._welcomed(event.welcome)
            case Listed():
                self._listed(event)
            case replies.Read():
                self._read(event)
            case replies.Got():
                self._got(event)
            case replies.Request():
                self._asked(event)
            case replies.Contact():
                self._related(event)
            case replies.Presence():
                self._present(event)
            case _ if isinstance(event, FACTS):
                self._happened(event)

    def _welcomed(self, welcome: replies.Welcome) -> None:
        # `welcome` holds the latest private rooms only: the others that are known here stay.
        self._epoch = welcome.epoch or ""
        told: list[Entry] = [*welcome.contacts, *welcome.rooms]
        # Rooms that the server can't read now stay as they were, as do those that the node may not know of yet.
        self.unreadable = welcome.unreadable
        kept = [
            entry
            for entry in self._entries.values()
            if isinstance(entry, ContactEntry) or welcome.incomplete or entry.room in welcome.unreadable
        ]
        before, self._entries = self._entries, {entry.room: entry for entry in [*kept, *told]}
        self._left_out = {room: entry for room, entry in before.items() if room not in self._entries}
        self._requests = {entry.user: entry for entry in welcome.requests}

    def _listed(self, event: Listed) -> None:
        """Facts that came of a room since it was listed count more than the list."""
        listed: list[GroupEntry | ContactState] = [*event.groups, *event.contacts]
        for lost in event.unreadable:
            if lost not in self.unreadable:
                self.unreadable = [*self.unreadable, lost]
            if lost in self._left_out:
                self._entries.setdefault(lost, self._left_out[lost])
        for each in listed:
            room, head = each.room, each.head
            if room is None or head is None or (room in self._entries and self._entries[room].head >= head):
                continue
            place: dict[str, Any] = {
                "room": room,
                "epoch": each.epoch or "",
                "head": head,
                "read": each.read or 0,
                "unread": each.unread or 0,
                "mentions": each.mentions,
                "reads": each.reads,
                "got": each.got,
                "last": each.last,
            }
            if isinstance(each, GroupEntry):
                self._entries[room] = RoomEntry(
                    title=each.title, role=each.role, post=each.post, joined=each.joined, **place
                )
            elif head:
                self._entries[room] = ContactEntry(user=each.user, name=each.name, online=False, **place)

    def _happened(self, fact: Fact) -> None:
        if isinstance(fact, facts.Closed) or (isinstance(fact, facts.Member) and self._is_end(fact)):
            self._entries.pop(fact.room, None)
            return
        entry = self._entries.get(fact.room) or self._new(fact)
        if fact.seq <= entry.head:
            return  # It was counted when `welcome` was written.
        changed = msgspec.structs.replace(entry, head=fact.seq)
        match fact:
            case facts.Message():
                self._message(changed, fact)
            case facts.Edit() if changed.last and changed.last.seq == fact.target and fact.body is not None:
                changed.last = msgspec.structs.replace(changed.last, body=fact.body[:_LAST_CHARS])
            case facts.Delete() if changed.last and changed.last.seq == fact.target:
                changed.last = msgspec.structs.replace(changed.last, body="", deleted=fact.ts)
            case facts.Group() if isinstance(changed, RoomEntry):
                changed.title = changed.title if fact.title is None else fact.title
                if fact.post is not None:
                    changed.post = None if fact.post == "members" else fact.post
            case facts.Member(change="added") if isinstance(changed, RoomEntry):
                joined = changed.joined | dict.fromkeys(fact.users, fact.seq)
                changed.joined = dict(list(joined.items())[-_MAX_JOINED:])
            case facts.Member(change="role") if isinstance(changed, RoomEntry) and self._me in fact.users:
                changed.role = fact.role or changed.role
        self._entries[fact.room] = changed

    def _is_end(self, fact: facts.Member) -> bool:
        return self._me in fact.users and fact.change in ("removed", "left")

    def _new(self, fact: Fact) -> Entry:
        """A room that no list has told yet: everything that this session hears of it is new."""
        if ids.is_dm(fact.room):
            user = ids.peer(fact.room, self._me)
            return ContactEntry(
                user=user,
                name=user,
                online=False,
                room=fact.room,
                epoch=self._epoch,
                head=fact.seq - 1,
                read=0,
                unread=0,
            )
        title = fact.title if isinstance(fact, facts.Member) and fact.title else ""
        owner = isinstance(fact, facts.Member) and fact.seq == 1 and fact.sender == self._me
        return RoomEntry(
            room=fact.room,
            title=title,
            role="owner" if owner else "member",
            epoch=self._epoch,
            head=fact.seq - 1,
            read=0,
            unread=0,
        )

    def _message(self, entry: Entry, fact: facts.Message) -> None:
        body = fact.body or ""
        entry.last = Last(seq=fact.seq, ts=fact.ts, sender=fact.sender, body=body[:_LAST_CHARS], deleted=fact.deleted)
        if fact.sender == self._me:
            entry.read, entry.unread, entry.mentions = fact.seq, 0, 0  # To write is to have read.
        else:
            entry.unread += 1
            entry.mentions += self._me in (fact.mentions or ())

    def _read(self, event: replies.Read) -> None:
        entry = self._entries.get(event.room)
        if entry is None:
            return
        if event.sender != self._me:
            if event.seq > entry.reads.get(event.sender, 0):
                reads = {**entry.reads, event.sender: event.seq}
                self._entries[event.room] = msgspec.structs.replace(entry, reads=reads)
            return
        if event.seq <= entry.read:
            return
        # How many of the messages above it are others' is not told; it can't be more than there are facts.
        unread = min(entry.unread, max(0, entry.head - event.seq))
        self._entries[event.room] = msgspec.structs.replace(
            entry, read=event.seq, unread=unread, mentions=min(entry.mentions, unread)
        )

    def _got(self, event: replies.Got) -> None:
        entry = self._entries.get(event.room)
        if entry is not None:
            further = {user: seq for user, seq in event.got.items() if seq > entry.got.get(user, 0)}
            further.pop(self._me, None)
            self._entries[event.room] = msgspec.structs.replace(entry, got={**entry.got, **further})

    def _asked(self, event: replies.Request) -> None:
        self._requests[event.user] = RequestEntry(
            user=event.user, name=event.name, room=event.room, head=event.head, last=event.last
        )

    def _related(self, event: replies.Contact) -> None:
        if event.state != "request":
            self._requests.pop(event.user, None)
        if event.state == "blocked":
            self._entries.pop(ids.dm(self._me, event.user), None)

    def _present(self, event: replies.Presence) -> None:
        for told in event.users:
            room = ids.dm(self._me, told.user)
            entry = self._entries.get(room)
            if isinstance(entry, ContactEntry):
                self._entries[room] = msgspec.structs.replace(entry, online=told.online, last_seen=told.last_seen)
