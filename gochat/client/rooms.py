"""The user's rooms as a list shows them: kept up with what happens after `welcome` told them. No I/O.

It is fed every event that the application reads. Fields that no event has (the title of a group that the user was just
added to, the presence of somebody who is not watched) stay as they were, until a `welcome` or a list tells them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gochat.client.events import Event, Listed, Online
from gochat.client.positions import Reset
from gochat.client.unread import Unread
from gochat.client.wire import FACTS, Fact
from gochat.domain import facts, ids
from gochat.protocol import replies
from gochat.protocol.entries import ContactEntry, ContactState, GroupEntry, Last, RequestEntry, RoomEntry

#: Characters of a body that a list holds, as in `welcome`.
_LAST_CHARS: Final = 200
#: Members of a group of whom it is remembered where they came in, the latest ones: positions are told in small groups.
_MAX_JOINED: Final = 100
#: Rooms that have ended for the user and are remembered, for a list that was read before: the latest ones.
_MAX_ENDED: Final = 1_000

Entry = ContactEntry | RoomEntry


class Rooms:
    """`contacts` are private rooms, the latest talk first; `groups` are in the order of their ids; `requests` are
    strangers who wait for an answer, the latest first."""

    def __init__(self, welcome: replies.Welcome) -> None:
        self._me = welcome.user
        self._epoch = ""
        """Of the rooms that this connection tells of by their facts alone."""
        self._entries: dict[str, Entry] = {}
        self._unread: dict[str, Unread] = {}
        """The counts of entries, from the first event that changes one."""
        self._changed: dict[str, dict[str, int]] = {}
        """By group, the fields of its entry that facts have changed, and the seqs of these facts."""
        self._ended: dict[str, int] = {}
        """By room, the seq at which it ended for the user, since the latest `welcome`."""
        self._blocked: set[str] = set()
        """The private rooms with users whom this one has blocked since the session began. They are followed, since a
        block ends too, and not listed."""
        self._blocked_since: set[str] = set()
        """Those among them with users who were blocked since the latest `welcome`: a list after it may have been read
        before that."""
        self._requests: dict[str, RequestEntry] = {}
        self.unreadable: list[str] = []
        """Rooms that the latest `welcome` left out, and the lists after it, since the server can't read them: its
        database is damaged."""
        self._left_out: dict[str, Entry] = {}
        """Groups that the latest `welcome` did not name: until the lists after it do, or say that they can't."""
        self._welcomed(welcome)

    @property
    def contacts(self) -> list[ContactEntry]:
        found = [
            entry
            for entry in self._entries.values()
            if isinstance(entry, ContactEntry) and entry.room not in self._blocked
        ]
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
        return None if room in self._blocked else self._entries.get(room)

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
            case Reset():
                self._reset(event)
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
        still = {entry.room for entry in kept} - {entry.room for entry in told}
        self._unread = {room: unread for room, unread in self._unread.items() if room in still}
        self._changed = {room: changed for room, changed in self._changed.items() if room in still}
        self._blocked -= {entry.room for entry in told}
        self._ended.clear()
        self._blocked_since.clear()
        self._requests = {entry.user: entry for entry in welcome.requests}

    def _listed(self, event: Listed) -> None:
        for lost in event.unreadable:
            if lost not in self.unreadable:
                self.unreadable = [*self.unreadable, lost]
            if lost in self._left_out:
                self._entries.setdefault(lost, self._left_out[lost])
        for group in event.groups:
            if group.head is not None:
                fresh = RoomEntry(
                    title=group.title, role=group.role, post=group.post, joined=group.joined, **_common_fields(group)
                )
                self._found(fresh)
        for contact in event.contacts:
            if contact.room is not None and contact.head is not None:
                known = self._entries.get(contact.room)
                seen = known if isinstance(known, ContactEntry) else None
                self._found(
                    ContactEntry(
                        user=contact.user,
                        name=contact.name,
                        online=seen is not None and seen.online,
                        last_seen=seen.last_seen if seen else None,
                        **_common_fields(contact),
                    )
                )

    def _found(self, fresh: Entry) -> None:
        """A list tells of a room. It was read a moment ago: facts and read positions that have come meanwhile count
        more, and it counts more than all that was known before."""
        room = fresh.room
        known = self._entries.get(room)
        if known is None and fresh.head <= self._ended.get(room, 0):
            return  # It was read before the user was out.
        if room not in self._blocked_since:
            self._blocked.discard(room)
        if known is not None and (known.epoch == fresh.epoch or not (known.epoch and fresh.epoch)):
            unread = self._unread_of(known)
            unread.listed(fresh.head, fresh.read, fresh.unread, fresh.mentions)
            self._keep_newer(fresh, known)
            self._count(fresh)
            return
        self._forget(room)
        if isinstance(fresh, RoomEntry) or fresh.head:  # A private room without a fact is no talk yet.
            self._entries[room] = fresh

    def _keep_newer(self, fresh: Entry, known: Entry) -> None:
        """Take into a list's entry whatever happened after the list was read."""
        head, fresh.head = fresh.head, max(fresh.head, known.head)
        fresh.epoch = fresh.epoch or known.epoch
        leaves = head if isinstance(fresh, RoomEntry) else 0  # Nobody leaves a private room.
        fresh.reads = _further(fresh.reads, known.reads, leaves)
        fresh.got = _further(fresh.got, known.got, leaves)
        if known.head <= head:
            return
        if known.last is not None and (fresh.last is None or fresh.last.seq <= known.last.seq):
            fresh.last = known.last
        elif fresh.last is not None and (deletion := self._unread_of(known).deletion(fresh.last.seq)) is not None:
            fresh.last = msgspec.structs.replace(fresh.last, body="", deleted=deletion.ts)
        if isinstance(fresh, RoomEntry) and isinstance(known, RoomEntry):
            for field, seq in self._changed.get(fresh.room, {}).items():
                if seq > head:
                    setattr(fresh, field, getattr(known, field))
            fresh.joined = {**fresh.joined, **{user: seq for user, seq in known.joined.items() if seq > head}}

    def _reset(self, event: Reset) -> None:
        """The room's log is another one, or facts of it can't be had: it goes on after this head. How many of the
        facts up to there are unread can only be guessed, until a list tells."""
        entry = self._entries.get(event.room)
        if entry is None or (entry.epoch == event.epoch and event.head <= entry.head):
            return
        self._forget(event.room)
        fresh = msgspec.structs.replace(entry, epoch=event.epoch, head=event.head)
        if entry.epoch != event.epoch:
            fresh.read = min(entry.read, event.head)
            fresh.unread = min(entry.unread, event.head - fresh.read)
            fresh.mentions = min(entry.mentions, fresh.unread)
            fresh.reads = {user: min(seq, event.head) for user, seq in entry.reads.items()}
            fresh.got = {user: min(seq, event.head) for user, seq in entry.got.items()}
            fresh.last = None if entry.last is None or entry.last.seq > event.head else entry.last
        self._entries[event.room] = fresh

    def _unread_of(self, entry: Entry) -> Unread:
        unread = self._unread.get(entry.room)
        if unread is None:
            unread = self._unread[entry.room] = Unread(entry.head, entry.read, entry.unread, entry.mentions)
        return unread

    def _count(self, entry: Entry) -> None:
        """Give an entry the counts of now, and keep it."""
        unread = self._unread_of(entry)
        entry.read, entry.unread, entry.mentions = unread.read, unread.unread, unread.mentions
        self._entries[entry.room] = entry

    def _forget(self, room: str) -> None:
        self._entries.pop(room, None)
        self._unread.pop(room, None)
        self._changed.pop(room, None)

    def _happened(self, fact: Fact) -> None:
        if isinstance(fact, facts.Closed) or (isinstance(fact, facts.Member) and self._is_end(fact)):
            self._forget(fact.room)
            self._ended[fact.room] = fact.seq
            if len(self._ended) > _MAX_ENDED:
                del self._ended[next(iter(self._ended))]
            return
        entry = self._entries.get(fact.room) or self._new(fact)
        if fact.seq <= entry.head:
            return  # It was counted when `welcome` was written.
        unread = self._unread_of(entry)
        changed = msgspec.structs.replace(entry, head=fact.seq)
        match fact:
            case facts.Message():
                self._message(changed, unread, fact)
            case facts.Edit() if fact.body is not None:
                unread.edited(fact.target, self._mentions_me(fact))
                if changed.last and changed.last.seq == fact.target:
                    changed.last = msgspec.structs.replace(changed.last, body=fact.body[:_LAST_CHARS])
            case facts.Delete():
                unread.deleted(fact)
                if changed.last and changed.last.seq == fact.target:
                    changed.last = msgspec.structs.replace(changed.last, body="", deleted=fact.ts)
            case facts.Group() | facts.Member() if isinstance(changed, RoomEntry):
                self._group(changed, fact)
        self._count(changed)

    def _group(self, entry: RoomEntry, fact: facts.Group | facts.Member) -> None:
        changes: dict[str, Any] = {}
        if isinstance(fact, facts.Group):
            if fact.title is not None:
                changes["title"] = fact.title
            if fact.post is not None:
                changes["post"] = None if fact.post == "members" else fact.post
        elif fact.change == "added":
            joined = entry.joined | dict.fromkeys(fact.users, fact.seq)
            entry.joined = dict(list(joined.items())[-_MAX_JOINED:])
        elif fact.change == "role" and self._me in fact.users and fact.role:
            changes["role"] = fact.role
        for field, value in changes.items():
            setattr(entry, field, value)
            self._changed.setdefault(entry.room, {})[field] = fact.seq

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

    def _message(self, entry: Entry, unread: Unread, fact: facts.Message) -> None:
        body = fact.body or ""
        entry.last = Last(seq=fact.seq, ts=fact.ts, sender=fact.sender, body=body[:_LAST_CHARS], deleted=fact.deleted)
        if fact.sender == self._me:
            unread.read_to(fact.seq)  # To write is to have read.
        elif fact.deleted is None:
            unread.came(fact.seq, self._mentions_me(fact))

    def _mentions_me(self, fact: facts.Message | facts.Edit) -> bool:
        """Whether a text counts among those that mention the user: those of users who are blocked do not."""
        return self._me in (fact.mentions or ()) and ids.dm(self._me, fact.sender) not in self._blocked

    def _read(self, event: replies.Read) -> None:
        entry = self._entries.get(event.room)
        if entry is None:
            return
        if event.sender != self._me:
            if event.seq > entry.reads.get(event.sender, 0):
                reads = {**entry.reads, event.sender: event.seq}
                self._entries[event.room] = msgspec.structs.replace(entry, reads=reads)
        elif event.seq > entry.read:
            self._unread_of(entry).read_to(event.seq)
            self._count(msgspec.structs.replace(entry))

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
        room = ids.dm(self._me, event.user)
        if event.state == "blocked":
            self._blocked.add(room)
            self._blocked_since.add(room)
        else:
            self._blocked.discard(room)
            self._blocked_since.discard(room)

    def _present(self, event: replies.Presence) -> None:
        for told in event.users:
            room = ids.dm(self._me, told.user)
            entry = self._entries.get(room)
            if isinstance(entry, ContactEntry):
                self._entries[room] = msgspec.structs.replace(entry, online=told.online, last_seen=told.last_seen)


def _common_fields(each: GroupEntry | ContactState) -> dict[str, Any]:
    """The fields of an entry that lists of groups and of contacts have in common."""
    return {
        "room": each.room,
        "epoch": each.epoch or "",
        "head": each.head,
        "read": each.read or 0,
        "unread": each.unread or 0,
        "mentions": each.mentions,
        "reads": each.reads,
        "got": each.got,
        "last": each.last,
    }


def _further(listed: Mapping[str, int], known: Mapping[str, int], head: int) -> dict[str, int]:
    """The positions of others as a list tells them, or further where an event has. Users whom the list leaves out may
    have left: their positions count only above its head."""
    return {**listed, **{user: seq for user, seq in known.items() if seq > listed.get(user, head)}}
