"""The chat in a terminal: what is typed goes to the current room, lines that begin with `/` are commands.

What others see is what the server recorded: one's own messages show when they come back from it, with the number
that `/edit`, `/delete` and `/react` take.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Final, NamedTuple

import trio

from gochat.client.chat import LIMIT, Chat
from gochat.client.errors import ClientError, Ended, raise_alone
from gochat.client.terminal import text
from gochat.client.wire import FACTS
from gochat.domain import facts, ids

#: How long a line is held back for a rate limit or a busy server before it is given up.
PATIENCE_S: Final = 30.0
_HITS: Final = 20


class Misused(Exception):
    """A command was typed wrongly; the text says how to type it."""


class Console:
    """`say` prints what was asked for, `note` what becomes of the connection and what went wrong. With `present`
    somebody is looking: what shows in the current room counts as read."""

    def __init__(
        self, chat: Chat, *, to: str | None, present: bool, say: Callable[[str], None], note: Callable[[str], None]
    ) -> None:
        self.chat = chat
        self.say = say
        self.note = note
        self._present = present
        self._to = to
        self._unread: dict[str, int] = {}
        self._seen = trio.Event()

    async def run(self, lines: AsyncIterable[str]) -> None:
        """Until the input ends or says so. Raises Ended when the server ends the session."""
        self._greet()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._show_events)
                nursery.start_soon(self._mark_read)
                await self._obey_all(lines)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise_alone(group)

    def _greet(self) -> None:
        welcome = self.chat.welcome
        self.note(f"* signed in as {text.inert(welcome.user)}")
        self.list_rooms()
        if self._to is None:
            self.note("* choose whom to write to with /to user:NAME or /to group:NAME; /help lists the commands")
        else:
            self.note(f"* writing to {text.inert(self._to)}; /help lists the commands")

    def list_rooms(self) -> None:
        welcome = self.chat.welcome
        for title, lines in (
            ("contacts:", [text.contact_line(entry) for entry in welcome.contacts]),
            ("groups:", [text.room_line(entry) for entry in welcome.rooms]),
        ):
            if lines:
                self.say("\n".join((title, *lines)))

    # ------------------------------------------------------------------------------------------ what comes

    async def _show_events(self) -> None:
        me = self.chat.user
        async for event in self.chat:
            if isinstance(event, FACTS):
                self.say(text.fact_line(event, me))
            elif (line := text.notice(event, me)) is not None:
                self.note(line)
            if isinstance(event, facts.Message) and event.sender != me and event.room == self._room_or_none():
                self._unread[event.room] = event.seq
                self._seen.set()

    async def _mark_read(self) -> None:
        """Tell what was read, the latest of each room, without holding up what shows."""
        while self._present:
            await self._seen.wait()
            self._seen = trio.Event()
            for room, seq in list(self._unread.items()):
                del self._unread[room]
                try:
                    await self.chat.read(room, seq)
                except Ended:
                    return
                except ClientError as error:
                    self.note(f"* not marked as read: {text.inert(str(error))}")

    # ------------------------------------------------------------------------------------------ what is typed

    async def _obey_all(self, lines: AsyncIterable[str]) -> None:
        async for line in lines:
            try:
                await self._obey(line)
            except Misused as misused:
                self.note(f"* {misused}")
            except Ended:
                raise
            except ClientError as error:
                self.note(f"* not done: {text.inert(str(error))}")
            except _Quit:
                return

    async def _obey(self, line: str) -> None:
        line = line.strip()
        if not line:
            return
        if not line.startswith("/") or line.startswith("//"):
            await self.chat.send(self.to(), line.removeprefix("/"), patience_s=PATIENCE_S)
            return
        name, _, rest = line[1:].partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            raise Misused(f"there is no /{text.inert(name)}; /help lists the commands, // begins a line with a slash")
        result = command.action(self, rest.strip())
        if result is not None:
            await result

    def to(self) -> str:
        """The address that lines go to."""
        if self._to is None:
            raise Misused("nobody to write to yet: /to user:NAME or /to group:NAME")
        return self._to

    def write_to(self, to: str) -> None:
        if ids.resolve(to, self.chat.user) is None:
            raise Misused("an address is user:NAME or group:NAME, in small letters")
        self._to = to
        self.note(f"* writing to {to}")

    def room(self) -> str:
        return self.chat.room(self.to())

    def _room_or_none(self) -> str | None:
        return None if self._to is None else self.chat.room(self._to)

    def group(self) -> str:
        """The current group's name."""
        if not self.to().startswith("group:"):
            raise Misused("the current room is no group: /to group:NAME first")
        return self.to()[6:]


class _Quit(Exception):
    """`/quit` was typed."""


class Command(NamedTuple):
    usage: str
    help: str
    action: Callable[[Console, str], Awaitable[None] | None]


def _number(word: str, usage: str) -> int:
    if not word.removeprefix("#").isdecimal():
        raise Misused(f"usage: {usage}")
    return int(word.removeprefix("#"))


def _seq_and_rest(rest: str, usage: str) -> tuple[int, str]:
    seq, _, more = rest.partition(" ")
    if not more.strip():
        raise Misused(f"usage: {usage}")
    return _number(seq, usage), more.strip()


def _users(words: list[str]) -> list[str]:
    return [word.removeprefix("user:").rstrip(",") for word in words]


