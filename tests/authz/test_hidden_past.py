"""Messages from before a member came in, in a group with `since_join`: cell by cell, by every door (permissions.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import trio

from gochat.node import Node, running
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer
from tests.http.rest.client import Rest
from tests.tokens import issue

ROOM: Final = "group:tea"
ROLES: Final = ("owner", "moderator", "member", "admin")
#: Written from the protocol. An owner here is one who came later, too.
TABLE: Final = """
                                        owner     moderator member    admin
one message, history of it:             not_found not_found not_found ok
edit, delete, react, report, reply:     not_found not_found not_found ok
reports:                                ok        none      forbidden ok
close a report:                         ok        not_found not_found ok
"""


def expected() -> dict[tuple[str, str], str]:
    cells = {}
    for line in TABLE.strip().splitlines()[1:]:
        names, _, answers = line.partition(":")
        for name in names.split(","):
            cells.update({(name.strip(), role): code for role, code in zip(ROLES, answers.split(), strict=True)})
    return cells


async def by_socket(peer: Peer, operation: str, seq: int, report: int) -> str:
    frames: dict[str, dict[str, Any]] = {
        "edit": {"type": "edit", "seq": seq, "body": "x"},
        "delete": {"type": "delete", "seq": seq},
        "react": {"type": "react", "seq": seq, "emoji": "👍", "on": True},
        "report": {"type": "report", "seq": seq},
        "reply": {"type": "send", "to": ROOM, "body": "re", "reply_to": seq},
        "reports": {"type": "reports"},
        "close a report": {"type": "close_report", "report": report},
        "history of it": {"type": "history", "after": seq - 1, "limit": 1},
    }
    frame = dict(frames[operation])
    room = {} if operation in ("reply", "close a report") else {"room": ROOM}
    reply = await peer.ask(frame.pop("type"), **room, **frame)
    if operation == "history of it":
        return "ok" if reply["entries"][0]["seq"] == seq else "not_found"
    if operation == "reports" and reply["type"] == "reports":
        return "ok" if any(each["seq"] == seq for each in reply["reports"]) else "none"
    return str(reply.get("code", "ok"))


async def by_rest(rest: Rest, operation: str, seq: int, report: int) -> str | None:
    message = f"/v1/messages/{ROOM}:{seq}"
    calls: dict[str, tuple[str, str, Any]] = {
        "one message": ("GET", message, None),
        "edit": ("PATCH", message, {"body": "x"}),
        "delete": ("DELETE", message, None),
        "reply": ("POST", "/v1/messages", {"to": ROOM, "body": "re", "reply_to": seq}),
        "history of it": ("GET", f"/v1/messages?room={ROOM}&after={seq - 1}&limit=1", None),
    }
    if operation not in calls:
        return None
    answer = await rest(*calls[operation])
    if operation == "history of it":
        return "ok" if answer.json["entries"][0]["seq"] == seq else "not_found"
    return str(answer.json["code"]) if answer.status >= 400 else "ok"


async def staged(node: Node, nursery: trio.Nursery, role: str, door: str) -> tuple[Peer, Rest, int, int]:
    """One who came in after a message that was reported."""
    ann = await Peer.open(node, "tcp", nursery)
    await ann.hello("ann")
    await ann.ask("group", name="tea", action="create", history="since_join")
    seq = (await ann.ask("send", to=ROOM, body="before"))["seq"]
    await ann.ask("report", room=ROOM, seq=seq)
    report = (await ann.ask("reports", room=ROOM))["reports"][0]["report"]
    scopes = ["admin"] if role == "admin" else ["chat:read", "chat:write", "groups:write"]
    if role != "admin":
        await ann.ask("group", name="tea", action="add", users=["zoe"])
    if role in ("owner", "moderator"):
        await ann.ask("group", name="tea", action="role", user="zoe", role=role)
    token = issue(node, "zoe", scopes)
    zoe = await Peer.open(node, door, nursery)
    await zoe.hello("zoe", token=token)
    return zoe, Rest(node, token), seq, report


@pytest.mark.parametrize("door", ["tcp", "ws", "rest"])
@pytest.mark.parametrize("role", ROLES)
async def test_every_cell(tmp_path: Path, nursery: trio.Nursery, role: str, door: str) -> None:
    found, cells = {}, {}
    for number, ((operation, of), answer) in enumerate(expected().items()):
        if of != role:
            continue
        # Each on a node of its own: some change what the others are about.
        async with running(make_settings(tmp_path / str(number))) as node:
            peer, rest, seq, report = await staged(node, nursery, role, "tcp" if door == "rest" else door)
            if door == "rest":
                code = await by_rest(rest, operation, seq, report)
            else:
                code = await by_socket(peer, operation, seq, report) if operation != "one message" else None
            await rest.aclose()
            await peer.aclose()
        if code is not None:
            found[operation], cells[operation] = code, answer
    assert found == cells and found
