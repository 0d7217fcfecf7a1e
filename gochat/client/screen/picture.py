"""The whole screen as rows: title, rooms, messages, status, input. Pure.

The list of rooms stands at the left, so that nothing on a row can move it; a narrow screen goes without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gochat.client.screen.completion import Completion
from gochat.client.screen.composer import Composer
from gochat.client.screen.state import STATUS, State
from gochat.client.screen.viewport import Viewport
from gochat.client.screen.width import Row, clusters, columns_of, fitted, padded
from gochat.client.terminal import text
from gochat.client.unsent import Draft
from gochat.domain import ids
from gochat.domain.plurals import counted
from gochat.protocol.entries import ContactEntry, RoomEntry

#: The list of rooms: from how many columns on it is shown, and how wide it is then.
_SIDE_WIDTHS: Final = ((100, 26), (64, 19))
#: Rows of the input at most; further ones scroll.
_MAX_INPUT: Final = 6
#: The smallest screen that something is shown on.
MIN_COLUMNS, MIN_ROWS = 20, 5


class Picture(NamedTuple):
    rows: list[Row]
    cursor: tuple[int, int] | None
    """Column and row."""
    windows: dict[int, str]
    """By row of the list, the window that it names."""
    side: int
    """Columns of the list."""


class Scene(NamedTuple):
    """Everything that a picture is made of."""

    state: State
    viewport: Viewport
    composer: Composer
    drafts: Sequence[Draft]
    completion: Completion | None
    now: float


def picture(scene: Scene, columns: int, rows: int) -> Picture:
    """The screen, in exactly `rows` rows of at most `columns` columns."""
    if columns < MIN_COLUMNS or rows < MIN_ROWS:
        blank: list[Row] = [[(None, fitted("too small", columns))], *([] for _ in range(rows - 1))]
        return Picture(blank[:rows], None, {}, 0)
    entered, (x, y) = _input(scene, columns, min(_MAX_INPUT, max(1, rows // 3)))
    height = rows - len(entered) - 2
    side = next((width for least, width in _SIDE_WIDTHS if columns >= least), 0)
    listed, windows = _side(scene, side, height) if side else ([], {})
    messages = scene.viewport.rows(columns - side - (1 if side else 0), height, scene.drafts)
    middle = [[*listed[index], ("divider", "│"), *row] for index, row in enumerate(messages)] if side else messages
    drawn = [_title(scene.state, columns), *middle, _status(scene, columns), *entered]
    placed = {row + 1: window for row, window in windows.items()}
    return Picture(drawn, (x, y + height + 2), placed, side)


# ------------------------------------------------------------------------------------------ rooms


def _side(scene: Scene, width: int, height: int) -> tuple[list[Row], dict[int, str]]:
    """The rows of the list, and the window of each."""
    state = scene.state
    at = state.order.index(state.current)
    first = max(0, min(at - height // 2, len(state.order) - height))
    shown = state.order[first : first + height]
    listed: list[Row] = [_window(scene, room, first + index + 1, width) for index, room in enumerate(shown)]
    listed += [[(None, " " * width)] for _ in range(height - len(shown))]
    return listed, dict(enumerate(shown))


def _window(scene: Scene, room: str, number: int, width: int) -> Row:
    state = scene.state
    unread = state.unread(room)
    count = "?" if state.asks(room) else str(min(unread, 999)) if unread else ""
    if room in state.mentioned:
        count = f"@{count}"
    mark, mark_style = _mark(state, room)
    if room != state.current and scene.composer.has_draft(room):
        mark = "~"
    numbered = f"{number:>2} "
    label = padded(state.title(room), width - len(numbered) - 1 - len(count) - 1) + count + " "
    if room == state.current:
        return [("current", f"{numbered}{mark}{label}")]
    loud = room in state.mentioned or state.asks(room)
    style = "alert" if loud else "unread" if unread else None
    return [("time", numbered), (mark_style, mark), (style, label)]


def _mark(state: State, room: str) -> tuple[str, str | None]:
    if room.startswith("group:"):
        return "#", "time"
    return ("*", "online") if room != STATUS and state.is_online(room) else (" ", None)


# ------------------------------------------------------------------------------------------ bars


def _title(state: State, columns: int) -> Row:
    room = state.current
    said = [text.inert(state.address(room) if room != STATUS else f"gochat, signed in as {state.me}")]
    entry = state.rooms.entry(room)
    if isinstance(entry, RoomEntry):
        if entry.title:
            said.append(text.inert(entry.title))
        if room in state.names:
            said.append(counted(len(state.names[room]), "member"))
    elif isinstance(entry, ContactEntry):
        if entry.name != entry.user:
            said.append(text.inert(entry.name))
        if (online := state.is_online(room)) is not None:
            said.append("online" if online else _last_seen(entry))
    if state.asks(room):
        user = text.inert(ids.peer(room, state.me))
        said.append(f"wants to write to you: /accept {user}, /decline {user}, /block {user}")
    return [("bar", padded(" " + " · ".join(said), columns))]


def _last_seen(entry: ContactEntry) -> str:
    return f"offline, last seen {text.clock(entry.last_seen)}" if entry.last_seen else "offline"


def _status(scene: Scene, columns: int) -> Row:
    state, viewport = scene.state, scene.viewport
    if scene.completion is not None and len(scene.completion.candidates) > 1:
        return [("bar", padded(_candidates(scene.completion, columns), columns))]
    said: list[tuple[str, str]] = []
    if state.held is not None:
        said.append(("bar alert", state.held))
    waiting = sum(draft.refused is None for draft in scene.drafts)
    # A single one that is on its way is no news.
    if waiting > 1 or (waiting and (state.offline is not None or state.held is not None)):
        said.append(("bar alert", f"{waiting} waiting"))
    if state.offline is not None:
        said.append(("bar alert", f"no connection, trying again: {text.inert(state.offline)}"))
    if refused := sum(draft.refused is not None for draft in scene.drafts):
        said.append(("bar alert", f"{refused} not sent, see /unsent"))
    if length := _too_long(scene):
        said.append(("bar alert", length))
    if not viewport.follows:
        below = viewport.below()
        said.append(("bar alert" if below else "bar", f"{below} new below" if below else "PgDn: later"))
    if typing := _typing(state, scene.now):
        said.append(("bar", typing))
    if active := state.active():
        said.append(("bar", "Act: " + ",".join(_activity(state, room) for room in active)))
    row: Row = [("bar", f" {text.inert(state.me)}")]
    for style, each in said:
        row += [("bar", " · "), (style, each)]
    return _exactly(row, columns)


def _too_long(scene: Scene) -> str:
    length, most = len(scene.composer.text), scene.state.body_chars
    return f"{length:,} of {most:,} characters" if length > most else ""


def _typing(state: State, now: float) -> str:
    typists = [state.name(user) for user in state.typists(state.current, now)]
    match typists:
        case []:
            return ""
        case [one]:
            return f"{one} is typing"
        case [one, other]:
            return f"{one} and {other} are typing"
    return "several people are typing"


def _activity(state: State, room: str) -> str:
    return f"{state.number(room)}{'@' if room in state.mentioned else '?' if state.asks(room) else ''}"


def _candidates(completion: Completion, columns: int) -> str:
    """The candidates around the chosen one, which stands in brackets."""
    words = [text.inert(word.strip().rstrip(":")) for word in completion.candidates]
    first = completion.index
    used = columns_of(words[first]) + 3
    while first > 0 and used + columns_of(words[first - 1]) + 2 < columns // 2:
        first -= 1
        used += columns_of(words[first]) + 2
    shown = [f"[{word}]" if index == completion.index else word for index, word in enumerate(words)]
    return " " + "  ".join(shown[first:])


def _exactly(row: Row, columns: int) -> Row:
    """The row in exactly so many columns."""
    fixed: Row = []
    left = columns
    for style, each in row:
        kept = fitted(each, left)
        if kept:
            fixed.append((style, kept))
            left -= columns_of(kept)
    if left:
        fixed.append(("bar", " " * left))
    return fixed


# ------------------------------------------------------------------------------------------ input


def _input(scene: Scene, columns: int, most: int) -> tuple[list[Row], tuple[int, int]]:
    """The rows of the input, and the column and row of the cursor in them. The last column stays empty: a cursor behind
    the last character needs a place, and writing into the corner scrolls some terminals."""
    prompt = _prompt(scene)
    width = columns - 1
    indent = min(columns_of(prompt), width // 2)
    rows: list[Row] = [[("prompt", fitted(prompt, indent))]]
    composer = scene.composer
    used, at, cursor = indent, 0, (indent, 0)
    for cluster, each in clusters(composer.text):
        if at == composer.cursor:
            cursor = (used, len(rows) - 1)
        at += len(cluster)
        shown = cluster
        if not cluster.isprintable():
            shown = "" if cluster == "\n" else text.shown(cluster) or " "
            each = columns_of(shown)
        if cluster == "\n" or used + each > width:
            rows.append([(None, " " * indent)])
            used = indent
        rows[-1].append((None, shown))
        used += each
    if at == composer.cursor:
        cursor = (min(used, width), len(rows) - 1)
    first = max(0, cursor[1] - most + 1)
    return rows[first : first + most], (cursor[0], cursor[1] - first)


def _prompt(scene: Scene) -> str:
    title = scene.state.title(scene.state.current)
    if (search := scene.composer.search) is not None:
        said = "nothing has" if search.failed else "typed before"
        return f"[{said}: {fitted(text.shown(search.query), 20)}] "
    if scene.viewport.selected is not None:
        return f"[{fitted(title, 20)}, to #{scene.viewport.selected}] "
    return f"[{fitted(title, 24)}] "


def plain(row: Row) -> str:
    """A row without its styles."""
    return "".join(each for _, each in row).rstrip()
