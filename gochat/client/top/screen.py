"""The screen of `gochat top`: what is shown, the keys that change it, and the tasks that keep it fresh."""

from __future__ import annotations

from typing import Final

import trio

from gochat.client.chat import Chat
from gochat.client.errors import ClientError, Ended, raise_alone
from gochat.client.events import Offline, Online
from gochat.client.screen.keys import Key
from gochat.client.screen.picture import MIN_COLUMNS, MIN_ROWS, Picture
from gochat.client.screen.run import FRAME_S, Display
from gochat.client.screen.signals import Signal
from gochat.client.screen.width import Row, columns_of, fitted, padded
from gochat.client.terminal import text
from gochat.client.top.reading import Look, Wanted, look
from gochat.client.top.views import NARROWED, VIEWS, Shown, rows
from gochat.log import inert
from gochat.protocol import replies

#: Names that are shorter in the row of views, so that all of them fit into 80 columns.
_SHORT: Final = {"mailboxes": "mail", "supervisors": "tree"}
#: The most that may be typed to narrow a list.
_MAX_PREFIX: Final = 64
#: Overviews that are kept, so that rates are told over the time of some looks.
_KEPT: Final = 5


class Top:
    """The state of the screen, and how keys change it."""

    def __init__(self, chat: Chat, every_s: float) -> None:
        self.chat = chat
        self.signal = Signal()
        """Set when something is to be drawn."""
        self.asked = Signal()
        """Set when the server is to be asked at once."""
        self.leaving = trio.Event()
        self.view = VIEWS[0]
        self.prefix = ""
        self.narrowing = False
        """Whether keys go into the prefix."""
        self.slow_only = False
        self.problem = ""
        """Why the latest look failed, or that there is no connection."""
        self._every_s = every_s
        self._scroll = 0
        self._now: Look | None = None
        self._looked = self.wanted
        """The view that the latest look was for."""
        self._before: list[replies.Overview] = []

    @property
    def wanted(self) -> Wanted:
        return Wanted(view=self.view, prefix=self.prefix, slow=self.slow_only)

    # ------------------------------------------------------------------------------------------ tasks

    async def run(self, display: Display) -> None:
        """Show the node until the user leaves, or the terminal is gone. Raises Ended when the session is over."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow)
                nursery.start_soon(self._keep_looking)
                nursery.start_soon(self._draw, display)
                nursery.start_soon(self._read, display)
                await self.leaving.wait()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise_alone(group)

    async def _follow(self) -> None:
        """Take the events, which would otherwise fill the queue, and hear of the connection."""
        async for event in self.chat:
            if isinstance(event, Offline):
                self.problem = "no connection, trying again"
                self.signal.set()
            elif isinstance(event, Online):
                self.problem = ""
                self.asked.set()

    async def _keep_looking(self) -> None:
        while True:
            seen = await self.asked.wait(-1)
            wanted = self.wanted
            try:
                self._take(wanted, await look(self.chat, wanted))
            except Ended:
                raise
            except ClientError as error:
                self.problem = inert(text.refusal(error))
            self.signal.set()
            with trio.move_on_after(self._every_s):
                await self.asked.wait(seen)

    def _take(self, wanted: Wanted, found: Look) -> None:
        if self._now is not None:
            self._before = [*self._before, self._now.overview][-_KEPT:]
        self._now, self._looked, self.problem = found, wanted, ""

    async def _draw(self, display: Display) -> None:
        seen = -1
        while True:
            seen = await self.signal.wait(seen)
            display.show(self.picture(*display.size()))
            await trio.sleep(FRAME_S)

    async def _read(self, display: Display) -> None:
        def press(key: Key) -> None:
            if key == "ctrl l":
                display.clear()
            self.press(key)

        await display.read(press)
        self.leaving.set()

    # ------------------------------------------------------------------------------------------ keys

    def press(self, key: Key) -> None:
        """One key. Keys that mean nothing do nothing."""
        if isinstance(key, str):
            if key in ("ctrl c", "ctrl d"):
                self.leaving.set()
            elif self.narrowing:
                self._narrow(key)
            else:
                self._act(key)
        self.signal.set()

    def _act(self, key: str) -> None:
        if key in ("q", "Q"):
            self.leaving.set()
        elif key.isdigit() and 1 <= int(key) <= len(VIEWS):
            self._show(VIEWS[int(key) - 1])
        elif key in ("tab", "right", "shift tab", "left"):
            step = 1 if key in ("tab", "right") else -1
            self._show(VIEWS[(VIEWS.index(self.view) + step) % len(VIEWS)])
        elif key == "/" and self.view in NARROWED:
            self.narrowing = True
        elif key == "s" and self.view == "sessions":
            self.slow_only = not self.slow_only
            self._changed()
        elif key in _STEPS:
            self._scroll = max(0, self._scroll + _STEPS[key])
        elif key == "home":
            self._scroll = 0

    def _narrow(self, key: str) -> None:
        if key in ("enter", "esc"):
            self.narrowing = False
            if key == "esc":
                self.prefix = ""
        elif key in ("backspace", "ctrl h"):
            self.prefix = self.prefix[:-1]
        elif key == "ctrl u":
            self.prefix = ""
        elif len(key) == 1 and key.isprintable() and len(self.prefix) < _MAX_PREFIX:
            self.prefix += key.lower()
        self._changed()

    def _show(self, view: str) -> None:
        self.view, self.prefix = view, ""
        self._changed()

    def _changed(self) -> None:
        self._scroll = 0
        self.asked.set()

    # ------------------------------------------------------------------------------------------ picture

    def picture(self, columns: int, height: int) -> Picture:
        """The screen, in exactly so many rows of at most so many columns."""
        if columns < MIN_COLUMNS or height < MIN_ROWS:
            blank: list[Row] = [[(None, fitted("too small", columns))], *([] for _ in range(height - 1))]
            return Picture(blank[:height], None, {}, 0)
        body = self._body(columns)
        space = height - 3
        self._scroll = max(0, min(self._scroll, len(body) - space))
        shown = [_fit(row, columns) for row in body[self._scroll : self._scroll + space]]
        shown += [[] for _ in range(space - len(shown))]
        more = len(body) - space - self._scroll
        drawn = [self._title(columns), self._views(columns), *shown, self._keys(columns, more)]
        return Picture(drawn, None, {}, 0)

    def _body(self, columns: int) -> list[Row]:
        if self._now is None or (self._looked != self.wanted and self.view not in ("node", "supervisors")):
            return [[("time", "reading ..." if not self.problem else "")]]
        before = self._before[0] if self._before else None
        return rows(self.view, Shown(self._now, before, columns))

    def _title(self, columns: int) -> Row:
        if self._now is None:
            return [("bar", padded(f" gochat top · {self.problem or 'reading ...'}", columns))]
        overview = self._now.overview
        state = self.problem or ("ready" if overview.ready else "NOT READY")
        style = "bar" if overview.ready and not self.problem else "bar alert"
        left = f" {inert(overview.node)} · {state} · {inert(overview.server)}"
        right = f"{text.clock(overview.ts)} "
        return [(style, padded(left, columns - columns_of(right)) + right)]

    def _views(self, columns: int) -> Row:
        named = [(f"{number} {_SHORT.get(view, view)}", view == self.view) for number, view in enumerate(VIEWS, 1)]
        row: Row = []
        for said, current in named:
            row += [("current" if current else None, said), (None, " ")]
        return _fit(row, columns)

    def _keys(self, columns: int, more: int) -> Row:
        if self.narrowing:
            what = "words of title or id" if self.view == "rooms" else "ids that begin with"
            said = f" {what}: {self.prefix}_   Enter: done  Esc: all"
        else:
            narrowed = f"  / {self.prefix or 'find'}" if self.view in NARROWED else ""
            slow = f"  s: {'all' if self.slow_only else 'slow ones'}" if self.view == "sessions" else ""
            below = f"  PgDn: {more} more" if more > 0 else ""
            said = f" q: quit  1-{len(VIEWS)}, Tab: view{narrowed}{slow}{below}"
        return [("bar", padded(said, columns))]


_STEPS: Final = {"up": -1, "down": 1, "page up": -10, "page down": 10, "k": -1, "j": 1}


def _fit(row: Row, columns: int) -> Row:
    """As much of a row as fits."""
    kept: Row = []
    left = columns
    for style, said in row:
        if left <= 0:
            break
        short = fitted(said, left)
        kept.append((style, short))
        left -= columns_of(short)
    return kept
