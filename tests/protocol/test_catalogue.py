"""The catalogue is whole: whatever is forgotten of a request, a command or a fact is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gochat.domain import commands
from gochat.domain.facts import Fact
from gochat.http.rest.table import OPERATIONS
from gochat.protocol import conversation, replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import (
    ADMIN,
    CATALOGUE,
    COMMANDS,
    NO_TEXT,
    WRITE,
    CommandType,
    RequestType,
    granted,
    to_command,
)
from gochat.protocol.conversation import Principal
from gochat.session.queries import QUERIES
from tests.protocol.frames import FACTS, REQUESTS
from tests.protocol.gaps import PAGE, Everything, gaps

#: The gaps that there are now, which should be none.
TRUE_GAPS = gaps(Everything())


def test_nothing_is_forgotten() -> None:
    assert TRUE_GAPS == []


class Pin(req.Request, tag="pin", kw_only=True):
    room: str


class PinCommand(commands.Command, frozen=True, kw_only=True):
    note: str


class Pinned(Fact, tag="pinned", kw_only=True):
    target: int


PIN = RequestType(Pin, WRITE, "action", (replies.Ack,), False, "ack", conversation.delete, {PinCommand: NO_TEXT})
KINDS, ROWS, SENT = Everything().kinds, Everything().rows, Everything().commands


def changed(kind: type[Any], **fields: Any) -> list[RequestType]:
    """The rows, with one that is otherwise."""
    return [row._replace(**fields) if row.request is kind else row for row in ROWS]


MUTED = dict(CATALOGUE[req.GroupAction].commands)
del MUTED[commands.Mute]

#: The parts that are left out, and the words by which each gap is named.
FORGOTTEN: dict[str, tuple[Callable[[], Everything], list[str]]] = {
    "the row": (lambda: Everything(kinds=[*KINDS, Pin]), ["pin has no row"]),
    "the type": (
        lambda: Everything(rows=[*ROWS, PIN], commands=[*SENT, PinCommand]),
        ["Pin has a row", "PinCommand.note"],
    ),
    "all but the row": (
        lambda: Everything(kinds=[*KINDS, Pin], rows=[*ROWS, PIN], commands=[*SENT, PinCommand]),
        [
            "pin has no sample",
            "pin is not documented",
            "pin is not in the AsyncAPI document",
            "pin is not in the table",
            "pin has an operation of REST or",
            "PinCommand.note: do the rules",
        ],
    ),
    "a command": (lambda: Everything(rows=changed(req.GroupAction, commands=MUTED)), ["Mute is made by 0 requests"]),
    "whose command it is": (
        lambda: Everything(
            rows=changed(
                req.Edit,
                commands={commands.Edit: CATALOGUE[req.Edit].commands[commands.Edit], commands.Delete: NO_TEXT},
            )
        ),
        ["Delete is made by 2 requests"],
    ),
    "the commands": (
        lambda: Everything(rows=changed(req.React, commands={})),
        ["react does not name", "React is made by 0"],
    ),
    "a text": (
        lambda: Everything(rows=changed(req.Edit, commands={commands.Edit: NO_TEXT})),
        ["Edit.body: do the rules"],
    ),
    "the right cost": (
        lambda: Everything(rows=changed(req.React, cost="read")),
        ["react can't be paid for with read", "react is not documented with its cost"],
    ),
    "a documented cost": (
        lambda: Everything(rows=changed(req.Delete, cost="message")),
        ["delete is not documented with its cost"],
    ),
    "a scope that there is": (
        lambda: Everything(rows=changed(req.Groups, scope="groups:read")),
        [
            "groups needs the scope groups:read",
            "groups is not in the AsyncAPI document",
            "groups needs groups:read, and",
        ],
    ),
    "the same scope": (
        lambda: Everything(rows=changed(req.Audit, scope="chat:read")),
        [
            "audit is not in the AsyncAPI document",
            "audit needs chat:read, and the permissions say otherwise of 'audit'",
        ],
    ),
    "the right reply": (
        lambda: Everything(rows=changed(req.Send, replies=(replies.Ok,))),
        ["send is confirmed by ack"],
    ),
    "one row of two": (
        lambda: Everything(rows=[*ROWS, CATALOGUE[req.Send]]),
        ["a request has two rows", "Send is made by 2"],
    ),
    "a query": (
        lambda: Everything(queries=QUERIES.keys() - {req.Members}),
        ["members is answered by a query or is a command"],
    ),
    "that it is a command": (
        lambda: Everything(queries=QUERIES.keys() | {req.Send}),
        ["send is answered by a query or is a command"],
    ),
    "an operation of REST": (
        lambda: Everything(meant_by_rest={each.means for each in OPERATIONS} - {req.Audit}),
        ["audit has an operation of REST"],
    ),
    "that REST has it": (
        lambda: Everything(meant_by_rest={each.means for each in OPERATIONS} | {req.React}),
        ["react has an operation of REST"],
    ),
    "OpenAPI": (lambda: Everything(rest_described={}), [f"{each.method} {each.path} is not" for each in OPERATIONS]),
    "a golden frame": (
        lambda: Everything(request_samples={name: each for name, each in REQUESTS.items() if name != "watch"}),
        ["watch has no sample"],
    ),
    "the page": (
        lambda: Everything(page=PAGE.replace("### `typing` → `ok`", "### `types`")),
        ["typing is not documented"],
    ),
    "a fact": (
        lambda: Everything(facts=[*Everything().facts, Pinned]),
        [
            "pinned has no sample",
            "pinned can't be recorded",
            "pinned is not documented",
            "pinned is not in the AsyncAPI",
            "pinned is no entry",
        ],
    ),
    "what may be seen of a fact": (
        lambda: Everything(
            facts=[*Everything().facts, Pinned],
            recorded=[*Everything().recorded, Pinned],
            fact_samples=FACTS | {"pinned": Pinned(room="group:tea", seq=2, ts=1, sender="ann", target=1)},
        ),
        [
            "pinned is not documented",
            "pinned is not in the AsyncAPI",
            "pinned is no entry",
            "pinned refers to a message",
        ],
    ),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_whatever_is_forgotten_is_named(name: str) -> None:
    make, words = FORGOTTEN[name]
    found = [gap for gap in gaps(make()) if gap not in TRUE_GAPS]
    assert len(found) == len(words), found
    for gap, start in zip(sorted(found), sorted(words), strict=True):
        assert gap.startswith(start)


# ------------------------------------------------------------------------------------------------ what it gives


def test_each_request_becomes_one_of_its_commands() -> None:
    """The frames that the codecs are tested with, and each action of `group` and `contact`."""
    seen: set[type[Any]] = set()
    for request in [*REQUESTS.values(), *every_group_action()]:
        row = CATALOGUE[type(request)]  # type: ignore[index]
        if row.to_command is None:
            with pytest.raises(LookupError):
                to_command(request, Principal("ann", False), replies.Limits())  # type: ignore[arg-type]
            continue
        command = to_command(request, Principal("ann", False), replies.Limits())  # type: ignore[arg-type]
        assert type(command) in row.commands, command
        seen.add(type(command))
    assert seen == COMMANDS.keys()


def every_group_action() -> list[req.GroupAction]:
    extra: dict[str, dict[str, Any]] = {
        "set": {"title": "Tea"},
        "add": {"users": ["bob"]},
        "remove": {"users": ["bob"]},
        "role": {"user": "bob", "role": "owner"},
        "leave": {},
        "delete": {},
        "create": {},
    }
    sanctions = {action: {"user": "bob"} for action in ("mute", "unmute", "ban", "unban")}
    return [req.GroupAction(name="tea", action=action, **fields) for action, fields in (extra | sanctions).items()]


def test_what_the_users_actors_are_told() -> None:
    assert COMMANDS[commands.Send] == CommandType("message", "body", name=False, charged=False)
    assert COMMANDS[commands.Create] == CommandType("action", "title", name=True, charged=False)
    assert COMMANDS[commands.Configure] == CommandType("action", "title", name=False, charged=True)
    assert COMMANDS[commands.Typing] == CommandType("ephemeral", None, name=False, charged=False)
    assert commands.Withdraw not in COMMANDS


def test_a_token_grants_the_rows_of_its_scopes() -> None:
    nothing, writing = granted(frozenset()), granted(frozenset({WRITE}))
    assert set(nothing) == {req.Hello, req.Refresh, req.Ping, req.Pong}
    assert writing[req.Send] is CATALOGUE[req.Send]
    assert req.History not in writing and req.GroupAction not in writing
    assert granted(frozenset({ADMIN})) == CATALOGUE
