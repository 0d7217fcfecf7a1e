"""The commands of the terminal client: those about rooms and messages; those about people stand in `people`."""

from __future__ import annotations

from typing import Final

from gochat.client.asking import LIMIT
from gochat.client.names import users_in
from gochat.client.terminal import text
from gochat.client.terminal.command import Command, Front, Misused, Quit, number, seq_and_rest, users
from gochat.client.terminal.people import PEOPLE
from gochat.client.wire import Fact
from gochat.domain import facts, ids
from gochat.domain.plurals import counted

_HITS: Final = 20


async def _to(console: Front, rest: str) -> None:
    await console.write_to(rest)


async def _who(console: Front, rest: str) -> None:
    if console.to().startswith("group:"):
        async for member in console.chat.members(console.to()):
            name = "" if member.name == member.user else f" ({text.inert(member.name)})"
            console.say(f"  {text.inert(member.user)}{name}, {member.role}")
    else:
        peer = ids.peer(console.room(), console.chat.user)
        for entry in await console.chat.watch([peer]):
            console.say(text.presence_line(entry))


def _rooms(console: Front, rest: str) -> None:
    console.list_rooms()


async def _history(console: Front, rest: str) -> None:
    limit = number(rest, COMMANDS["history"].usage) if rest else 20
    page = await console.chat.page(console.room(), limit=max(1, min(limit, LIMIT)))
    named = await console.names_of(users_in(page.entries))
    for fact in page.entries:
        # A page shows messages as they are now, so that the facts that changed them are not shown again.
        if not isinstance(fact, facts.OnMessage):
            console.say(text.fact_line(fact, console.chat.user, named))
    if not page.entries:
        console.note("* nothing yet")


async def _search(console: Front, rest: str) -> None:
    if not rest:
        raise Misused("usage: " + COMMANDS["search"].usage)
    found: list[Fact] = []
    async for fact in console.chat.search(rest, limit=_HITS):
        found.append(fact)
        if len(found) == _HITS:
            break
    named = await console.names_of(users_in(found))
    for hit in found:
        console.say(text.fact_line(hit, console.chat.user, named))
    if not found:
        console.note("* nothing found")


async def _reply(console: Front, rest: str) -> None:
    seq, body = seq_and_rest(rest, COMMANDS["reply"].usage)
    await console.write(body, reply_to=seq)


async def _edit(console: Front, rest: str) -> None:
    seq, body = seq_and_rest(rest, COMMANDS["edit"].usage)
    await console.write(body, edits=seq)


def _unsent(console: Front, rest: str) -> None:
    console.list_unsent()


def _drop(console: Front, rest: str) -> None:
    if rest == "all":
        for draft in list(console.unsent):
            console.unsent.drop(draft.number)
    elif console.unsent.drop(number(rest, COMMANDS["drop"].usage)) is None:
        raise Misused("no message of that number waits; /unsent lists them")
    console.note(f"* dropped; {counted(len(console.unsent), 'message')} left")


def _retry(console: Front, rest: str) -> None:
    if console.unsent.retry(number(rest, COMMANDS["retry"].usage)) is None:
        raise Misused("no message of that number was refused; /unsent lists them")


async def _delete(console: Front, rest: str) -> None:
    await console.chat.delete(console.to(), number(rest, COMMANDS["delete"].usage))


async def _react(console: Front, rest: str) -> None:
    seq, emoji = seq_and_rest(rest, COMMANDS["react"].usage)
    await console.chat.react(console.to(), seq, emoji)


async def _unreact(console: Front, rest: str) -> None:
    seq, emoji = seq_and_rest(rest, COMMANDS["unreact"].usage)
    await console.chat.react(console.to(), seq, emoji, on=False)


async def _watch(console: Front, rest: str) -> None:
    watched = await console.chat.watch(users(rest.split()))
    for entry in watched:
        console.say(text.presence_line(entry))
    if not watched:
        console.note("* nobody is watched")


async def _group(console: Front, rest: str) -> None:
    action, *words = rest.split() or [""]
    chat = console.chat
    match action, words:
        case "create", [name, *others]:
            await chat.create_group(name, users=users(others))
            await console.write_to(f"group:{name.removeprefix('group:')}")
        case "add", [_, *_]:
            await chat.add_users(console.group(), users(words))
        case "remove", [_, *_]:
            await chat.remove_users(console.group(), users(words))
        case "role", [user, ("owner" | "moderator" | "member") as role]:
            await chat.set_role(console.group(), users([user])[0], role)
        case "title", [_, *_]:
            await chat.set_group(console.group(), title=" ".join(words))
        case "leave", [*heir] if len(heir) < 2:
            await _leave(console, next(iter(users(heir)), None))
        case "delete", []:
            await chat.delete_group(console.group())
        case _:
            raise Misused("usage: " + COMMANDS["group"].usage)


async def _leave(console: Front, heir: str | None) -> None:
    """Leave the current group. An heir who never signed in may never come to own anything: that is asked about first,
    and `!` behind the name is the answer."""
    group = console.group()
    if heir is not None and not heir.endswith("!") and not await console.chat.is_known(heir):
        heir = text.inert(heir)
        raise Misused(f"nobody has signed in as {heir} yet; /group leave {heir}! leaves the group to them all the same")
    await console.chat.leave_group(group, successor=heir and heir.removesuffix("!"))


def _help(console: Front, rest: str) -> None:
    width = max(len(command.usage) for command in COMMANDS.values() if len(command.usage) < 30)
    for command in COMMANDS.values():
        gap = "\n" + " " * (width + 4) if len(command.usage) > width else " " * (width + 2 - len(command.usage))
        console.say(f"  {command.usage}{gap}{command.help}")


def _quit(console: Front, rest: str) -> None:
    raise Quit


COMMANDS: Final[dict[str, Command]] = {
    "to": Command("/to user:NAME | group:NAME", "write to somebody else", _to),
    "rooms": Command("/rooms", "contacts, groups and requests", _rooms),
    "who": Command("/who", "who is in this room", _who),
    "history": Command("/history [N]", "the last N entries of this room (20)", _history),
    "search": Command("/search WORDS", "messages with these words, in all your rooms", _search),
    "reply": Command("/reply NUMBER TEXT", "answer a message", _reply),
    "edit": Command("/edit NUMBER TEXT", "change a message of yours", _edit),
    "unsent": Command("/unsent", "what you wrote and the server has not recorded", _unsent),
    "retry": Command("/retry NUMBER", "send a refused line again; the number is that of /unsent", _retry),
    "drop": Command("/drop NUMBER | all", "forget an unsent line", _drop),
    "delete": Command("/delete NUMBER", "delete a message", _delete),
    "react": Command("/react NUMBER EMOJI", "react to a message", _react),
    "unreact": Command("/unreact NUMBER EMOJI", "take a reaction back", _unreact),
    "watch": Command("/watch USER...", "see when they come and go; without names nobody is watched", _watch),
    "group": Command(
        "/group create NAME [USER...] | add USER... | remove USER... | role USER ROLE | title TEXT | "
        "leave [HEIR] | delete",
        "found a group; the others are about the current one",
        _group,
    ),
    **PEOPLE,
    "help": Command("/help", "this list", _help),
    "quit": Command("/quit", "leave, as Ctrl-D does", _quit),
}
