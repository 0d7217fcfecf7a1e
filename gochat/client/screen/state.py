"""All that the screen shows, and nothing of how: rooms in their order, the current one, who types, who has read. Pure.

It is fed every event; `now` is a monotonic time in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gochat.client.events import Event, Listed, Offline, Online
from gochat.client.names import ShownNames, users_in
from gochat.client.positions import Reset
from gochat.client.rooms import Rooms
from gochat.client.screen.timeline import Timeline
from gochat.client.terminal import text
from gochat.client.wire import FACTS, Fact
from gochat.domain import facts, ids
from gochat.protocol import replies
from gochat.protocol.entries import ContactEntry, RoomEntry

#: The window that is no room: what concerns none of them is told here.
STATUS: Final = ""
#: A user who types is shown as typing for so long, as the protocol says.
TYPING_S: Final = 6.0
#: Users that are shown as typing; with more of them it is "several people".
MAX_TYPING: Final = 20
#: Rooms whose messages are kept, the latest that were looked at.
MAX_TIMELINES: Final = 30
#: Readers that are kept of one room; a server tells them for rooms of up to 50.
_MAX_READERS: Final = 100


class State:
    def __init__(self, welcome: replies.Welcome, to: str | None) -> None:
        self.me = welcome.user
        self.rooms = Rooms(welcome)
        self.body_chars = welcome.limits.body_chars
        self.offline: str | None = None
        """Why there is no connection, if there is none."""
        self.held: str | None = None
        """Why the next message waits, if the server asks for patience."""
        self.order: list[str] = [STATUS]
        """The windows by number: a room keeps its number as long as it is open."""
        self.current = STATUS
        self.last = STATUS
        """The window before this one."""
        self.mentioned: set[str] = set()
        """Rooms with a message that names the user, and that was not looked at."""
        self.unread_from: dict[str, int] = {}
        """By room, the seq after which messages were new when the room was last opened."""
        self.watched: frozenset[str] = frozenset()
        """Users whose presence is up to date."""
        self.relations = 0
        """Grows when somebody may see, or see no longer, whether another user is online."""
        self.met: set[str] = {self.me}
        """Users that are known to exist, or were asked about."""
        self.names: dict[str, list[str]] = {}
        """Members of groups, as far as they were listed."""
        self.shown = ShownNames()
        self.shown.want([self.me])
        self._timelines: dict[str, Timeline] = {}
        self._typing: dict[str, dict[str, float]] = {}
        self._reads: dict[str, dict[str, int]] = {}
        self._joined: dict[str, dict[str, int]] = {}
        """Where users came into groups: what was said before they have neither read nor got."""
        self._got: dict[str, dict[str, int]] = {}
        self._heads: dict[str, int] = {}
        self._mention = re.compile(rf"(?<![\w.-])@?{re.escape(self.me)}(?![\w-])", re.IGNORECASE).search
        self._number_rooms()
        if to is not None:
            self.open(self.room(to))
        elif len(self.order) > 1:
            self.open(self.order[1])

    def room(self, to: str) -> str:
        """The room id of an address."""
        return ids.resolve(to, self.me) or to

    def address(self, room: str) -> str:
        """The address of a room, as one types it."""
        return f"user:{ids.peer(room, self.me)}" if ids.is_dm(room) else room

    # ------------------------------------------------------------------------------------------ windows

    def open(self, room: str) -> None:
        """Make a room the current one."""
        if room not in self.order:
            self.order.append(room)
        if room != self.current:
            self.last = self.current
        self.current = room
        self.mentioned.discard(room)
        self.unread_from.pop(room, None)
        entry = self.rooms.entry(room)
        if entry is not None and entry.unread:
            self.unread_from[room] = entry.read
        timeline = self._timelines.pop(room, None) or Timeline()
        self._timelines[room] = timeline
        while len(self._timelines) > MAX_TIMELINES:
            oldest = next(each for each in self._timelines if each not in (STATUS, room))
            del self._timelines[oldest]

    def close(self, room: str) -> None:
        """Take a room off the list until something is said there. The status window stays."""
        if room == STATUS or room not in self.order:
            return
        if self.current == room:
            self.open(self.last if self.last != room else STATUS)
        self.order.remove(room)
        self._timelines.pop(room, None)
        if self.last == room:
            self.last = STATUS

    def number(self, room: str) -> int:
        """The number of a window, from 1."""
        return self.order.index(room) + 1

    def step(self, by: int) -> str:
        """The window that is so many further in the list, which goes on at its other end."""
        return self.order[(self.order.index(self.current) + by) % len(self.order)]

    def active(self) -> list[str]:
        """Rooms with something new, in the order of going there: those that name the user first, then private ones."""
        fresh = [room for room in self.order if room != self.current and (self.unread(room) or self.asks(room))]
        return sorted(fresh, key=lambda room: (room not in self.mentioned, not ids.is_dm(room)))

    def unread(self, room: str) -> int:
        entry = self.rooms.entry(room)
        return entry.unread if entry is not None else 0

    def asks(self, room: str) -> bool:
        """Whether it is the room of a stranger who waits for an answer."""
        return ids.is_dm(room) and self.rooms.is_asked_by(ids.peer(room, self.me))

    def timeline(self, room: str) -> Timeline:
        if room not in self._timelines:
            self._timelines[room] = Timeline()
        return self._timelines[room]

    def head(self, room: str) -> int:
        """The latest fact of a room that has come, be it by an event or in a page; 0 where none has."""
        timeline = self._timelines.get(room)
        return max(self._heads.get(room, 0), 0 if timeline is None else timeline.head)

    def title(self, room: str) -> str:
        """The name of a room, for its row in the list."""
        if room == STATUS:
            return "gochat"
        return self.name(ids.peer(room, self.me)) if ids.is_dm(room) else text.inert(room.removeprefix("group:"))

    def name(self, user: str) -> str:
        """A user's name as it is shown, on one line; the id where no name is known."""
        return text.inert(self.shown.of(user))

    def note(self, text: str, room: str | None = None, style: str = "note") -> None:
        """A notice of this client in a room, or in the current one."""
        self.timeline(self.current if room is None else room).add_note(text, style)

    # ------------------------------------------------------------------------------------------ what comes

    def take(self, event: Event, now: float) -> bool:
        """Follow an event. True if it is worth a sound: it is for this user alone, or names them."""
        self.rooms.take(event)
        match event:
            case Offline():
                self.offline = event.reason
                self._typing.clear()
            case Online():
                self.offline = None
                self.shown.ask_again()
                self._number_rooms()
                self._forget_mentions()
                return False
            case Listed():
                self._number_rooms()
            case replies.Contact():
                self.relations += 1
                self._number_rooms()
            case replies.Request():
                self._number_rooms()
                return True
            case replies.Typing():
                self.shown.want([event.sender])
                self._typing_now(event, now)
            case replies.Read():
                self.receipts(event.room, {event.sender: event.seq}, {})
                self._forget_mentions()
            case replies.Got():
                self.receipts(event.room, {}, event.got)
            case Reset():
                self._reset(event)
            case replies.Presence():
                pass
            case replies.Error():
                self.note(f"{text.inert(event.message)} ({text.inert(event.code)})", STATUS, "error")
        if isinstance(event, FACTS):
            if ids.is_dm(event.room) and event.seq == 1:
                self.relations += 1
            return self._fact(event)
        return False

    def _reset(self, event: Reset) -> None:
        """Forget what belongs to the log that is gone."""
        if event.room in self._timelines:
            self._timelines[event.room].forget()
        for known in (self._reads, self._got, self._joined, self.names, self.unread_from):
            known.pop(event.room, None)
        self._heads[event.room] = event.head

    def _forget_mentions(self) -> None:
        """Users whose other device has read them are called no longer."""
        self.mentioned = {room for room in self.mentioned if self.unread(room)}

    def _fact(self, fact: Fact) -> bool:
        self.want_names([fact])
        self._heads[fact.room] = fact.seq
        timeline = self._timelines.get(fact.room)
        if timeline is not None:
            timeline.take(fact)
            if fact.room != self.current:
                timeline.trim()
        gone = fact.room not in self.rooms
        if fact.room not in self.order and not gone:
            self.order.append(fact.room)
        if gone and fact.room in self.order:
            # The window stays, and so does what is being typed there: it must not end up in another room.
            self.note("you are no longer in this group; /close takes it off the list", fact.room, "error")
        if gone:
            self.names.pop(fact.room, None)
        if isinstance(fact, facts.Member) and fact.change == "added":
            self.receipts(fact.room, {}, {}, dict.fromkeys(fact.users, fact.seq))
        if isinstance(fact, facts.Member) and (members := self.names.get(fact.room)) is not None:
            # A new member is on the list already where it was fetched after the event was sent.
            others = [user for user in members if user not in fact.users]
            self.names[fact.room] = others if fact.change in ("removed", "left") else [*others, *fact.users]
        if fact.sender in self._typing.get(fact.room, ()):
            del self._typing[fact.room][fact.sender]
        if not isinstance(fact, facts.Message) or fact.sender == self.me:
            return False
        named = self.names_me(fact)
        if named and fact.room != self.current:
            self.mentioned.add(fact.room)
        return named or ids.is_dm(fact.room)

    def want_names(self, told: Iterable[Fact]) -> None:
        """The names of the users whom these facts name are to be shown."""
        self.shown.want(users_in(told))

    def names_me(self, message: facts.Message) -> bool:
        """Whether a message of somebody else names this user."""
        return message.sender != self.me and message.body is not None and self._mention(message.body) is not None

    def _number_rooms(self) -> None:
        """Give new rooms their numbers: the latest talk first, requests before all."""
        entries: list[ContactEntry | RoomEntry] = [*self.rooms.contacts, *self.rooms.groups]
        entries.sort(key=lambda entry: entry.last.ts if entry.last else 0, reverse=True)
        for entry in entries:
            self.receipts(entry.room, entry.reads, entry.got, entry.joined if isinstance(entry, RoomEntry) else {})
        self.shown.learn({each.user: each.name for each in self.rooms.contacts})
        self.shown.learn({each.user: each.name for each in self.rooms.requests})
        rooms = [entry.room for entry in self.rooms.requests] + [entry.room for entry in entries]
        known = set(self.order)
        self.order += [room for room in dict.fromkeys(rooms) if room not in known]

    # ------------------------------------------------------------------------------------------ typing, receipts

    def _typing_now(self, event: replies.Typing, now: float) -> None:
        typing = self._typing.get(event.room, {})
        typists = self._typing[event.room] = {user: until for user, until in typing.items() if until > now}
        if event.sender in typists or len(typists) < MAX_TYPING:
            typists[event.sender] = now + TYPING_S

    def typists(self, room: str, now: float) -> list[str]:
        """The users who type in a room."""
        return [user for user, until in self._typing.get(room, {}).items() if until > now]

    def typing_ends(self, room: str, now: float) -> float | None:
        """When the first of them is shown no longer, in seconds from now; None if nobody types."""
        return min((until - now for until in self._typing.get(room, {}).values() if until > now), default=None)

    def receipts(
        self, room: str, reads: Mapping[str, int], got: Mapping[str, int], joined: Mapping[str, int] | None = None
    ) -> None:
        """Others have read a room up to these facts, and have these on a device: told by an event, a list or a page.
        `joined`: where they came in."""
        for told, known in ((reads, self._reads), (got, self._got), (joined or {}, self._joined)):
            users = known.setdefault(room, {})
            self.shown.want(told)
            for user, seq in told.items():
                if user != self.me and (user in users or len(users) < _MAX_READERS):
                    users[user] = max(seq, users.get(user, 0))

    def readers(self, room: str, seq: int) -> list[str]:
        """The other users that are known to have read up to this message, or further."""
        return self._reached(room, seq, self._reads)

    def _reached(self, room: str, seq: int, positions: Mapping[str, Mapping[str, int]]) -> list[str]:
        joined = self._joined.get(room, {})
        return sorted(
            user for user, position in positions.get(room, {}).items() if joined.get(user, 0) < seq <= position
        )

    def receivers(self, room: str, seq: int) -> list[str]:
        """The other users that are known to have this message on a device."""
        return sorted({*self._reached(room, seq, self._got), *self.readers(room, seq)})

    # ------------------------------------------------------------------------------------------ people

    def related(self, user: str, state: str) -> None:
        """This user's relation to another is another one now."""
        self.rooms.take(replies.Contact(user=user, state=state))  # type: ignore[arg-type]  # as the server calls it
        self.relations += 1
        self._number_rooms()

    def to_watch(self, limit: int) -> list[str]:
        """The users whose presence is worth knowing: the peer of the current room, then those of the list."""
        rooms = [self.current, *self.order]
        users = [ids.peer(room, self.me) for room in rooms if ids.is_dm(room)]
        return [user for user in dict.fromkeys(users) if user != self.me][:limit]

    def is_online(self, room: str) -> bool | None:
        """Whether the other user of a private room is online; None where that is not known."""
        entry = self.rooms.entry(room)
        if entry is None or not isinstance(entry, ContactEntry) or entry.user not in self.watched:
            return None
        return entry.online

    def users(self) -> Iterator[str]:
        """Everybody who is known by a private room or a list of members."""
        for room in self.order:
            if ids.is_dm(room):
                yield ids.peer(room, self.me)
        for members in self.names.values():
            yield from members

    def groups(self) -> list[str]:
        return [room.removeprefix("group:") for room in self.order if room.startswith("group:")]

    def here(self) -> Iterator[str]:
        """Users of the current room, the latest writer first."""
        if self.current != STATUS:
            for message in self.timeline(self.current).messages():
                if message.sender != self.me:
                    yield message.sender
            yield from self.names.get(self.current, ())
