"""Typed commands: their form, the parts of the console that they may use, and how their words are read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from gochat.client.chat import Chat
from gochat.client.unsent import Unsent
from gochat.domain import durations, ids


class Misused(Exception):
    """A command was typed wrongly; the text says how to type it."""


class Quit(Exception):
    """The user wants to leave."""


class Front(Protocol):
    """The console, as commands use it."""

    chat: Chat
    say: Callable[[str], None]
    """Prints output that was asked for."""
    note: Callable[[str], None]
    """Prints news of how it went."""

    unsent: Unsent

    def list_rooms(self) -> None:
        """Print contacts, groups and requests."""

    def list_unsent(self) -> None:
        """Print the messages that the server has not recorded."""

    async def write(self, body: str, *, reply_to: int | None = None, edits: int | None = None) -> None:
        """Take a message for the current room, or a new text of one. Raises Misused where too much waits already."""

    def to(self) -> str:
        """The address that lines go to. Raises Misused if there is none."""

    def room(self) -> str:
        """The room id of that address."""

    def group(self) -> str:
        """The name of the group that lines go to. Raises Misused if they go elsewhere."""

    async def write_to(self, to: str) -> None:
        """Let lines go to another address from now on."""

    async def show_waiting(self, user: str) -> None:
        """Show the messages with which a stranger asks to write, if one does."""

    async def names_of(self, users: Iterable[str]) -> Callable[[str], str]:
        """Find out the names of users. Returns what gives the name that is shown of one."""

    def holds(self, user: str, state: str) -> None:
        """This user's relation to another has changed."""


class Command(NamedTuple):
    usage: str
    help: str
    action: Callable[[Front, str], Awaitable[None] | None]


def number(word: str, usage: str) -> int:
    if not word.removeprefix("#").isdecimal():
        raise Misused(f"usage: {usage}")
    return int(word.removeprefix("#"))


def seq_and_rest(rest: str, usage: str) -> tuple[int, str]:
    seq, _, more = rest.partition(" ")
    if not more.strip():
        raise Misused(f"usage: {usage}")
    return number(seq, usage), more.strip()


def user_of(word: str, usage: str) -> str:
    user = word.removeprefix("user:").rstrip(",")
    if not ids.is_name(user):
        raise Misused(f"usage: {usage}")
    return user


def users(words: list[str]) -> list[str]:
    return [word.removeprefix("user:").rstrip(",") for word in words]


def user_and_span(rest: str, usage: str) -> tuple[str, int | None]:
    """A user, and the seconds of a span if one follows."""
    words = rest.split()
    if not 1 <= len(words) <= 2:
        raise Misused(f"usage: {usage}")
    span = durations.seconds(words[1]) if len(words) == 2 else None
    if len(words) == 2 and not span:
        raise Misused(f"usage: {usage}; TIME is {durations.FORM}")
    return user_of(words[0], usage), span
