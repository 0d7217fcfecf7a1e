"""Entries of a timeline as rows: time, number, author, text. Text of others is inert. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from gochat.client.screen.palette import user_style
from gochat.client.screen.state import STATUS, State
from gochat.client.screen.timeline import Entry, Timeline
from gochat.client.screen.width import Row, Run, fitted, wrap
from gochat.client.terminal import text
from gochat.client.unsent import Draft
from gochat.domain import facts
from gochat.domain.plurals import counted

#: The columns of the time, which further rows of an entry leave empty: no text can pass for an entry of its own.
INDENT: Final = 6
#: Readers that are named behind a message; of more only the number is told.
_NAMED_READERS: Final = 3


def entry_rows(
    state: State, timeline: Timeline, entry: Entry, before: Entry | None, width: int, *, receipt: str, selected: bool
) -> list[Row]:
    """The rows of one entry, with the lines that stand before it: a new day, and where the new messages begin."""
    rows: list[Row] = []
    fact = entry.fact
    if fact is not None:
        previous = before.fact.ts if before is not None and before.fact is not None else None
        if previous is None or _day(previous) != _day(fact.ts):
            rows.append([("day", _ruled(_day(fact.ts), width))])
        if _is_first_new(state, fact, before):
            rows.append([("new", _ruled("new", width))])
    if fact is None:
        runs: list[Run] = [(entry.style, entry.note)]
        return rows + wrap(runs, width, 2)
    if isinstance(fact, facts.Message):
        return rows + _message(state, timeline, fact, width, receipt, selected)
    return rows + wrap([("time", _clock(fact.ts)), ("act", f"-!- {text.fact_text(fact, state.name)}")], width, INDENT)


def draft_rows(state: State, draft: Draft, width: int, *, first: bool) -> list[Row]:
    """A message that the server has not recorded, with the reason."""
    shown = text.shown(draft.body)
    edit = f"(new text of #{draft.edits}) " if draft.edits is not None else ""
    runs: list[Run] = [("waits", f"{'':{INDENT}}<{state.name(state.me)}> {edit}{shown} ")]
    if draft.refused is not None:
        why = text.inert(text.refusal(draft.refused))
        runs.append(("error", f"[not sent: {why}; /retry {draft.number} or /drop {draft.number}]"))
    elif state.offline is not None or not first or state.held is not None:
        runs.append(("new", "[waits]"))
    else:
        runs.append(("waits", "[sending]"))
    return wrap(runs, width, INDENT)


def receipt(state: State, room: str, seq: int) -> str:
    """How far a message has come, for the end of it: the users who have read it, else those who have it on a device;
    empty where none is known."""
    done, users = "read", state.readers(room, seq)
    if not users:
        done, users = "received", state.receivers(room, seq)
    if not users or room == STATUS:
        return ""
    if not room.startswith("group:"):
        return f"[{done}]"
    if len(users) > _NAMED_READERS:
        return f"[{done} by {counted(len(users), 'user')}]"
    return f"[{done} by {', '.join(map(state.name, users))}]"


def _message(
    state: State, timeline: Timeline, message: facts.Message, width: int, receipt: str, selected: bool
) -> list[Row]:
    sender = state.name(message.sender)
    mine, named = message.sender == state.me, state.names_me(message)
    style = "selected" if selected else "me" if mine else "mention" if named else user_style(message.sender)
    rows: list[Row] = []
    if message.reply_to is not None:
        rows.append([("quote", fitted(f"{'':{INDENT}}> {_quoted(state, timeline, message.reply_to)}", width))])
    runs: list[Run] = [("time", _clock(message.ts)), ("mark", f"#{message.seq} "), (style, f"<{sender}>"), (None, " ")]
    if message.body is None:
        runs.append(("mark", "(deleted)"))
    else:
        runs.append((None, text.in_names(text.shown(message.body), message.mentions, state.name)))
    if message.edited is not None:
        runs.append(("mark", " (edited)"))
    if receipt:
        runs += [(None, " "), ("mark", receipt)]
    rows += wrap(runs, width, INDENT)
    if message.reactions:
        counts = "  ".join(f"{text.shown(emoji)} {count}" for emoji, count in message.reactions.items())
        rows += wrap([("mark", f"{'':{INDENT}}{counts}")], width, INDENT)
    return rows


def _quoted(state: State, timeline: Timeline, seq: int) -> str:
    message = timeline.message(seq)
    if message is None:
        return f"#{seq}"
    if message.body is None:
        return f"#{seq} {state.name(message.sender)}: (deleted)"
    quoted = text.in_names(text.shown(message.body).replace("\n", " "), message.mentions, state.name)
    return f"#{seq} {state.name(message.sender)}: {quoted}"


def _is_first_new(state: State, fact: object, before: Entry | None) -> bool:
    """Whether the line at the first unread message stands before this fact."""
    if not isinstance(fact, facts.Message) or fact.sender == state.me:
        return False
    since = state.unread_from.get(fact.room)
    if since is None or fact.seq <= since:
        return False
    return before is None or before.fact is None or before.seq <= since


def _ruled(title: str, width: int) -> str:
    return fitted(f"── {title} " + "─" * max(0, width - len(title) - 4), width)


def _local(ts_ms: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(ts_ms / 1000, tz=UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return None  # A server may tell a time that no calendar has.


def _day(ts_ms: int) -> str:
    at = _local(ts_ms)
    return f"{at:%A, %d %B %Y}" if at is not None else "?"


def _clock(ts_ms: int) -> str:
    at = _local(ts_ms)
    return f"{at:%H:%M} " if at is not None else "--:-- "


def all_draft_rows(state: State, drafts: Sequence[Draft], width: int) -> list[Row]:
    """The unsent messages of the current room, at its end. `drafts` are those of all rooms, oldest first."""
    first = next((draft for draft in drafts if draft.refused is None), None)
    own = [draft for draft in drafts if state.room(draft.to) == state.current]
    return [row for draft in own for row in draft_rows(state, draft, width, first=draft is first)]
