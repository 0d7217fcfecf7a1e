"""The desk as commands see it: with the room in which a command was typed, wherever its user has gone meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from gochat.client.chat import Chat
from gochat.client.screen.composer import Composer
from gochat.client.screen.state import STATUS, State
from gochat.client.screen.viewport import Viewport
from gochat.client.terminal import text
from gochat.client.terminal.command import Misused
from gochat.client.unsent import Unsendable, Unsent
from gochat.domain import ids


class Desk(Protocol):
    """The parts of a desk that commands use (gochat.client.screen.desk)."""

    chat: Chat
    unsent: Unsent
    state: State
    viewport: Viewport
    composer: Composer

    def open(self, room: str) -> None:
        """Go to a room."""

    def close(self, room: str) -> None:
        """Take a room off the list."""

    async def presence_of(self, user: str) -> str:
        """A line that says whether a user is online."""


class RoomFront:
    """See the module, and gochat.client.terminal.command.Front."""

    def __init__(self, desk: Desk, room: str) -> None:
        self.desk = desk
        self.chat = desk.chat
        self.unsent = desk.unsent
        self._room = room
        self._marked = desk.viewport.selected if room == desk.state.current else None
        """Commands that wait for the server mean the message that was marked when they were typed."""
        self.say: Callable[[str], None] = self._say
        self.note: Callable[[str], None] = self._note

    def _say(self, line: str) -> None:
        self.desk.state.note(line, self._room, "say")

    def _note(self, line: str) -> None:
        self.desk.state.note(line.removeprefix("* "), self._room)

    @property
    def window(self) -> str:
        """The room in which the command was typed, or STATUS."""
        return self._room

    def list_rooms(self) -> None:
        rooms, me = self.desk.state.rooms, self.chat.user
        for entry in rooms.requests:
            self.say(text.request_line(entry, me))
        for contact in rooms.contacts:
            self.say(text.contact_line(contact, presence=contact.user in self.desk.state.watched))
        for group in rooms.groups:
            self.say(text.room_line(group))
        if not (rooms.contacts or rooms.groups or rooms.requests):
            self.note("no rooms yet: /msg USER TEXT writes to somebody, /group create NAME founds a group")

    def list_unsent(self) -> None:
        for draft in self.unsent:
            self.say(text.unsent_line(draft))
        if not self.unsent:
            self.note("everything is sent")

    async def write(self, body: str, *, reply_to: int | None = None, edits: int | None = None) -> None:
        self.put(self.to(), body, reply_to=reply_to, edits=edits)

    def put(self, to: str, body: str, *, reply_to: int | None = None, edits: int | None = None) -> None:
        """Take a message; it is sent as soon as the server takes it. Raises Misused where too much waits already."""
        try:
            self.unsent.write(to, body, reply_to=reply_to, edits=edits)
        except Unsendable as error:
            raise Misused(f"not taken: {error}; /unsent lists them, /drop NUMBER forgets one") from error

    def to(self) -> str:
        if self._room == STATUS:
            raise Misused(
                "this window is no room: /join group:NAME or /query USER opens one, Alt+1 to Alt+9 go to them"
            )
        return self.desk.state.address(self._room)

    def room(self) -> str:
        self.to()
        return self._room

    def group(self) -> str:
        if not self.to().startswith("group:"):
            raise Misused("this room is no group: /join group:NAME first")
        return self.to()[6:]

    async def write_to(self, to: str) -> None:
        desk = self.desk
        if desk.state.current == self._room and not desk.composer.text and desk.composer.search is None:
            self.go_to(to)
        else:
            # The user has gone on meanwhile, and what is being typed must not end up in another room.
            self.note(f"{text.inert(to)} is there: /join {text.inert(to)} goes to it")

    def go_to(self, to: str) -> None:
        """Open the room of an address. Raises Misused if it is none."""
        room = ids.resolve(to, self.chat.user)
        if room is None:
            raise Misused("an address is user:NAME or group:NAME, in small letters")
        self.desk.open(room)

    async def show_waiting(self, user: str) -> None:
        """The messages of a stranger show in their room as any others do."""

    async def names_of(self, users: Iterable[str]) -> Callable[[str], str]:
        self.desk.state.shown.learn(await self.chat.names(users))
        return self.desk.state.name

    def holds(self, user: str, state: str) -> None:
        """Follow a change that this user made: no event of it comes to this session."""
        self.desk.state.related(user, state)

    def chosen(self, *, own: bool) -> int:
        """The message that a command without a number means: the marked one, else the latest of the user's own, or of
        the others. Raises Misused if there is none."""
        if self._marked is not None:
            return self._marked
        me = self.chat.user
        for message in self.desk.state.timeline(self.room()).messages():
            if (message.sender == me) is own:
                return message.seq
        raise Misused("there is no message here that this could be about")