def _to(console: Console, rest: str) -> None:
    console.write_to(rest)


async def _who(console: Console, rest: str) -> None:
    if console.to().startswith("group:"):
        async for member in console.chat.members(console.to()):
            name = "" if member.name == member.user else f" ({text.inert(member.name)})"
            console.say(f"  {text.inert(member.user)}{name}, {member.role}")
    else:
        peer = ids.peer(console.room(), console.chat.user)
        for entry in await console.chat.watch([peer]):
            console.say(text.presence_line(entry))


def _rooms(console: Console, rest: str) -> None:
    console.list_rooms()


async def _history(console: Console, rest: str) -> None:
    limit = _number(rest, COMMANDS["history"].usage) if rest else 20
    page = await console.chat.page(console.room(), limit=max(1, min(limit, LIMIT)))
    for fact in page.entries:
        # A page shows messages as they are now, so that what made them so is not shown again.
        if not isinstance(fact, facts.Edit | facts.Delete | facts.Reaction):
            console.say(text.fact_line(fact, console.chat.user))
    if not page.entries:
        console.note("* nothing yet")


async def _search(console: Console, rest: str) -> None:
    if not rest:
        raise Misused("usage: " + COMMANDS["search"].usage)
    found = 0
    async for fact in console.chat.search(rest, limit=_HITS):
        console.say(text.fact_line(fact, console.chat.user))
        found += 1
        if found == _HITS:
            break
    if not found:
        console.note("* nothing found")


async def _reply(console: Console, rest: str) -> None:
    seq, body = _seq_and_rest(rest, COMMANDS["reply"].usage)
    await console.chat.send(console.to(), body, reply_to=seq, patience_s=PATIENCE_S)


async def _edit(console: Console, rest: str) -> None:
    seq, body = _seq_and_rest(rest, COMMANDS["edit"].usage)
    await console.chat.edit(console.to(), seq, body, patience_s=PATIENCE_S)


async def _delete(console: Console, rest: str) -> None:
    await console.chat.delete(console.to(), _number(rest, COMMANDS["delete"].usage))


async def _react(console: Console, rest: str) -> None:
    seq, emoji = _seq_and_rest(rest, COMMANDS["react"].usage)
    await console.chat.react(console.to(), seq, emoji)


async def _unreact(console: Console, rest: str) -> None:
    seq, emoji = _seq_and_rest(rest, COMMANDS["unreact"].usage)
    await console.chat.react(console.to(), seq, emoji, on=False)


async def _watch(console: Console, rest: str) -> None:
    for entry in await console.chat.watch(_users(rest.split())):
        console.say(text.presence_line(entry))


async def _group(console: Console, rest: str) -> None:
    action, *words = rest.split() or [""]
    chat = console.chat
    match action, words:
        case "create", [name, *users]:
            await chat.create_group(name, users=_users(users))
            console.write_to(f"group:{name.removeprefix('group:')}")
        case "add", [_, *_]:
            await chat.add_users(console.group(), _users(words))
        case "remove", [_, *_]:
            await chat.remove_users(console.group(), _users(words))
        case "role", [user, ("owner" | "moderator" | "member") as role]:
            await chat.set_role(console.group(), _users([user])[0], role)
        case "title", [_, *_]:
            await chat.set_group(console.group(), title=" ".join(words))
        case "leave", [*heir] if len(heir) < 2:
            await chat.leave_group(console.group(), successor=next(iter(_users(heir)), None))
        case "delete", []:
            await chat.delete_group(console.group())
        case _:
            raise Misused("usage: " + COMMANDS["group"].usage)


def _help(console: Console, rest: str) -> None:
    width = max(len(command.usage) for command in COMMANDS.values() if len(command.usage) < 30)
    for command in COMMANDS.values():
        gap = "\n" + " " * (width + 4) if len(command.usage) > width else " " * (width + 2 - len(command.usage))
        console.say(f"  {command.usage}{gap}{command.help}")


def _quit(console: Console, rest: str) -> None:
    raise _Quit


COMMANDS: Final[dict[str, Command]] = {
    "to": Command("/to user:NAME | group:NAME", "write to somebody else", _to),
    "rooms": Command("/rooms", "contacts and groups as of the last sign-in", _rooms),
    "who": Command("/who", "who is in this room", _who),
    "history": Command("/history [N]", "the last N entries of this room (20)", _history),
    "search": Command("/search WORDS", "messages with these words, in all your rooms", _search),
    "reply": Command("/reply NUMBER TEXT", "answer a message", _reply),
    "edit": Command("/edit NUMBER TEXT", "change a message of yours", _edit),
    "delete": Command("/delete NUMBER", "delete a message", _delete),
    "react": Command("/react NUMBER EMOJI", "react to a message", _react),
    "unreact": Command("/unreact NUMBER EMOJI", "take a reaction back", _unreact),
    "watch": Command("/watch USER...", "see when they come and go", _watch),
    "group": Command(
        "/group create NAME [USER...] | add USER... | remove USER... | role USER ROLE | title TEXT | "
        "leave [HEIR] | delete",
        "found a group; the others are about the current one",
        _group,
    ),
    "help": Command("/help", "this list", _help),
    "quit": Command("/quit", "leave, as Ctrl-D does", _quit),
}
