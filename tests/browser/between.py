"""A page's WebSocket with somebody between, who changes or holds what the server says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.browser.people import FRAMES, PATIENCE_MS

Frame = dict[str, Any]


class Between:
    """Everything the server says goes through `judge`, which returns the frame for the page, or None to hold it."""

    def __init__(self, page: Any, judge: Callable[[Frame], Frame | None]) -> None:
        self.held: list[Frame] = []
        self._page = page
        self._judge: Callable[[Frame], Frame | None] = judge
        page.route_web_socket("**/v1/ws", self._route)

    def _route(self, socket: Any) -> None:
        self._socket = socket
        socket.connect_to_server().on_message(self._hear)

    def _hear(self, message: str) -> None:
        frame = json.loads(message)
        judged = self._judge(frame)
        if judged is None:
            self.held.append(frame)
        else:
            self._socket.send(json.dumps(judged))

    def wait_held(self) -> None:
        """Wait until a frame is held: it is heard while the page draws."""
        until = time.monotonic() + PATIENCE_MS / 1000
        while not self.held:
            assert time.monotonic() < until, "the server has said nothing"
            self._page.evaluate(FRAMES)

    def let_go(self) -> None:
        """Send the page the frames that were held."""
        for frame in self.held:
            self._socket.send(json.dumps(frame))
