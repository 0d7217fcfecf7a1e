"""The terminal client without a terminal: lines are typed, and what it prints is looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from gochat.client import Chat
from gochat.client.terminal.console import Console
from gochat.client.terminal.stdin import Unreadable
from gochat.node import Node
from tests.client.conftest import enter


class Screen:
    """A console on a real node, and what it shows."""

    def __init__(self, chat: Chat, to: str | None, present: bool) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []
        self.keys, self._typed = trio.open_memory_channel[str | Unreadable](100)
        self._changed = trio.Event()
        say, note = partial(self._show, self.said), partial(self._show, self.noted)
        self.console = Console(chat, to=to, present=present, say=say, note=note)

    def _show(self, where: list[str], line: str) -> None:
        where.append(line)
        self._changed.set()

    async def type(self, *typed: str | Unreadable) -> None:
        for line in typed:
            await self.keys.send(line)

    async def run(self) -> None:
        await self.console.run(self._typed)

    async def sees(self, what: str) -> None:
        """Return once something on the screen holds `what`."""
        with trio.fail_after(60):
            while not any(what in line for line in (*self.said, *self.noted)):
                self._changed = trio.Event()
                await self._changed.wait()


@asynccontextmanager
async def screen(node: Node, user: str, to: str | None = None, present: bool = True) -> AsyncIterator[Screen]:
    with trio.fail_after(60):
        async with enter(node, user) as chat, trio.open_nursery() as nursery:
            shown = Screen(chat, to, present)
            nursery.start_soon(shown.run)
            yield shown
            await shown.type("/quit")
