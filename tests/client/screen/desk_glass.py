"""The full screen of a client without a terminal: keys are pressed, and pictures looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from gochat.client import Chat
from gochat.client.screen.desk import Desk
from gochat.client.screen.run import run
from gochat.node import Node
from tests.client.conftest import enter
from tests.client.glass import PATIENCE_S, Glass


class DeskGlass(Glass):
    def __init__(self, chat: Chat, to: str | None, columns: int = 79, rows: int = 24) -> None:
        super().__init__(columns, rows)
        self.rings = 0
        self.desk = Desk(chat, to=to, ring=self._ring)

    def _ring(self) -> None:
        self.rings += 1

    def type(self, *lines: str) -> None:
        """Type lines, each with Enter."""
        for typed in lines:
            self.press(*typed, "enter")


@asynccontextmanager
async def looking(chat: Chat, to: str | None, **size: int) -> AsyncIterator[DeskGlass]:
    async with trio.open_nursery() as nursery:
        glass = DeskGlass(chat, to, **size)
        nursery.start_soon(run, glass.desk, glass)
        yield glass
        glass.press("ctrl c", "ctrl c", "ctrl c")


@asynccontextmanager
async def glass(node: Node, user: str, to: str | None = None, **size: int) -> AsyncIterator[DeskGlass]:
    with trio.fail_after(2 * PATIENCE_S):
        async with enter(node, user) as chat, looking(chat, to, **size) as shown:
            yield shown
