"""Writes what the code says into files: `python docs/generate.py`; with `--check` it only names those that are stale.

A page in docs/reference/ is prose with blocks between `<!-- begin NAME -->` and `<!-- end -->`; the function of that
name in `BLOCKS` writes the block. config.toml is written whole, and so are the documents and pages that a node serves.
"""

from __future__ import annotations

import gzip
import importlib.util
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from gochat.cli import COMMANDS, gochat
from gochat.collector import METRICS
from gochat.commands import EXIT_CODES
from gochat.commands.config import sample, toml
from gochat.config import keys, sections
from gochat.domain import facts
from gochat.errors import CLOSES, CODES
from gochat.http.describe import write
from gochat.http.describe.schemas import field_notes, flat
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import ADMIN, CATALOGUE, COSTS
from gochat.protocol.catalogue import METRICS as METRICS_SCOPE
from gochat.settings import env_name

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
SERVED = ROOT / "gochat" / "http" / "files"
SITE = ROOT / "gochat" / "http" / "docs"
HELP_WIDTH = 100

ALL_FACTS = typing.get_args(facts.AnyFact)
#: Fields that every fact has; they are described once.
COMMON = {"id", "room", "seq", "ts", "from"}


# ------------------------------------------------------------------------------------------------ tables


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table. Bars in a cell would end it."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    head = list(head)
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *cells)]


def settings_block() -> Iterator[str]:
    for name, section in sections().items():
        yield from ("", f"## [{name}]", "", flat(section.__doc__ or ""), "")
        rows = []
        for key in keys().values():
            if key.path.startswith(f"{name}."):
                names = [f"`{key.path}`", f"`{env_name(key.path)}`", *([f"`{key.flag}`"] if key.flag else [])]
                rows.append(["<br>".join(names), f"`{toml(key.default)}`", key.allowed, key.why])
        yield from table(["key", "default", "allowed", "why"], rows)


def codes_block() -> Iterator[str]:
    rows = [[f"`{c.name}`", str(c.http), "yes" if c.temporary else "no", c.meaning] for c in CODES]
    yield from table(["code", "HTTP", "temporary", "meaning"], rows)


def closes_block() -> Iterator[str]:
    rows = [[str(c.number), c.name, "yes" if c.reconnect else "no", c.meaning] for c in CLOSES]
    yield from table(["number", "name", "reconnect", "meaning"], rows)


def exit_codes_block() -> Iterator[str]:
    yield from table(["code", "meaning"], [[str(code.number), code.meaning] for code in EXIT_CODES])


def metrics_block() -> Iterator[str]:
    rows = [[f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.help] for m in METRICS]
    yield from table(["metric", "kind", "labels", "meaning"], rows)


def scopes_block() -> Iterator[str]:
    granted: dict[str, list[str]] = {}
    for kind, row in CATALOGUE.items():
        if row.scope is not None:
            granted.setdefault(row.scope, []).append(f"`{tag(kind)}`")
    rows = [[f"`{scope}`", ", ".join(names)] for scope, names in granted.items()]
    rows.append([f"`{METRICS_SCOPE}`", "`GET /metrics` (`http.metrics`), for a program that reads nothing else"])
    rows.append([f"`{ADMIN}`", "all of these, of anyone; but a private room is written to by its two users alone"])
    yield from table(["scope", "allows"], rows)


def _loaded(name: str, path: Path) -> Any:
    """A module from its file: where this runs `tests` and `docs` may be no packages."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


#: The specification that the tests hold a node against.
EXPECTED = _loaded("gochat_expected", ROOT / "tests" / "authz" / "expected.py")
website = _loaded("gochat_website", ROOT / "docs" / "website.py")
client = _loaded("gochat_client_reference", ROOT / "docs" / "client_reference.py")


def needs_block() -> Iterator[str]:
    rows = [[f"`{scope}`" if scope else "none", ", ".join(names)] for scope, names in EXPECTED.SCOPES.items()]
    yield from table(["scope", "operations"], rows)


def permissions_block(place: str, *, admin: bool) -> Iterator[str]:
    """The answers that each relation gets; operations with the same answers share a row."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for operation, row in EXPECTED.TABLES[place, admin].items():
        alike.setdefault(tuple(row.values()), []).append(operation)
    rows = [[", ".join(names), *map(_answer, answers)] for answers, names in alike.items()]
    yield from table(["operation", *EXPECTED.RELATIONS[place]], rows)


