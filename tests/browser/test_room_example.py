"""The page of examples/ that shows one room, in a real browser and from a site of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.browser.conftest import Server

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

pytestmark = pytest.mark.long


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(EXAMPLES)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_room_in_a_page_of_ones_own(browser: Any, tmp_path: Path, port: int, site: str) -> None:
    node = Server(tmp_path, port)
    node.start(GOCHAT_POLICY__STRANGERS="allow", GOCHAT_HTTP__ORIGINS=site)
    ann, bob = node.token("ann"), node.token("bob")
    try:
        node.say(bob, "user:ann", "before", "<b>bold</b>")
        page = browser.new_page()
        address = f"{node.url.replace('http', 'ws')}v1/ws"
        page.goto(f"{site}/room.html?node={address}&room=dm:ann:bob#{ann}")
        page.wait_for_selector("li:has-text('bob: <b>bold</b>')", timeout=60_000)
        assert ann not in page.url
        page.fill("#text", "from the page")
        page.keyboard.press("Enter")
        page.wait_for_selector("li:has-text('ann: from the page')", timeout=60_000)
        node.stop()
        page.wait_for_selector("#state:has-text('no connection')", timeout=60_000)
        page.fill("#text", "while it was away")
        page.keyboard.press("Enter")
        node.start()
        page.wait_for_selector("li:has-text('ann: while it was away')", timeout=60_000)
        node.say(bob, "user:ann", "after")
        page.wait_for_selector("li:has-text('bob: after')", timeout=60_000)
        texts = page.eval_on_selector_all("li", "rows => rows.map(row => row.textContent)")
        assert texts == [
            "bob: before",
            "bob: <b>bold</b>",
            "ann: from the page",
            "ann: while it was away",
            "bob: after",
        ]
        page.close()
    finally:
        node.stop()
