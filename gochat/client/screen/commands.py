"""The commands of the full screen: those of the line client, and those that a user of IRC types without thinking."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from gochat.client.screen.completion import emoji_named
from gochat.client.screen.front import RoomFront
from gochat.client.screen.state import STATUS
from gochat.client.terminal import commands as shared
from gochat.client.terminal import text
from gochat.client.terminal.command import Command, Front, Misused, user_of
from gochat.domain import ids
from gochat.domain.facts import Role
from gochat.domain.plurals import counted
from gochat.protocol.entries import RoomEntry

Action: TypeAlias = Callable[[RoomFront, str], Awaitable[None] | None]

#: Lines that `/help` begins with.
KEYS: Final = (
    "Enter sends, Alt+Enter begins a new line, Tab completes commands, users, groups and :emoji",
    "Alt+1 to Alt+9, Alt+0 go to a window; Alt+Left, Alt+Right, Ctrl-P, Ctrl-N step; Alt+A goes where news is",
    "PgUp and PgDn scroll, Ctrl+Home goes to the first new message, Ctrl+End to the end",
    "Up and Down fetch what you typed before, Ctrl-R finds it by a part of it: Ctrl-R again goes on, Enter takes it",
    "Alt+Up and Alt+Down mark a message: Enter then answers it, /edit /react /delete /report mean it, Esc lets go",
    "Ctrl-A Ctrl-E Ctrl-W Ctrl-U Ctrl-K Ctrl-Y edit as in a shell; Ctrl-C empties the line, Ctrl-D then leaves",
)
_numbered = re.compile(r"#?\d+(?: |$)").match
_emoji_name = re.compile(r":([\w-]+):?").fullmatch


def _to(front: RoomFront, rest: str) -> None:
    if not rest:
        raise Misused("usage: " + COMMANDS["join"].usage)
    known = f"group:{rest.lstrip('#')}"
    if ":" not in rest and ids.is_name(rest.lstrip("#")):
        # As in IRC, a bare name is a channel; where only a user has that name it is the user.
        rest = known if known in front.desk.state.order or f"user:{rest}" not in _users(front) else f"user:{rest}"
    if rest.startswith("group:") and rest in _rooms_left(front, rest):
        raise Misused(f"you are not in {text.inert(rest)}: a member adds you, or /group create NAME founds a group")
    front.go_to(rest)


def _users(front: RoomFront) -> set[str]:
    return {f"user:{user}" for user in front.desk.state.users()}


def _rooms_left(front: RoomFront, room: str) -> tuple[str, ...]:
    """The group, if this user is not in it."""
    return () if room in front.desk.state.rooms else (room,)


def _query(front: RoomFront, rest: str) -> None:
    front.go_to(f"user:{user_of(rest, COMMANDS['query'].usage)}")


def _msg(front: RoomFront, rest: str) -> None:
    to, _, body = rest.partition(" ")
    if not body.strip():
        raise Misused("usage: " + COMMANDS["msg"].usage)
    address = to if ":" in to else f"group:{to[1:]}" if to.startswith("#") else f"user:{to}"
    if ids.resolve(address, front.chat.user) is None:
        raise Misused("usage: " + COMMANDS["msg"].usage)
    front.put(address, body.strip())
    front.note(f"to {address}: {text.shown(body.strip())}")


def _window(front: RoomFront, rest: str) -> None:
    state = front.desk.state
    wanted = rest.removeprefix("goto").strip()
    if wanted.isdecimal() and 1 <= int(wanted) <= len(state.order):
        front.desk.open(state.order[int(wanted) - 1])
    elif wanted in _STEPS:
        front.desk.open(state.step(_STEPS[wanted]))
    elif wanted == "last":
        front.desk.open(state.last)
    elif wanted == "list":
        for number, room in enumerate(state.order, 1):
            front.say(f"  {number:>2} {text.inert(state.address(room)) if room != STATUS else state.title(room)}")
    elif wanted == "close":
        _close(front, "")
    else:
        raise Misused(f"usage: {COMMANDS['win'].usage}; there are {len(state.order)}")


def _numbered_window(number: int, front: RoomFront, rest: str) -> None:
    _window(front, str(number))


def _close(front: RoomFront, rest: str) -> None:
    room = front.room()
    front.desk.close(room)
    if room.startswith("group:"):
        front.desk.state.note(
            f"{text.inert(room)} is off the list until somebody writes there; /group leave leaves a group"
        )


def _clear(front: RoomFront, rest: str) -> None:
    front.desk.state.timeline(front.desk.state.current).clear_notes()


async def _who(front: RoomFront, rest: str) -> None:
    group = f"group:{rest[1:]}" if rest.startswith("#") else rest or front.to()
    if not group.startswith("group:"):
        user = user_of(rest, COMMANDS["who"].usage) if rest else ids.peer(front.room(), front.chat.user)
        front.note(await front.desk.presence_of(user))
        return
    count = 0
    async for member in front.chat.members(group):
        name = "" if member.name == member.user else f" ({text.inert(member.name)})"
        front.say(f"  {text.inert(member.user)}{name}, {member.role}")
        count += 1
    front.note(counted(count, "member"))


async def _topic(front: RoomFront, rest: str) -> None:
    named, _, title = rest.partition(" ")
    if named.startswith("#") and f"group:{named[1:]}" in front.desk.state.rooms:
        group, rest = named[1:], title.strip()  # As in irssi; the title of no group begins with its name.
    else:
        group = front.group()
    if rest:
        await front.chat.set_group(group, title=rest)
        return
    entry = front.desk.state.rooms.entry(f"group:{group}")
    title = entry.title if isinstance(entry, RoomEntry) else ""
    front.note(f"the title is: {text.inert(title)}" if title else "this group has no title; /topic TEXT gives it one")


async def _role(role: Role, front: RoomFront, rest: str) -> None:
    usage = COMMANDS["op" if role == "moderator" else "deop"].usage
    await front.chat.set_role(front.group(), user_of(rest, usage), role)


def _say(front: RoomFront, rest: str) -> None:
    if not rest:
        raise Misused("usage: " + COMMANDS["say"].usage)
    front.put(front.to(), rest)


async def _invite(front: RoomFront, rest: str) -> None:
    if not rest:
        raise Misused("usage: " + COMMANDS["invite"].usage)
    await front.chat.add_users(front.group(), [user_of(word, COMMANDS["invite"].usage) for word in rest.split()])


def _edit(front: RoomFront, rest: str) -> None:
    if _numbered(rest) and " " in rest:
        number, _, body = rest.partition(" ")
        front.put(front.to(), body.strip(), edits=int(number.removeprefix("#")))
        return
    seq = int(rest.removeprefix("#")) if _numbered(rest) else front.chosen(own=True)
    if rest and not _numbered(rest):
        front.put(front.to(), rest, edits=seq)
        return
    message = front.desk.state.timeline(front.room()).message(seq)
    if message is None or message.body is None:
        raise Misused("that message is not here; /edit NUMBER TEXT changes it all the same")
    front.desk.composer.set(f"/edit {seq} {message.body}")


def _reply(front: RoomFront, rest: str) -> None:
    if not _numbered(rest):
        rest = f"{front.chosen(own=False)} {rest}"
    number, _, body = rest.partition(" ")
    if not body.strip():
        raise Misused("usage: " + COMMANDS["reply"].usage)
    front.put(front.to(), body.strip(), reply_to=int(number.removeprefix("#")))


async def _about_message(name: str, own: bool, front: RoomFront, rest: str) -> None:
    """A command of the line client whose number may be left out."""
    if not _numbered(rest):
        rest = f"{front.chosen(own=own)} {rest}".strip()
    number, _, more = rest.partition(" ")
    if (named := _emoji_name(more)) and (found := emoji_named(named[1])):
        rest = f"{number} {found[0]}"
    result = shared.COMMANDS[name].action(front, rest)
    if result is not None:
        await result


def _help(front: RoomFront, rest: str) -> None:
    wanted = rest.lstrip("/")
    if wanted and wanted not in COMMANDS:
        raise Misused(f"there is no /{text.inert(wanted)}; /help lists the commands")
    if wanted:
        front.say(f"{COMMANDS[wanted].usage}: {COMMANDS[wanted].help}")
        return
    for line in KEYS:
        front.say(line)
    front.say("Commands: " + " ".join(f"/{name}" for name in sorted(COMMANDS) if name not in ALIASES))
    front.say("/help COMMAND says what one does; // begins a message with a slash")


def _wrapped(action: Action) -> Callable[[Front, str], Awaitable[None] | None]:
    return action  # type: ignore[return-value]  # commands of the screen are only ever called with its own front


#: The windows that `/1` and its like go to.
_NUMBERED: Final = range(1, 21)
_STEPS: Final = {"next": 1, "prev": -1, "previous": -1}
#: Other names of commands.
ALIASES: Final = {
    "j": "join",
    "n": "who",
    "to": "join",
    "q": "query",
    "m": "msg",
    "w": "win",
    "window": "win",
    "wc": "close",
    "part": "close",
    "names": "who",
    "whois": "who",
    "lastlog": "search",
    "exit": "quit",
    "bye": "quit",
    "h": "help",
}
#: Commands of IRC that have no counterpart of that name, with the way to the same end.
HINTS: Final = {
    "me": "a message is only text here",
    "nick": "your id and name come with your token",
    "away": "you are away when you leave, and others see since when",
    "ignore": "/block USER: neither of you can write to the other",
    "leave": "/close takes this room off the list, /group leave leaves a group for good",
    "disconnect": "/quit leaves; a connection that broke comes back by itself",
    "reconnect": "a connection that broke comes back by itself",
    "unignore": "/unblock USER",
    "mode": "/op, /deop, /mute, /ban and /group role change what a member may do",
    "voice": "/unmute USER lets a muted member write; /op USER makes a moderator",
    "notice": "/msg USER TEXT writes to somebody",
    "dcc": "no files are sent here",
    "ctcp": "/whois USER says whether somebody is online",
    "list": "/rooms lists yours; nobody sees a group without being in it",
    "server": "leave, and start again with --url",
    "connect": "leave, and start again with --url",
    "set": "there is nothing to set; --mouse and NO_COLOR are all",
}
COMMANDS: Final[dict[str, Command]] = {
    "join": Command("/join GROUP | group:NAME | user:NAME", "go to a room", _wrapped(_to)),
    "query": Command("/query USER", "go to the private room with somebody", _wrapped(_query)),
    "msg": Command("/msg USER | #GROUP TEXT", "write without going there", _wrapped(_msg)),
    "win": Command(
        "/win NUMBER | next | prev | last | list", "go to a window, as /NUMBER does; list them", _wrapped(_window)
    ),
    "say": Command("/say TEXT", "write here, whatever the text begins with", _wrapped(_say)),
    "close": Command("/close", "take this room off the list until somebody writes there", _wrapped(_close)),
    "clear": Command("/clear", "take this client's own lines off the screen", _wrapped(_clear)),
    **{name: command for name, command in shared.COMMANDS.items() if name not in ("to", "watch", "history")},
    "who": Command("/who [USER | #GROUP]", "the members of a group; whether somebody is online", _wrapped(_who)),
    "topic": Command("/topic [#GROUP] [TEXT]", "the title of a group; a new one", _wrapped(_topic)),
    "op": Command("/op USER", "make a member of this group a moderator", _wrapped(partial(_role, "moderator"))),
    "deop": Command("/deop USER", "make a moderator a member again", _wrapped(partial(_role, "member"))),
    "invite": Command("/invite USER...", "add users to this group", _wrapped(_invite)),
    "reply": Command("/reply [NUMBER] TEXT", "answer a message", _wrapped(_reply)),
    "edit": Command("/edit [NUMBER] [TEXT]", "change a message of yours; fetched into the input", _wrapped(_edit)),
    "help": Command("/help [COMMAND]", "keys and commands; what one of them does", _wrapped(_help)),
}
for _name, _own in (("delete", True), ("react", False), ("unreact", False), ("report", False)):
    _shared = shared.COMMANDS[_name]
    COMMANDS[_name] = Command(
        _shared.usage.replace("NUMBER", "[NUMBER]"), _shared.help, _wrapped(partial(_about_message, _name, _own))
    )
COMMANDS.update({alias: COMMANDS[name] for alias, name in ALIASES.items()})
#: As in irssi; found by no completion and told by no list, since each is what it says.
NUMBERED: Final[dict[str, Command]] = {
    str(number): COMMANDS["win"]._replace(action=_wrapped(partial(_numbered_window, number))) for number in _NUMBERED
}