def _answer(word: str) -> str:
    answer = EXPECTED.ANSWERS[word]
    return "yes" if answer.code is None else "<br>".join(f"`{part}`" for part in answer if part is not None)


def relations_block(place: str) -> Iterator[str]:
    yield from table(["column", "who asks"], EXPECTED.RELATIONS[place].items())


def anywhere_block() -> Iterator[str]:
    yield from table(["operation", "answer"], [[name, _answer(word)] for name, word in EXPECTED.ANYWHERE.items()])


def of_groups_block() -> Iterator[str]:
    yield f"{', '.join(EXPECTED.OF_GROUPS)}."


def commands_block() -> Iterator[str]:
    context = click.Context(gochat, info_name="gochat", **gochat.context_settings)
    for name in COMMANDS:
        command = gochat.get_command(context, name)
        assert command is not None
        yield from _command(command, name, context)


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=HELP_WIDTH)
    yield from ("", f"## {context.command_path}", "", "```text", *command.get_help(context).splitlines(), "```")
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from _command(found, child, context)


# ------------------------------------------------------------------------------------------------ frames


def requests_block() -> Iterator[str]:
    for kind in typing.get_args(req.AnyRequest):
        row = CATALOGUE[kind]
        answers = " or ".join(dict.fromkeys(f"`{tag(reply)}`" for reply in row.replies)) or "nothing"
        yield from ("", f"### `{tag(kind)}` → {answers}", "")
        yield from _paragraphs(kind)
        yield f"Scope: {f'`{row.scope}`' if row.scope else 'none'}. Counts as {COSTS[row.cost]}."
        yield from _fields(kind, skip={"id"}, client=True)


def replies_block() -> Iterator[str]:
    yield from _frames(typing.get_args(replies.AnyReply), skip={"id"})


def facts_block() -> Iterator[str]:
    yield from _frames(ALL_FACTS, skip=COMMON)


def events_block() -> Iterator[str]:
    yield from _frames([kind for kind in typing.get_args(replies.AnyEvent) if kind not in ALL_FACTS], skip={"id"})


def parts_block() -> Iterator[str]:
    """The structs that frames are made of, in the order of their first use."""
    parts: dict[type[msgspec.Struct], None] = {}
    for frame in (*typing.get_args(req.AnyRequest), *typing.get_args(replies.AnyReply)):
        _collect(frame, parts)
    for part in parts:
        yield from ("", f"### {part.__name__}", "")
        yield from _paragraphs(part)
        yield from _fields(part, skip=set(), client=part is req.Position)


def _frames(frames: Sequence[type[msgspec.Struct]], skip: set[str]) -> Iterator[str]:
    tags = [tag(kind) for kind in frames]
    for kind in frames:
        also = f" ({kind.__name__})" if tags.count(tag(kind)) > 1 else ""
        yield from ("", f"### `{tag(kind)}`{also}", "")
        yield from _paragraphs(kind)
        yield from _fields(kind, skip)


def _collect(frame: type[msgspec.Struct], parts: dict[type[msgspec.Struct], None]) -> None:
    for hint in typing.get_type_hints(frame).values():
        for kind in _leaves(hint):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in ALL_FACTS:
                parts[kind] = None
                _collect(kind, parts)


def _leaves(hint: Any) -> Iterator[Any]:
    arguments = typing.get_args(hint)
    if not arguments:
        yield hint
    for argument in arguments:
        yield from _leaves(argument)


def tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _fields(kind: type[msgspec.Struct], skip: set[str], *, client: bool = False) -> Iterator[str]:
    """The table of a struct's fields; nothing if it has none beside those in `skip`."""
    notes = field_notes(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = [field for field in msgspec.structs.fields(kind) if field.encode_name not in skip]
    if not fields:
        return
    rows = [
        [f"`{f.encode_name}`", type_text(hints[f.name]), _presence(kind, f, client), notes.get(f.name, "")]
        for f in fields
    ]
    head = ["field", "type", "default" if client else "present", "meaning"]
    columns = 4 if any(row[3] for row in rows) else 3
    yield ""
    yield from table(head[:columns], [row[:columns] for row in rows])


def _presence(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo, client: bool) -> str:
    """Of a client's field what it is when left out; of a server's field whether it may be missing."""
    if not client:
        return "when set" if kind.__struct_config__.omit_defaults and not field.required else "always"
    if field.required:
        return "required"
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return "may be left out" if default is None else f"`{msgspec.json.encode(default).decode()}`"


def type_text(hint: Any, meta: msgspec.Meta | None = None) -> str:
    """A field's type and bounds, for people."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return type_text(arguments[0], hint.__metadata__[0])
    if origin is typing.Literal:
        return " or ".join(f"`{msgspec.json.encode(value).decode()}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        if arguments == ALL_FACTS:
            return "[fact](#facts)"
        return " or ".join(type_text(one) for one in arguments if one is not type(None))
    if origin is list:
        most = f"up to {meta.max_length} " if meta and meta.max_length else ""
        return f"list of {most}{type_text(arguments[0])}"
    if origin is dict:
        return f"object of {type_text(arguments[0])} to {type_text(arguments[1])}"
    if issubclass(hint, msgspec.Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    name = {str: "string", int: "integer", float: "number", bool: "boolean"}[hint]
    return name + (_span(meta) if meta else "")


def _span(meta: msgspec.Meta) -> str:
    low, high = (meta.ge, meta.le) if meta.le is not None else (meta.min_length, meta.max_length)
    if high is None:
        return ""
    top = "2^53" if high == 2**53 else f"{high:,}"
    return f" -{top}..{top}" if low == -high else f" {low or 0}..{top}"


def _paragraphs(kind: type[Any]) -> Iterator[str]:
    """A class's own docstring; a base's says nothing of it."""
    own = kind.__dict__.get("__doc__")
    if own:
        yield flat(own)


# ------------------------------------------------------------------------------------------------ pages

BLOCKS: dict[str, Callable[[], Iterable[str]]] = {
    "settings": settings_block,
    "codes": codes_block,
    "closes": closes_block,
    "exit codes": exit_codes_block,
    "commands": commands_block,
    "metrics": metrics_block,
    "scopes": scopes_block,
    "needs": needs_block,
    "anywhere": anywhere_block,
    "of groups": of_groups_block,
    "relations in a group": partial(relations_block, "group"),
    "relations in a private room": partial(relations_block, "private"),
    "in a group": partial(permissions_block, "group", admin=False),
    "in a group as admin": partial(permissions_block, "group", admin=True),
    "in a private room": partial(permissions_block, "private", admin=False),
    "in a private room as admin": partial(permissions_block, "private", admin=True),
    "requests": requests_block,
    "replies": replies_block,
    "facts": facts_block,
    "events": events_block,
    "parts": parts_block,
    "client connect": client.connect_block,
    "client chat": client.chat_block,
    "client sync": client.sync_block,
    "client replica": client.replica_block,
    "client events": client.events_block,
    "client errors": client.errors_block,
}
_BLOCK = re.compile(r"<!-- begin ([a-z ]+) -->\n.*?<!-- end -->", re.DOTALL)


def page(text: str) -> str:
    """`text` with every block written anew."""
    return _BLOCK.sub(lambda block: f"<!-- begin {block[1]} -->\n{_body(block[1])}\n<!-- end -->", text)


def _body(name: str) -> str:
    text = "\n".join(BLOCKS[name]()).strip("\n")
    return re.sub(r"\n{3,}", "\n\n", text)


def files() -> Iterator[tuple[Path, bytes]]:
    """Every written file, and its content; of one that ends in `.gz` the uncompressed content."""
    yield ROOT / "config.toml", sample().encode()
    reference = {path: page(path.read_text(encoding="utf-8")) for path in sorted(REFERENCE.glob("*.md"))}
    for path, text in reference.items():
        yield path, text.encode()
    for name, content in write.files():
        yield SERVED / name, content
    for name, content in website.files(reference):
        yield SITE / name, content


def content_of(path: Path) -> bytes | None:
    """The content of a file as `files` gives it; None where there is no file."""
    if not path.exists():
        return None
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def stale() -> dict[Path, bytes | None]:
    """The files that do not say what the code says, with the content that they should have; None where the page that
    they were made from is gone. A compressed file is judged by its content, since versions of zlib differ in how they
    compress."""
    written = dict(files())
    gone = dict.fromkeys(sorted(set((SITE / "pages").rglob("*.html")) - written.keys()))
    return {path: content for path, content in written.items() if content_of(path) != content} | gone


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    old = stale()
    for path, content in old.items():
        print(f"{'stale' if check else 'wrote' if content is not None else 'removed'}: {path.relative_to(ROOT)}")
        if not check:
            _write(path, content)
    return 1 if check and old else 0


def _write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


if __name__ == "__main__":
    sys.exit(main())
