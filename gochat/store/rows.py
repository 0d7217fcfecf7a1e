"""Facts to rows and back. A row shows its message as it is now; a fact is shown from its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gochat.domain import facts
from gochat.domain.facts import AnyFact
from gochat.store.schema import SEQ_MASK

MESSAGE, EDIT, DELETE, REACTION, MEMBER, GROUP, CLOSED = range(7)
KINDS: dict[type[AnyFact], int] = {
    facts.Message: MESSAGE,
    facts.Edit: EDIT,
    facts.Delete: DELETE,
    facts.Reaction: REACTION,
    facts.Member: MEMBER,
    facts.Group: GROUP,
    facts.Closed: CLOSED,
}

#: Columns of a fact as it is written; the others begin as NULL.
WRITTEN = "id, ts, kind, sender, body, key, target, data, n"
#: Columns of a fact as `shown` wants them.
SHOWN = "id, ts, kind, sender, body, key, target, data, edit_ts, delete_ts, edit_seq"

Row = tuple[Any, ...]
Text = tuple[str | None, str | None]
"""The body and the `data` of a message."""


class _Mentions(msgspec.Struct):
    mentions: list[str] | None = None


_NO_TEXT: Text = (None, None)

_encode = msgspec.json.encode
_decode = msgspec.json.decode


def written(base: int, fact: AnyFact, n: int) -> Row:
    """The row of a new fact. `base` is the room's number above the seq's bits; `n` counts the room's messages."""
    if type(fact) is facts.Message:
        data = None if fact.mentions is None else told_mentions(fact.mentions)
        return (base | fact.seq, fact.ts, MESSAGE, fact.sender, fact.body, fact.key, fact.reply_to, data, n)
    target = fact.target if isinstance(fact, facts.OnMessage) else None
    return (base | fact.seq, fact.ts, KINDS[type(fact)], fact.sender, None, None, target, _data(fact), n)


def told_mentions(mentions: list[str] | None) -> str | None:
    """The `data` of a message."""
    return _encode({"mentions": mentions}).decode() if mentions else None


def mentions_in(data: str | None) -> list[str] | None:
    """The users whom a message with that `data` mentions."""
    return _decode(data, type=_Mentions).mentions if data is not None else None


def _data(fact: AnyFact) -> str | None:
    fields: dict[str, Any]
    if isinstance(fact, facts.Reaction):
        fields = {"emoji": fact.emoji, "on": fact.on}
    elif isinstance(fact, facts.Member):
        fields = {"users": fact.users, "change": fact.change, "role": fact.role, "title": fact.title}
    elif isinstance(fact, facts.Group):
        fields = {"title": fact.title, "history": fact.history, "post": fact.post}
    else:
        return None
    return _encode({name: value for name, value in fields.items() if value is not None}).decode()


def shown(
    room: str,
    row: Row,
    reactions: Mapping[int, dict[str, int]],
    text_of: Callable[[int], Text] | None = None,
    upto: int | None = None,
) -> AnyFact:
    """The fact of a row in SHOWN's order, as it is now. `reactions` are counts by row id; `text_of` gives the present
    text for an edit, where one is to be told. A body that came after seq `upto` is left out, with what it mentions."""
    row_id, ts, kind, sender, body, key, target, data, edit_ts, delete_ts, edit_seq = row
    seq = row_id & SEQ_MASK
    if kind == MESSAGE:
        if upto is not None and edit_seq is not None and edit_seq > upto:
            body = data = None
        return facts.Message(
            room=room,
            seq=seq,
            ts=ts,
            sender=sender,
            body=body,
            key=key,
            reply_to=target,
            edited=edit_ts if delete_ts is None else None,
            deleted=delete_ts,
            reactions=reactions.get(row_id),
            mentions=mentions_in(data),
        )
    base: dict[str, Any] = {"room": room, "seq": seq, "ts": ts, "sender": sender}
    if kind == EDIT:
        present, data = text_of(row_id - seq + target) if text_of is not None else _NO_TEXT
        return facts.Edit(**base, target=target, body=present, mentions=mentions_in(data))
    if kind == DELETE:
        return facts.Delete(**base, target=target)
    if kind == REACTION:
        return facts.Reaction(**base, target=target, **_decode(data))
    if kind == MEMBER:
        return facts.Member(**base, **_decode(data))
    if kind == GROUP:
        return facts.Group(**base, **_decode(data))
    return facts.Closed(**base)
