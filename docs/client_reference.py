"""The reference of the Python client, for docs/reference/sdk.md: signatures and docstrings, in the order of the source.

A class's methods are divided as its source is, by the lines of dashes between them.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import Any

from gochat.client import asking, chat, errors, events, people, positions, replica, sync
from gochat.http.describe.schemas import flat

#: The line of a source file that begins a division, and its name.
_DIVISION = re.compile(r"\s*# -{10,} (?P<name>.+)")
#: Divisions that are for the session that uses the class, not for programs.
_INNER = ("for the session", "bounds", "the file")
#: The parts of `Chat`, in the page's order, with the name of what stands before the first division.
_CHAT = ((asking, "Asking", "the session"), (chat, "Chat", "the session"), (people, "People", "people"))
#: A signature that is longer has an argument a line.
WIDTH = 100
#: Headings that say more than the divisions of the source.
_HEADINGS = {
    "events": "Events",
    "session": "Presence and token",
    "for programs": "Reading",
    "lists": "Lists and search",
}


class UndocumentedError(Exception):
    """A public method has no docstring."""


def connect_block() -> Iterator[str]:
    for module, shown in ((chat, "gochat.client.connect"), (sync, "gochat.client.sync.connect")):
        yield from _function(module, "connect", shown)


def chat_block() -> Iterator[str]:
    begun = ""
    for module, name, first in _CHAT:
        begun = yield from _class(module, name, first, begun=begun)


def sync_block() -> Iterator[str]:
    yield from _class(sync, "Chat", "calls", "###")


def replica_block() -> Iterator[str]:
    yield from _class(replica, "Replica", "opening", "###")


def errors_block() -> Iterator[str]:
    yield from _described(
        [errors.Refused, errors.Lost, errors.Unreachable, errors.Ended, errors.BadUrl, errors.BadToken, sync.Timeout]
    )


def events_block() -> Iterator[str]:
    yield from _described([events.Offline, events.Online, events.Listed, positions.Reset])


def _described(kinds: list[type[Any]]) -> Iterator[str]:
    for kind in kinds:
        yield from ("", f"### {kind.__name__}", "", *_paragraphs(inspect.cleandoc(kind.__doc__ or "")))
        fields = getattr(kind, "__struct_fields__", ())
        if fields:
            yield from ("", f"Fields: {', '.join(f'`{field}`' for field in fields)}.")


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _function(module: ModuleType, name: str, shown: str) -> Iterator[str]:
    (found,) = (node for node in _tree(module).body if _is_function(node) and node.name == name)
    yield from ("", f"### {shown}", "", *_call(found, module, name), "", *_paragraphs(ast.get_docstring(found) or ""))


def _class(module: ModuleType, name: str, first: str, level: str = "##", begun: str = "") -> Generator[str, None, str]:
    """The public methods and properties of a class, under its divisions; `first` names those before the first one.
    `begun` is the division that the page is in; returns the one that it ends in."""
    (found,) = (node for node in _tree(module).body if isinstance(node, ast.ClassDef) and node.name == name)
    lines = inspect.getsource(module).splitlines()
    division = first
    for node, after in zip(found.body, [found.lineno, *(node.end_lineno or 0 for node in found.body)], strict=False):
        for line in lines[after : node.lineno]:
            if match := _DIVISION.match(line):
                division = match["name"]
        public = _is_function(node) and (not node.name.startswith("_") or node.name == "__init__")
        if not public or division in _INNER or (node.name == "__init__" and ast.get_docstring(node) is None):
            continue
        if division != begun:
            begun = division
            yield from ("", f"{level} {_HEADINGS.get(division, division.capitalize())}")
        told = ast.get_docstring(node)
        if told is None:
            raise UndocumentedError(f"{module.__name__}: {name}.{node.name}")
        title = name if node.name == "__init__" else node.name
        yield from ("", f"{level}# {title}", "", *_call(node, module, title), "", *_paragraphs(told))
    return begun


def _is_function(node: ast.AST) -> Any:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _call(node: ast.FunctionDef | ast.AsyncFunctionDef, module: ModuleType, name: str) -> Iterator[str]:
    """The signature as a block, an argument a line where it is long."""
    how = {ast.unparse(each) for each in node.decorator_list}
    result = ast.unparse(node.returns) if node.returns is not None else "None"
    words = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
    for manager, opens in (("contextmanager", "with "), ("asynccontextmanager", "async with ")):
        if manager in how:
            words, result = opens, re.sub(r"^(?:Async)?Iterator\[(.*)\]$", r"\1", result)
    end = "" if node.name == "__init__" else f" -> {result}"
    arguments = list(_arguments(node.args, module))
    line = f"{words}{name}({', '.join(arguments)}){end}"
    if "property" in how:
        yield from ("```python", f"{name}: {result}", "```")
    elif len(line) <= WIDTH:
        yield from ("```python", line, "```")
    else:
        yield from ("```python", f"{words}{name}(", *(f"    {each}," for each in arguments), f"){end}", "```")


def _arguments(given: ast.arguments, module: ModuleType) -> Iterator[str]:
    """Each with its default; of one that is a constant of the module, the value."""
    plain = [each for each in given.args if each.arg != "self"]
    defaults = [None] * (len(plain) - len(given.defaults)) + given.defaults
    yield from (_argument(each, default, module) for each, default in zip(plain, defaults, strict=True))
    if given.vararg is not None:
        yield f"*{ast.unparse(given.vararg)}"
    elif given.kwonlyargs:
        yield "*"
    yield from (_argument(*each, module) for each in zip(given.kwonlyargs, given.kw_defaults, strict=True))
    if given.kwarg is not None:
        yield f"**{ast.unparse(given.kwarg)}"


def _argument(argument: ast.arg, default: ast.expr | None, module: ModuleType) -> str:
    if default is None:
        return ast.unparse(argument)
    shown = repr(getattr(module, default.id)) if isinstance(default, ast.Name) else ast.unparse(default)
    return f"{ast.unparse(argument)} = {shown}"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield from (flat(paragraph), "")
