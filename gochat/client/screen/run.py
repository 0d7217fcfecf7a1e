"""The screen as a whole: a desk, its tasks, and a display that shows it and has keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import trio

from gochat.client.errors import raise_alone
from gochat.client.screen import tasks
from gochat.client.screen.desk import Desk
from gochat.client.screen.keys import Key, Keyboard
from gochat.client.screen.picture import Picture, picture

#: The shortest time between two pictures, in seconds: a flood of messages is drawn some 30 times a second.
FRAME_S: Final = 0.03


class Display(Protocol):
    """A terminal, or what stands for one."""

    def size(self) -> tuple[int, int]:
        """Columns and rows."""

    def show(self, shown: Picture) -> None:
        """Draw a picture."""

    def clear(self) -> None:
        """Forget what was drawn: the next picture is drawn as a whole."""

    async def read(self, press: Callable[[Key], None]) -> None:
        """Call `press` with each key. Returns when there will be no more."""


async def run(desk: Desk, display: Display) -> None:
    """Until the user leaves and everything that was typed is sent, or until they don't want to wait for that. Raises
    Ended when the server ends the session."""
    try:
        async with trio.open_nursery() as nursery:
            for task in (
                tasks.follow_events,
                tasks.fetch_pages,
                tasks.mark_read,
                tasks.tell_typing,
                tasks.follow_people,
                tasks.ask_names,
                tasks.obey,
            ):
                nursery.start_soon(task, desk)
            nursery.start_soon(desk.unsent.run)
            screen = _Screen(desk, display)
            nursery.start_soon(screen.draw)
            nursery.start_soon(screen.read)
            await desk.leaving.wait()
            async with trio.open_nursery() as last:
                last.start_soon(_when_sent, desk)
                await desk.leaving_at_once.wait()
                last.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise_alone(group)


async def _when_sent(desk: Desk) -> None:
    seen = -1
    while desk.commands:
        seen = await desk.signal.wait(seen)
    await desk.unsent.settled()
    desk.leaving_at_once.set()


class _Screen:
    def __init__(self, desk: Desk, display: Display) -> None:
        self._desk = desk
        self._display = display
        self._shown: Picture | None = None

    async def draw(self) -> None:
        """Show each change; also when somebody's typing is stale."""
        desk = self._desk
        seen = -1
        while True:
            ends_s = desk.state.typing_ends(desk.state.current, trio.current_time())
            with trio.move_on_after(float("inf") if ends_s is None else ends_s + FRAME_S):
                seen = await desk.signal.wait(seen)
            wanted = desk.viewport.wants_older
            self._shown = picture(desk.scene(), *self._display.size())
            self._display.show(self._shown)
            if desk.viewport.wants_older and not wanted:
                desk.signal.set()
            await trio.sleep(FRAME_S)

    async def read(self) -> None:
        """Carry out the keys. A terminal that is gone is like Ctrl-C."""
        keyboard = Keyboard(self._desk)

        def press(key: Key) -> None:
            if key == "ctrl l":
                self._display.clear()
            keyboard.press(key, self._shown)

        await self._display.read(press)
        self._desk.leaving_at_once.set()
        self._desk.leaving.set()
