"""A display without a terminal: keys are pressed, and pictures looked at, by a test."""

from __future__ import annotations

from collections.abc import Callable

import trio

from gochat.client.screen.keys import Key
from gochat.client.screen.picture import Picture, plain
from gochat.client.screen.width import row_columns

#: Generous: the machine may be busy with something else.
PATIENCE_S = 60.0


class Glass:
    """Every picture that is shown must fit it."""

    def __init__(self, columns: int = 79, rows: int = 24) -> None:
        self.columns, self.rows = columns, rows
        self.shown: Picture | None = None
        self._changed = trio.Event()
        self._keys, self._pressed = trio.open_memory_channel[Key](10_000)

    def size(self) -> tuple[int, int]:
        return self.columns, self.rows

    def show(self, shown: Picture) -> None:
        assert len(shown.rows) == self.rows
        assert all(row_columns(row) <= self.columns for row in shown.rows), self.lines()
        self.shown = shown
        self._changed.set()
        self._changed = trio.Event()

    def clear(self) -> None:
        self.shown = None

    async def read(self, press: Callable[[Key], None]) -> None:
        async for key in self._pressed:
            press(key)

    # ------------------------------------------------------------------------------------------ for tests

    def lines(self) -> list[str]:
        return [plain(row) for row in self.shown.rows] if self.shown is not None else []

    def press(self, *keys: Key) -> None:
        for key in keys:
            self._keys.send_nowait(key)

    async def sees(self, *what: str) -> list[str]:
        """Return the picture once all of this is on it, each in one row."""
        with trio.move_on_after(PATIENCE_S):
            while missing := [each for each in what if not any(each in line for line in self.lines())]:
                await self._changed.wait()
        assert not missing, (missing, self.lines())
        return self.lines()

    async def no_longer_sees(self, what: str) -> None:
        with trio.move_on_after(PATIENCE_S):
            while any(what in line for line in self.lines()):
                await self._changed.wait()
        assert not any(what in line for line in self.lines()), self.lines()

    async def next_picture(self) -> None:
        await self._changed.wait()
