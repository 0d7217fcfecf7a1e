"""The chat in a terminal: typed lines go to the current room, lines that begin with `/` are commands.

The screen shows only recorded messages, as others see them: one's own show when they come back from the server, with
the number that `/edit`, `/delete` and `/react` take. Until then they are unsent (gochat.client.unsent): a line is taken
at once, whether or not there is a connection, and leaving tells which lines never went.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Final

import trio

from gochat.client.chat import Chat
from gochat.client.errors import ClientError, Ended, Refused, raise_alone
from gochat.client.events import Event, Offline, Online
from gochat.client.positions import Reset
from gochat.client.rooms import Rooms
from gochat.client.terminal import text
from gochat.client.terminal.command import Misused, Quit
from gochat.client.terminal.commands import COMMANDS
from gochat.client.terminal.stdin import Unreadable
from gochat.client.unsent import Draft, Unsendable, Unsent
from gochat.client.wire import FACTS, Fact
from gochat.domain import facts, ids
from gochat.domain.plurals import counted
from gochat.protocol import replies

#: From here on a pause that the server asks for is worth a line; shorter ones nobody notices.
_SLOW_S: Final = 3.0
#: How long a command waits for messages that were typed before it; longer only where they are held up.
_IN_TURN_S: Final = 1.0
#: Most messages of a stranger that are looked for in the history; `policy.request_messages` is 3 by default.
_WAITING: Final = 50


class Console:
    """`say` prints output that was asked for, `note` the state of the connection and errors. With `present`
    somebody is looking: what shows in the current room counts as read."""

    def __init__(
        self, chat: Chat, *, to: str | None, present: bool, say: Callable[[str], None], note: Callable[[str], None]
    ) -> None:
        self.chat = chat
        self.say = say
        self.note = note
        self.rooms = Rooms(chat.welcome)
        self.unsent = Unsent(chat, on_ack=self._sent, on_refused=self._refused, on_wait=self._slowed)
        self.failures = 0
        """Lines that were refused, or could not be read."""
        self.taken = 0
        """Lines that were taken from the input."""
        self.in_hand: str | None = None
        """The last of these, until it is carried out or has become a draft."""
        self.at_end = False
        """Whether no more of the input is wanted: it has ended, or the user is done."""
        self._present = present
        self._to = to
        self._online = True
        self._asking_server: trio.CancelScope | None = None
        self._unread: dict[str, int] = {}
        self._seen = trio.Event()
        self._asking = {entry.user for entry in chat.welcome.requests}
        """Users who are known to wait for an answer."""
        self._shown: dict[str, int] = {}
        """By room, the last fact on the screen: a message that waited for an answer may come as an event too."""

    async def run(self, lines: AsyncIterable[str | Unreadable]) -> None:
        """Until the input ends or says so, and everything typed before is sent or refused. Raises Ended when the server
        ends the session."""
        self._greet()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._show_events)
                nursery.start_soon(self._mark_read)
                nursery.start_soon(self.unsent.run)
                await self._try(self._show_current())
                await self._obey_all(lines)
                await self._send_rest()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise_alone(group)

    async def _send_rest(self) -> None:
        if self._present and self.unsent.waiting:
            count = counted(self.unsent.waiting, "message")
            self.note(f"* {count} not sent yet; gochat waits for the server. Ctrl-C drops what waits")
        await self.unsent.settled()

    def list_unsent(self) -> None:
        """Print the messages that the server has not recorded, or that there is none."""
        for draft in self.unsent:
            self.say(text.unsent_line(draft))
        if not self.unsent:
            self.note("* everything is sent")

    def _greet(self) -> None:
        welcome = self.chat.welcome
        self.note(f"* signed in as {text.inert(welcome.user)}")
        self._list_rooms(presence=True)
        if self._to is None:
            self.note("* choose whom to write to with /to user:NAME or /to group:NAME; /help lists the commands")
        else:
            self.note(f"* writing to {text.inert(self._to)}; /help lists the commands")

    def list_rooms(self) -> None:
        self._list_rooms(presence=False)
        if not (self.rooms.contacts or self.rooms.groups or self.rooms.requests):
            self.note("* no rooms yet: /to user:NAME writes to somebody, /group create NAME founds a group")

    def _list_rooms(self, *, presence: bool) -> None:
        rooms = self.rooms
        for title, lines in (
            ("contacts:", [text.contact_line(entry, presence=presence) for entry in rooms.contacts]),
            ("groups:", [text.room_line(entry) for entry in rooms.groups]),
            ("requests:", [text.request_line(entry, self.chat.user) for entry in rooms.requests]),
        ):
            if lines:
                self.say("\n".join((title, *lines)))
        for line in text.unreadable_lines(rooms.unreadable, self.chat.user):
            self.note(line)

    # ------------------------------------------------------------------------------------------ what comes

    async def _show_events(self) -> None:
        me = self.chat.user
        async for event in self.chat:
            self.rooms.take(event)
            if isinstance(event, FACTS):
                self._show(event)
            elif isinstance(event, replies.Request):
                self._asking.add(event.user)
                self.say(f"{text.request_line(event, me)} {self._hint(event.user)}")
            else:
                self._follow(event)
                if (line := text.notice(event, me)) is not None:
                    self.note(line)
            if isinstance(event, facts.Message) and event.sender != me and event.room == self._room_or_none():
                self._has_read(event.room, event.seq)

    def _show(self, fact: Fact) -> None:
        if fact.seq > self._shown.get(fact.room, 0):
            self._shown[fact.room] = fact.seq
            self.say(text.fact_line(fact, self.chat.user))

    def _follow(self, event: Event) -> None:
        """Keep in mind who waits for an answer."""
        match event:
            case replies.Contact():
                self.holds(event.user, event.state)
            case Offline():
                self._online = False
                if self._present and self._asking_server is not None:
                    self._asking_server.cancel()
            case Online():
                self._online = True
                self._asking = {entry.user for entry in event.welcome.requests}
            case Reset():
                self._shown.pop(event.room, None)

    async def names_of(self, users: Iterable[str]) -> Callable[[str], str]:
        return text.inert  # Lines show ids throughout: programs read them too.

    def holds(self, user: str, state: str) -> None:
        """This user's relation to another has changed, here or elsewhere: no event tells of the former."""
        self.rooms.take(replies.Contact(user=user, state=state))  # type: ignore[arg-type]  # as the server calls it
        if state == "request":
            self._asking.add(user)
        else:
            self._asking.discard(user)

    def _hint(self, user: str) -> str:
        """The answers that a request can have."""
        who = text.inert(user)
        reply = "just write back" if self._to == f"user:{user}" else f"/to user:{who} and write back"
        return f"(/accept {who}, /decline {who}, /block {who}; or {reply})"

    async def show_waiting(self, user: str) -> None:
        """Show the messages with which a stranger asks to write, if one does."""
        if user not in self._asking:
            return
        page = await self.chat.page(f"user:{user}", limit=_WAITING)
        waiting: list[facts.Message] = []
        for fact in reversed(page.entries):
            if fact.sender != user:
                break
            if isinstance(fact, facts.Message):
                waiting.append(fact)
        for fact in reversed(waiting):
            self._show(fact)
        if waiting:
            self._has_read(page.room, waiting[0].seq)

    async def _show_current(self) -> None:
        """A hint about the address that lines go to now: that user waits for an answer, or is nobody yet."""
        room = self._room_or_none()
        if room is None or not ids.is_dm(room) or not self._online:
            return
        peer = ids.peer(room, self.chat.user)
        if peer in self._asking:
            await self.show_waiting(peer)
            self.note(f"* {text.inert(peer)} wants to write to you {self._hint(peer)}")
        elif peer != self.chat.user and self._present and room not in self.rooms and not await self.chat.is_known(peer):
            self.note(f"* nobody has signed in as {text.inert(peer)} yet; they will see what you write when they do")

    def _has_read(self, room: str, seq: int) -> None:
        self._unread[room] = max(seq, self._unread.get(room, 0))
        self._seen.set()

    async def _mark_read(self) -> None:
        """Send read positions, the latest of each room, without holding up the screen."""
        while self._present:
            await self._seen.wait()
            self._seen = trio.Event()
            for room, seq in list(self._unread.items()):
                del self._unread[room]
                try:
                    await self.chat.read(room, seq)
                except Ended:
                    return  # `_show_events` raises it too.
                except ClientError as error:
                    self.note(f"* not marked as read: {text.inert(str(error))}")

    # ------------------------------------------------------------------------------------------ what is typed

    async def _obey_all(self, lines: AsyncIterable[str | Unreadable]) -> None:
        async for line in lines:
            self.taken += 1
            if isinstance(line, Unreadable):
                self.failures += 1
                self.note(f"* not sent: {'' if self._present else f'line {self.taken}: '}{line.problem}")
                continue
            self.in_hand = line
            try:
                await self._try(self._obey(line))
            except Quit:
                break  # The rest of the input is not read: the user is done.
            self.in_hand = None
        self.in_hand, self.at_end = None, True

    async def _try(self, doing: Awaitable[None]) -> None:
        """Say why something can't be done, instead of ending for it."""
        try:
            await doing
        except Misused as misused:
            self.failures += 1
            self.note(f"* {misused}")
        except Ended:
            raise
        except ClientError as error:
            self.failures += 1
            self.note(f"* {text.failure(error)}")

    async def _obey(self, line: str) -> None:
        line = line.strip()
        if not line:
            return
        if not line.startswith("/") or line.startswith("//"):
            await self.write(line.removeprefix("/"))
            return
        name, _, rest = line[1:].partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            raise Misused(f"there is no /{text.inert(name)}; /help lists the commands, // begins a line with a slash")
        result = command.action(self, rest.strip())
        if result is not None:
            await self._ask_server(result)

    async def _ask_server(self, result: Awaitable[None]) -> None:
        """Carry out a command that needs the server, after the messages before it. In a pipe it waits for that, and
        for a connection; a person waits no longer than is noticed, is told at once that there is no connection, and
        can type something else."""
        with trio.move_on_after(_IN_TURN_S if self._present else math.inf):
            await self.unsent.settled()
        may_leave = self._online
        with trio.CancelScope() as self._asking_server:
            if self._present and not self._online:
                self._asking_server.cancel()
            await result
        if self._asking_server.cancelled_caught:
            self.note(f"* {text.ANSWER_LOST if may_leave else text.NOT_SENT}. /unsent lists what waits")
        self._asking_server = None

    async def write(self, body: str, *, reply_to: int | None = None, edits: int | None = None) -> None:
        """Take a line for the current room; it is sent as soon as the server takes it. Raises Misused where too much
        waits already, but makes a pipe wait."""
        to = self.to()
        if not self._present:
            await self.unsent.space()
        try:
            self.unsent.write(to, body, reply_to=reply_to, edits=edits)
        except Unsendable as error:
            raise Misused(f"not taken: {error}; /unsent lists them, /drop NUMBER forgets one") from error

    # ------------------------------------------------------------------------------------------ what becomes of it

    def _sent(self, draft: Draft, ack: replies.Ack) -> None:
        if ack.request:
            peer = text.inert(ids.peer(ack.room, self.chat.user))
            self.note(f"* {peer} gets this as a request: they must accept you before you can go on writing")

    def _refused(self, draft: Draft) -> None:
        self.failures += 1
        assert draft.refused is not None
        self.note(f"* not done: {text.inert(text.refusal(draft.refused))}")
        if self._present:
            self.note(f"* it is kept: /retry {draft.number} sends it again, /drop {draft.number} forgets it")
        elif self.unsent.full:
            self._forget_oldest_refused()

    def _forget_oldest_refused(self) -> None:
        """Make room for a pipe's next line, of which nobody can drop one: without it the pipe would wait for ever."""
        oldest = next(draft for draft in self.unsent if draft.refused is not None)
        self.note(f"* not sent, and kept no longer:\n{text.unsent_line(oldest)}")
        self.unsent.drop(oldest.number)

    def _slowed(self, refused: Refused, waited_s: float) -> None:
        if refused.wait_s >= _SLOW_S:
            self.note(f"* the server takes the next message in {refused.wait_s:.0f} s; /unsent lists what waits")
        elif waited_s - refused.wait_s < _SLOW_S <= waited_s:
            # Short pauses, one after the other: said once, for it may go on for as long as a disk stays full.
            self.note(
                f"* not sent yet: {text.inert(text.refusal(refused))}; it is tried again until the server takes it"
            )

    def to(self) -> str:
        """The address that lines go to."""
        if self._to is None:
            raise Misused("nobody to write to yet: /to user:NAME or /to group:NAME")
        return self._to

    async def write_to(self, to: str) -> None:
        if ids.resolve(to, self.chat.user) is None:
            raise Misused("an address is user:NAME or group:NAME, in small letters")
        self._to = to
        self.note(f"* writing to {to}")
        await self._show_current()

    def room(self) -> str:
        return self.chat.room(self.to())

    def _room_or_none(self) -> str | None:
        return None if self._to is None else self.chat.room(self._to)

    def group(self) -> str:
        """The current group's name."""
        if not self.to().startswith("group:"):
            raise Misused("the current room is no group: /to group:NAME first")
        return self.to()[6:]
