"""The parts that a request type, a command or a fact must have everywhere, and which of them are missing.

`Everything` is the project as it is. A test gives it with one thing taken out, and must be told of that.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from gochat.auth.claims import SCOPES
from gochat.domain import commands
from gochat.domain.facts import AnyFact, Hidden
from gochat.domain.sight import refers_to
from gochat.http.describe.asyncapi import build as asyncapi
from gochat.http.describe.openapi import build as openapi
from gochat.http.rest.table import OPERATIONS
from gochat.http.rest.views import Entry
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import CATALOGUE, COSTS, METRICS, RequestType
from gochat.session.queries import QUERIES
from gochat.store.rows import KINDS
from tests.authz import expected
from tests.authz import operations as authz
from tests.authz.stage import Stage, World
from tests.protocol.frames import FACTS, REQUESTS

#: Requests that a session answers at once (session/dispatch.py): neither a command nor a job.
AT_ONCE: Final = {req.Hello, req.Ping, req.Pong}
#: Requests that only a session has: REST offers no operation for them.
SOCKETS_ONLY: Final = {
    req.Refresh,
    req.Resume,
    req.Ping,
    req.Pong,
    req.React,
    req.Read,
    req.Got,
    req.Typing,
    req.Watch,
    req.Names,
}
#: Commands that no request asks for: the server makes them itself.
UNASKED: Final = {commands.Withdraw}
#: Text of a command that no other user reads as text: ids and keys, values of which there are a few, and the reason of
#: a report, which is for moderators as it was written.
UNREAD: Final = {
    (commands.Send, "key"),
    (commands.Report, "reason"),
    (commands.SetRole, "member"),
    (commands.Mute, "member"),
    (commands.Unmute, "member"),
    (commands.Ban, "member"),
    (commands.Unban, "member"),
    (commands.Leave, "successor"),
}
#: Tuples of text that no other user reads as text: users' ids, and other spellings of an emoji that are not shown.
UNREAD_TUPLES: Final = {
    (commands.React, "forms"),
    (commands.Create, "users"),
    (commands.Add, "users"),
    (commands.Remove, "users"),
}
#: The state that the user looked at, as an `If-Match` has it: it is compared, and neither kept nor shown.
COMPARED: Final = {
    (commands.Edit, "expects"),
    (commands.Delete, "expects"),
    (commands.Configure, "expects"),
    (commands.Close, "expects"),
}
PAGE: Final = (Path(__file__).parents[2] / "docs" / "reference" / "protocol.md").read_text(encoding="utf-8")


class Everything(NamedTuple):
    """All that has to agree."""

    kinds: Sequence[type[Any]] = typing.get_args(req.AnyRequest)
    rows: Sequence[RequestType] = tuple(CATALOGUE.values())
    commands: Sequence[type[Any]] = typing.get_args(commands.AnyCommand)
    facts: Sequence[type[Any]] = typing.get_args(AnyFact)
    queries: Collection[type[Any]] = tuple(QUERIES)
    meant_by_rest: Collection[type[Any] | None] = tuple(operation.means for operation in OPERATIONS)
    request_samples: Mapping[str, Any] = REQUESTS
    fact_samples: Mapping[str, Any] = FACTS
    recorded: Collection[type[Any]] = tuple(KINDS)
    page: str = PAGE
    permissions: Mapping[str | None, Sequence[str]] = expected.SCOPES
    described: Mapping[str, Any] = asyncapi()["operations"]
    rest_described: Mapping[str, Any] = openapi()["paths"]


def tag(kind: type[Any]) -> str:
    return str(kind.__struct_config__.tag)


def gaps(everything: Everything) -> list[str]:
    """A sentence for each thing that is missing, or of which two places say different things."""
    return [
        *_of_requests(everything),
        *_of_commands(everything),
        *_of_rest(everything),
        *_of_facts(everything),
    ]


def _of_requests(everything: Everything) -> Iterator[str]:
    rows = {row.request: row for row in everything.rows}
    if len(rows) < len(everything.rows):
        yield "a request has two rows"
    for kind in rows.keys() - set(everything.kinds):
        yield f"{kind.__name__} has a row, and is not among AnyRequest"
    asked = _asked()
    for kind in everything.kinds:
        name, row = tag(kind), rows.get(kind)
        if row is None:
            yield f"{name} has no row in the catalogue"
            continue
        yield from _of_row(name, row)
        if kind not in AT_ONCE and (kind in everything.queries) == (row.to_command is not None):
            yield f"{name} is answered by a query or is a command: one of the two"
        if kind not in {type(sample) for sample in everything.request_samples.values()}:
            yield f"{name} has no sample among the golden frames"
        heading = re.search(rf"^### `{name}` → .*$(?:\n+(?!###).*)*", everything.page, re.MULTILINE)
        if heading is None or f"Counts as {COSTS[row.cost]}." not in heading[0]:
            yield f"{name} is not documented with its cost"
        if everything.described.get(name, {}).get("x-scope", "") != row.scope:
            yield f"{name} is not in the AsyncAPI document with its scope"
        operations = asked.get(name, [])
        if not operations:
            yield f"{name} is not in the table of permissions"
        for operation in operations:
            if operation not in everything.permissions.get(row.scope, ()):
                yield f"{name} needs {row.scope}, and the permissions say otherwise of '{operation}'"
        if (kind in everything.meant_by_rest) == (kind in SOCKETS_ONLY):
            yield f"{name} has an operation of REST or is for sockets only: one of the two"


def _of_row(name: str, row: RequestType) -> Iterator[str]:
    if row.scope is not None and row.scope not in SCOPES - {METRICS}:
        yield f"{name} needs the scope {row.scope}, which is none of a user's"
    costs = {"message", "action", "ephemeral"} if row.to_command is not None else {"read", "search", "sign_in"}
    if row.cost not in costs:
        yield f"{name} can't be paid for with {row.cost}"
    if (row.to_command is not None) != bool(row.commands):
        yield f"{name} does not name the commands that it becomes"
    if row.to_command is not None and row.replies != ((replies.Ack,) if row.confirmation == "ack" else (replies.Ok,)):
        yield f"{name} is confirmed by {row.confirmation}, and its replies say otherwise"


def _of_commands(everything: Everything) -> Iterator[str]:
    made = [kind for row in everything.rows for kind in row.commands]
    for kind in everything.commands:
        if made.count(kind) != (kind not in UNASKED):
            yield f"{kind.__name__} is made by {made.count(kind)} requests: its cost is not known"
    for row in everything.rows:
        for kind, texts in row.commands.items():
            for field, hint in typing.get_type_hints(kind).items():
                if field in ("room", "user") or (kind, field) in UNREAD | UNREAD_TUPLES | COMPARED:
                    continue
                if (_is_text(hint)) != (field == texts.text):
                    yield f"{kind.__name__}.{field}: do the rules for words and links read it?"


def _is_text(hint: Any) -> bool:
    """Whether users may put any text into a field of this type."""
    arguments = typing.get_args(hint)
    return hint is str or (typing.get_origin(hint) is not typing.Literal and any(map(_is_text, arguments)))


def _of_rest(everything: Everything) -> Iterator[str]:
    rows = {row.request for row in everything.rows}
    for operation in OPERATIONS:
        if operation.means is not None and operation.means not in rows:
            yield f"{operation.method} {operation.path} means a request that has no row"
        if operation.method.lower() not in everything.rest_described.get(operation.path, {}):
            yield f"{operation.method} {operation.path} is not in the OpenAPI document"


def _of_facts(everything: Everything) -> Iterator[str]:
    in_rest = {tag(kind) for kind in typing.get_args(Entry)}
    for kind in everything.facts:
        name = tag(kind)
        samples = [sample for sample in everything.fact_samples.values() if type(sample) is kind]
        if not samples:
            yield f"{name} has no sample among the golden frames"
        if kind is not Hidden and kind not in everything.recorded:
            yield f"{name} can't be recorded"
        if f"### `{name}`\n" not in everything.page.partition("\n## Facts\n")[2].partition("\n## ")[0]:
            yield f"{name} is not documented"
        if f"event.{name}" not in everything.described:
            yield f"{name} is not in the AsyncAPI document"
        if name not in in_rest:
            yield f"{name} is no entry of a page of REST"
        for sample in samples:
            if "target" in kind.__struct_fields__ and refers_to(sample) != sample.target:
                yield f"{name} refers to a message, which readers may not see: domain/sight.py does not know"


def _asked() -> dict[str, list[str]]:
    """The operations of the table of permissions, by the type of frame that asks for them."""
    stage = Stage(World(None, None, None), "group", "owner", "ann")  # type: ignore[arg-type]
    found: dict[str, list[str]] = {}
    for name, operation in authz.OPERATIONS.items():
        if operation.frame is not None:
            found.setdefault(operation.frame(stage)["type"], []).append(name)
    return found
