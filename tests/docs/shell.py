"""The command lines of a shell block, taken apart as far as the pages need it, and tried on gochat's own parser."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import dropwhile

import click

from gochat.cli import gochat

_ENDS = frozenset("();<>|&\n")
_COMMENT = re.compile(r"(^|\s)#[^\n]*")
_IN_QUOTES = re.compile(r"\$\(([^()]*)\)")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command, those in `$(...)` as well, without assignments in front."""
    text = _COMMENT.sub(r"\1", text.replace("\\\n", " "))
    lexer = shlex.shlex(text, posix=True, punctuation_chars="".join(_ENDS))
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "\n"]:
        if not _ENDS.issuperset(word):
            words.append(word)
            for inner in _IN_QUOTES.findall(word):
                yield from commands(inner)
            continue
        while words and (words[0] == "export" or re.match(r"\w+=", words[0])):
            words.pop(0)
        if words:
            yield words
        words = []


def gochat_arguments(text: str) -> Iterator[list[str]]:
    """The words after `gochat` in each command that runs it, inside a container as well."""
    for words in commands(text):
        if words[:2] == ["docker", "exec"]:  # options, the container's name, and what runs there
            words = list(dropwhile(lambda word: word.startswith("-"), words[2:]))[1:]
        if words and words[0].rpartition("/")[2] == "gochat":
            yield words[1:]


def problem(arguments: list[str], command: click.Command = gochat, *, whole: bool = True) -> str | None:
    """Why the command would not take these arguments; None where it would. Files are not looked for. Without `whole`
    what is required may be missing, as where a sentence only names a command."""
    # As a real run makes it: a command keeps the help option of its first context.
    context = click.Context(command, info_name=command.name, **command.context_settings)
    try:
        while isinstance(command, click.Group):
            _, rest, _ = command.make_parser(context).parse_args(list(arguments))
            if not rest:
                return None if not whole or arguments else "names no command"
            found = command.get_command(context, rest[0])
            if found is None:
                return f"there is no command {rest[0]}"
            command, arguments = found, rest[1:]
            context = click.Context(command, parent=context, info_name=command.name)
        values, rest, _ = command.make_parser(context).parse_args(list(arguments))
        if rest:
            return f"takes no {rest}"
        for param in command.params:
            value = values.get(param.name or "")
            if not isinstance(value, str | tuple | bool | int):
                value = None  # click marks what was not given by an object of its own
            if value and not isinstance(param.type, click.Path):
                param.type_cast_value(context, value)
            if whole and param.required and not value:
                return f"{param.human_readable_name} is missing"
    except click.UsageError as error:
        return error.format_message()
    return None
