"""A real terminal: urwid's screen, which knows terminals and their keys, waited for by trio.

urwid's own trio loop is not used: it would look at every wait of the whole program. The little of a loop that the
screen needs is here.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import trio
import urwid
from urwid.canvas import Canvas
from urwid.display.raw import Screen

from gochat.client.screen.keys import Key
from gochat.client.screen.palette import PALETTE
from gochat.client.screen.picture import Picture

#: Without automatic wrapping a row that the terminal finds wider than we do can't spoil the next one.
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"


class _Drawn(Canvas):
    """A picture in the form in which urwid's screen takes it."""

    def __init__(self, shown: Picture) -> None:
        super().__init__()
        self._shown = shown
        self.cursor = shown.cursor

    def rows(self) -> int:
        return len(self._shown.rows)

    def content(self, *_: Any, **__: Any) -> Iterator[list[tuple[Hashable, Literal["0", "U"] | None, bytes]]]:
        for row in self._shown.rows:
            # The space at the end has the screen erase what is right of it.
            yield [*((style, None, each.encode()) for style, each in row if each), (None, None, b" ")]


class _Screen(Screen):
    """The screen of urwid, which also stops and starts when the process is suspended and goes on: settings made here
    hold after that too. Keys that are signals elsewhere are keys here, but Ctrl-Z."""

    def start(self, *args: Any, **kwargs: Any) -> Any:
        started = super().start(*args, **kwargs)
        self.tty_signal_keys(intr="undefined", quit="undefined", start="undefined", stop="undefined")
        self.write(_WRAP_OFF)
        return started

    def stop(self) -> Any:
        self.write(_WRAP_ON)
        return super().stop()


class _Loop:
    """The part of an event loop that urwid's screen uses: it is called when there is input, and after a while."""

    def __init__(self, nursery: trio.Nursery, terminal: int) -> None:
        self._nursery = nursery
        self._terminal = terminal

    def watch_file(self, fd: int, callback: Callable[[], Any]) -> trio.CancelScope:
        scope = trio.CancelScope()
        self._nursery.start_soon(self._watch, scope, fd, callback)
        return scope

    def alarm(self, seconds: float, callback: Callable[[], Any]) -> trio.CancelScope:
        scope = trio.CancelScope()
        self._nursery.start_soon(self._wait, scope, seconds, callback)
        return scope

    def remove_watch_file(self, handle: trio.CancelScope) -> bool:
        handle.cancel()
        return True

    remove_alarm = remove_watch_file

    async def _watch(self, scope: trio.CancelScope, fd: int, callback: Callable[[], Any]) -> None:
        with scope:
            while True:
                await trio.lowlevel.wait_readable(fd)
                if fd == self._terminal and _is_gone(fd):
                    # It would be readable for ever, and nothing would be read.
                    self._nursery.cancel_scope.cancel()
                    return
                callback()

    async def _wait(self, scope: trio.CancelScope, seconds: float, callback: Callable[[], Any]) -> None:
        with scope:
            await trio.sleep(seconds)
            callback()


def _is_gone(fd: int) -> bool:
    """Whether the terminal was closed at its other end."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


class Terminal:
    """The terminal that standard input and output are. See gochat.client.screen.run.Display."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def size(self) -> tuple[int, int]:
        """Columns and rows. The last column stays empty: to erase what is right of a full row takes its last character
        away."""
        columns, rows = self._screen.get_cols_rows()
        return columns - 1, rows

    def show(self, shown: Picture) -> None:
        columns, rows = self._screen.get_cols_rows()
        if rows == len(shown.rows):  # Else the size has changed since, and the next picture comes at once.
            self._screen.draw_screen((columns, rows), _Drawn(shown))

    def clear(self) -> None:
        self._screen.clear()

    def ring(self) -> None:
        self._screen.write("\a")
        self._screen.flush()

    async def read(self, press: Callable[[Key], None]) -> None:
        """Call `press` with each key. Returns when the terminal is gone."""

        def pressed(keys: list[Any], _: list[int]) -> None:
            for key in keys:
                press(key)

        async with trio.open_nursery() as nursery:
            loop = _Loop(nursery, sys.stdin.fileno())
            self._screen.hook_event_loop(loop, pressed)  # type: ignore[arg-type]  # all that it calls is there
            nursery.start_soon(trio.sleep_forever)


@contextmanager
def terminal(*, mouse: bool) -> Iterator[Terminal]:
    """Take the terminal over, and give it back as it was."""
    urwid.set_encoding("utf-8")
    screen = _Screen(bracketed_paste_mode=True, focus_reporting=True)
    screen.register_palette(PALETTE)
    # The end of each row is erased: nothing of an older picture stays where a terminal counts columns differently.
    screen.back_color_erase = True
    screen.start()
    try:
        screen.set_mouse_tracking(mouse)
        yield Terminal(screen)
    finally:
        screen.stop()
