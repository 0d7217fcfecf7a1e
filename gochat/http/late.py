"""An app that is made when it is first asked for, or in good time before.

Chat needs nothing of it, and what it needs takes a fifth of a node's start to load.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from gochat.http.asgi import App


class LateApp:
    """The ASGI app that `make` gives. `make` runs once, in a thread: it may import."""

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._making = trio.Lock()
        self._app: App | None = None

    async def load(self) -> App:
        """The app; the first to ask has it made."""
        if self._app is None:
            async with self._making:
                if self._app is None:
                    self._app = await trio.to_thread.run_sync(self._make)
        return self._app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await (await self.load())(scope, receive, send)
