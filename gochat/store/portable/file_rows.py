"""The rows of a room's file, each checked by itself: a value has the type, the bounds and the characters that it has
where it comes from a client. A file may be made up, and what it says is told to clients, whose frames have bounds.

Texts are cleaned, as those of clients are. Those that hold what cleaning never leaves are refused: no node wrote them.
Whether a fact may follow the others is up to the import.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from gochat.domain import facts
from gochat.domain.display_text import clean_body, clean_line, is_raw
from gochat.domain.facts import RecordedFact
from gochat.domain.ids import is_name
from gochat.domain.mentions import MOST_MENTIONS
from gochat.domain.relationship import Change
from gochat.domain.side_records import SanctionKind
from gochat.protocol import requests
from gochat.protocol.conversation import MAX_EMOJI_BYTES
from gochat.protocol.problems import DECODING, sentence
from gochat.store.schema import SEQ_MASK

#: The longest body, and the most users of one fact, that any settings allow.
MOST_CHARS: Final = 100_000
MOST_USERS: Final = 1_000
#: Characters of `data`: more than so many users take, with the longest title, each of its characters as an escape.
MOST_DATA: Final = 100_000
#: The end of the year 9999. Later times can't be told as a date.
LAST_MS: Final = 253_402_300_799_999

_Ms = Annotated[int, Meta(ge=0, le=LAST_MS)]
_Seq = Annotated[int, Meta(ge=1, le=SEQ_MASK)]
_Head = Annotated[int, Meta(ge=0, le=SEQ_MASK)]
_Emoji = Annotated[str, Meta(min_length=1, max_length=32)]


class Unfit(Exception):
    """The row can't be in a file. The text says why, and repeats no text of the file."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of one of the file's tables, as far as it is imported."""

    @property
    def users(self) -> tuple[str, ...]:
        """The users that it names, but for those in `data`."""
        return ()


class FactRow(Row, frozen=True, gc=False):
    """A row of `fact`."""

    seq: _Seq
    ts: _Ms
    kind: str
    sender: requests.Name
    target: _Seq | None
    key: requests.Key | None
    body: Annotated[str, Meta(max_length=MOST_CHARS)] | None
    data: Annotated[str, Meta(max_length=MOST_DATA)] | None

    @property
    def users(self) -> tuple[str, ...]:
        return (self.sender,)


class SideRow(Row, frozen=True, gc=False):
    """A row of what the file holds beside the log."""

    user: requests.Name

    @property
    def users(self) -> tuple[str, ...]:
        return (self.user,)


class MemberRow(SideRow, frozen=True, gc=False):
    """A row of `member`."""

    name: Annotated[str, Meta(max_length=64)] | None
    read: _Head | None


class SanctionRow(SideRow, frozen=True, gc=False):
    """A row of `sanction`."""

    kind: SanctionKind
    until: _Ms | None
    ts: _Ms


class RelationRow(SideRow, frozen=True, gc=False):
    """A row of `relation`."""

    peer: requests.Name
    contact: Literal[0, 1]
    blocked_at: _Head | None
    declined_ts: _Ms | None
    asked_at: _Head | None
    asked_ts: _Ms | None
    withheld_at: _Head | None

    @property
    def users(self) -> tuple[str, ...]:
        return (self.user, self.peer)


class ChangeRow(SideRow, frozen=True, gc=False):
    """A row of `relation_change`."""

    n: _Seq
    at: _Head
    ts: _Ms
    change: Change


RowT = TypeVar("RowT", bound=Row)


def columns(kind: type[Row]) -> str:
    """The columns of the row, as a query names them."""
    return ", ".join(kind.__struct_fields__)


def row_of(kind: type[RowT], values: Sequence[Any]) -> RowT:
    """The row of these values, in the order of its columns. Raises Unfit."""
    try:
        row = msgspec.convert(dict(zip(kind.__struct_fields__, values, strict=True)), kind)
    except msgspec.MsgspecError as error:
        raise Unfit(sentence(error, "row", kind)) from error
    if not all(map(is_name, row.users)):
        raise Unfit("it names somebody by no user id")
    return row


def fact_of(row: FactRow, room: str, text: FactRow | None = None) -> RecordedFact:
    """The fact of the row; `text` is the row of the message that has its text, where it is an edit. Raises Unfit."""
    fields: dict[str, Any] = {}
    if row.kind in ("reaction", "member", "group"):
        fields = decoded(row.data) or {}
    elif row.kind != "message" and row.data is not None:
        raise Unfit("data: only messages, reactions, members and groups have it")
    # Over what `data` says, which is not checked by itself.
    fields |= {"type": row.kind, "room": room, "seq": row.seq, "ts": row.ts, "from": row.sender}
    if row.kind == "message":
        fields |= {"key": row.key, "reply_to": row.target}
        text = row
    elif row.key is not None or row.body is not None:
        raise Unfit("only a message has a body and a key")
    elif row.kind in ("edit", "delete", "reaction"):
        fields["target"] = row.target
    elif row.target is not None:
        raise Unfit("it is about no message, and has a target")
    if row.kind in ("message", "edit") and text is not None and text.body is not None:
        fields |= {"body": _body(text.body), "mentions": (decoded(text.data) or {}).get("mentions") or None}
    try:
        fact: RecordedFact = msgspec.convert(fields, RecordedFact)
    except msgspec.MsgspecError as error:
        raise Unfit(sentence(error, "fact")) from error
    problem = _problem(fact)
    if problem is not None:
        raise Unfit(problem)
    if isinstance(fact, facts.Member | facts.Group) and fact.title is not None:
        fact.title = clean_line(fact.title)
    return fact


def _body(text: str) -> str:
    body = "" if is_raw(text) else clean_body(text)
    if not body:
        raise Unfit("body: nothing to show, or characters that no text has")
    return body


def _problem(fact: RecordedFact) -> str | None:
    if isinstance(fact, facts.Message | facts.Edit):
        mentions = fact.mentions or []
        if len(mentions) > MOST_MENTIONS:
            return f"mentions: at most {MOST_MENTIONS} users"
        if not all(map(is_name, mentions)):
            return "mentions: not all are user ids"
        if isinstance(fact, facts.Message) and "\0" in (fact.key or ""):
            return "key: contains NUL"
    elif isinstance(fact, facts.Reaction):
        return _emoji_problem(fact.emoji)
    elif isinstance(fact, facts.Member):
        if not 1 <= len(fact.users) <= MOST_USERS:
            return f"users: 1 to {MOST_USERS:,}"
        if not all(map(is_name, fact.users)):
            return "users: not all are user ids"
        if fact.title is not None and fact.seq != 1:
            return "title: only the first fact names the group so"
        return _title_problem(fact.title)
    elif isinstance(fact, facts.Group):
        return _title_problem(fact.title)
    return None


def _title_problem(title: str | None) -> str | None:
    try:
        msgspec.convert(title, requests.Title | None)
    except msgspec.ValidationError as error:
        return sentence(error, "title")
    return "title: characters that no title has" if title is not None and is_raw(title) else None


def _emoji_problem(emoji: str) -> str | None:
    try:
        msgspec.convert(emoji, _Emoji)
    except msgspec.ValidationError as error:
        return sentence(error, "emoji")
    if len(emoji.encode()) > MAX_EMOJI_BYTES or emoji != emoji.strip() or is_raw(emoji):
        return f"emoji: 1 to {MAX_EMOJI_BYTES} bytes of UTF-8, and nothing but the emoji"
    return None


def shown_name(name: str | None) -> str | None:
    """The name as a user shows it; None where there is none. Raises Unfit."""
    if name is not None and is_raw(name):
        raise Unfit("name: characters that no name has")
    return clean_line(name or "") or None


def decoded(data: str | None) -> dict[str, Any] | None:
    """The object in `data`; None where there is none. Raises Unfit for what is no object of JSON."""
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except DECODING as error:
        raise Unfit(sentence(error, "data")) from error


def comparable(data: str | None) -> dict[str, Any] | None:
    """The same as it is after an import: the title is clean. Raises Unfit."""
    fields = decoded(data)
    if fields is not None and isinstance(title := fields.get("title"), str):
        fields["title"] = clean_line(title)
    return fields
