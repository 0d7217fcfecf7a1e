"""The script as data: a transcript, a line for each frame, with placeholders where two runs differ.

    ann > {"type": "send", "to": "user:bob", "body": "hi"}    a session sends, with an id unless it gives its own
    ann < {"type": "ack", "id": "*", ...}                      it receives this next; `*` is the id that it gave last
    bob < closed 4502                                          the node closes it
    bob ! open                                                 anything else that happens to a session, or to the node
    # a comment, and `== a title ==`

Lines of `<` belong to the line of `>` or `!` above them. Of each session they are all that comes, in this order; what
comes to one session first and what to another is not said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Frame: TypeAlias = dict[str, Any]

#: Requests whose replies may leave out what came in the last second.
MAY_BE_LATE = frozenset(("search", "history", "groups", "contacts"))
SCRIPT = Path(__file__).with_name("script.txt")
CLOSED = "closed"


class Received(NamedTuple):
    """The next thing that a session gets: a frame in its normal form, or the number that it is closed with."""

    session: str
    frame: Frame | int

    def __str__(self) -> str:
        told = f"{CLOSED} {self.frame}" if isinstance(self.frame, int) else json.dumps(self.frame, ensure_ascii=False)
        return f"{self.session} < {told}"


class Step(NamedTuple):
    """One thing that is done, and all that comes of it."""

    line: int
    """Where it stands in the script."""
    session: str
    send: Frame | None
    act: str
    """Where nothing is sent: what happens, such as `open`."""
    received: tuple[Received, ...]
    text: str
    """The line as it stands, and those above it that are no steps."""


def steps(text: str) -> Iterator[Step]:
    """Raises ValueError, which names the line, for a line that is none of a transcript."""
    above: list[str] = []
    step: Step | None = None
    for number, line in enumerate(text.splitlines(), 1):
        session, mark, rest = [*line.split(" ", 2), "", ""][:3]
        if not line or line[0] in "#=":
            above.append(line)
        elif mark == "<" and step is not None:
            word, _, closed = rest.partition(" ")
            frame = int(closed) if word == CLOSED else json.loads(rest)
            step = step._replace(received=(*step.received, Received(session, frame)))
        elif mark in (">", "!"):
            if step is not None:
                yield step
            send = json.loads(rest) if mark == ">" else None
            step = Step(number, session, send, "" if send else rest, (), "\n".join([*above, line]))
            above = []
        else:
            raise ValueError(f"line {number} is none of a transcript: {line}")
    if step is not None:
        yield step


# ------------------------------------------------------------------------------------------------ the normal form

#: Times in milliseconds are larger than this, and no number of a script is.
_TIMES = 1_000_000_000_000
#: Fields that name something of this run alone, or that a node may choose.
_CHOSEN = {
    "epoch": "<epoch>",
    "session": "<session>",
    "server": "<server>",
    "retry_after_ms": "<wait>",
    "reconnect_ms": "<wait>",
    # A session's transport and address are what the run was for.
    "transport": "<transport>",
    "address": "<address>",
    # Numbers and tasks of a node, which no two runs have alike.
    "metrics": "<metrics>",
    "supervisors": "<supervisors>",
}


def normal(frame: Frame, asked: object = None) -> Frame:
    """The frame without what differs from run to run, and without what is for people: the message of an error. `asked`
    is the id of the session's latest request."""
    found: Frame = _normal(frame)
    if found.get("type") == "error":
        found.pop("message", None)
        found.pop("close", None)
    if asked is not None and frame.get("id") == asked:
        found["id"] = "*"
    return found


def _normal(value: Any, key: str = "") -> Any:
    if key in _CHOSEN:
        return _CHOSEN[key]
    if isinstance(value, dict):
        return {name: _normal(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_normal(inner) for inner in value]
    if key == "detail":  # of the audit log: JSON
        return json.dumps(_normal(json.loads(value)))
    if key in ("next", "rooms_next") and isinstance(value, str):
        return "<next>"
    if isinstance(value, int) and not isinstance(value, bool) and value > _TIMES:
        return "<time>"
    return value
