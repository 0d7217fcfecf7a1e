"""A site of one's own shows the page in a frame and signs its users in: the lines of docs/howto/page.md, run as they
stand but for the addresses."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests.browser.conftest import Server
from tests.browser.people import FRAMES, Person
from tests.tokens import TTL_S, issue_in

Someone = Callable[..., Person]
#: Where the site has the page's tokens.
TOKEN = "/chat-token"
HOWTO = (Path(__file__).parents[2] / "docs" / "howto" / "page.md").read_text(encoding="utf-8")


@contextmanager
def site() -> Iterator[tuple[str, dict[str, str]]]:
    """A site with these pages by path, and its origin."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = pages.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((content or "").encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.server_port}", pages
    finally:
        listener.shutdown()
        listener.server_close()


def lines_of_the_page(server: Server) -> str:
    (block,) = re.findall(r"```html\n(.*?)```", HOWTO, re.DOTALL)
    return "<!doctype html>" + block.replace("https://chat.example.org", server.url.rstrip("/"))


def test_a_listed_site_signs_its_users_in(person: Someone, server: Server) -> None:
    with site() as (origin, pages):
        server.stop()
        server.start(GOCHAT_HTTP__ORIGINS=origin)
        pages.update({"/": lines_of_the_page(server), "/chat-token": server.token("ann")})
        visitor = person("ann", sign_in=False)
        visitor.page.goto(origin)
        frame = visitor.page.frame_locator("#chat")
        frame.locator(".rail").wait_for()
        assert frame.locator(".self").inner_text() == "ann"
        visitor.complaints.clear()  # The site has no icon.


def test_a_site_that_is_not_listed_shows_no_page_and_gives_no_token(person: Someone, server: Server) -> None:
    with site() as (listed, _), site() as (other, others):
        server.stop()
        server.start(GOCHAT_HTTP__ORIGINS=listed)
        others["/"] = lines_of_the_page(server)
        visitor = person("ann", sign_in=False)
        visitor.page.goto(other)
        visitor.page.wait_for_function("() => document.readyState === 'complete'")
        assert visitor.page.frames[-1].url != server.url
        assert any("frame-ancestors" in complaint for complaint in visitor.complaints)
        # A window may talk to the page that it opened; its tokens are not taken.
        others["/opener"] = f"<!doctype html><script>globalThis.page = open('{server.url}')</script>"
        with visitor.context.expect_page() as opened:
            visitor.page.goto(f"{other}/opener")
        opened.value.wait_for_selector(".door")
        token = server.token("ann")
        visitor.page.evaluate(f"page.postMessage({{type: 'gochat.token', token: '{token}'}}, '*')")
        opened.value.evaluate("() => new Promise(requestAnimationFrame)")
        assert opened.value.locator(".door").count() == 1
        visitor.complaints.clear()


def _framed(person: Someone, server: Server, origin: str, pages: dict[str, str]) -> tuple[Person, Any]:
    """Somebody whom the site has signed in, and the frame."""
    server.stop()
    server.start(GOCHAT_HTTP__ORIGINS=origin)
    pages.update({"/": lines_of_the_page(server), "/chat-token": server.token("ann")})
    visitor = person("ann", sign_in=False, clock=True)
    visitor.page.goto(origin)
    frame = visitor.page.frame_locator("#chat")
    frame.locator(".self:text-is('ann')").wait_for()
    frame.locator(".banner").wait_for(state="detached")
    return visitor, frame


def test_a_page_that_slept_past_its_token_asks_the_site_for_another(person: Someone, server: Server) -> None:
    with site() as (origin, pages):
        visitor, frame = _framed(person, server, origin, pages)
        server.stop()
        frame.locator(".banner").wait_for()
        pages["/chat-token"] = issue_in(server.data, "ann", ttl_s=9 * TTL_S)
        server.start()
        visitor.page.clock.fast_forward(2 * TTL_S * 1_000)
        frame.locator(".banner").wait_for(state="detached")
        assert frame.locator(".self").inner_text() == "ann"
        visitor.complaints.clear()  # The site has no icon.


def test_a_session_that_ended_begins_anew_with_the_next_token_and_the_site_is_not_pressed(
    person: Someone, server: Server
) -> None:
    told: dict[str, list[str]] = {"request": [], "requestfinished": []}
    asked, answered = told.values()
    with site() as (origin, pages):
        visitor, frame = _framed(person, server, origin, pages)
        for event, urls in told.items():
            visitor.page.on(
                event, lambda request, urls=urls: urls.append(request.url) if TOKEN in request.url else None
            )
        pages["/chat-token"] = "nonsense"
        root = issue_in(server.data, "root", ["admin"])
        server.post(root, "admin/suspensions/ann", {}, method="PUT")
        frame.locator(".door [role=alert]").wait_for()
        visitor.page.clock.run_for(3_600_000)
        assert 1 <= len(asked) < 12
        while len(answered) < len(asked):  # No answer comes behind the token that the site gives unasked.
            visitor.page.evaluate("new Promise(requestAnimationFrame)")
        visitor.page.evaluate(FRAMES)
        server.post(root, "admin/suspensions/ann", {}, method="DELETE")
        fresh = issue_in(server.data, "ann", ttl_s=9 * TTL_S)
        visitor.page.evaluate(f"frames[0].postMessage({{type: 'gochat.token', token: '{fresh}'}}, '*')")
        frame.locator(".self:text-is('ann')").wait_for()
        frame.locator(".banner").wait_for(state="detached")
        visitor.complaints.clear()


def test_people_who_sign_out_are_not_signed_in_again_by_a_timer(person: Someone, server: Server) -> None:
    with site() as (origin, pages):
        visitor, frame = _framed(person, server, origin, pages)
        frame.locator("[aria-label=More]").click()
        frame.get_by_role("menuitem", name="Sign out").click()
        frame.locator(".door").wait_for()
        visitor.page.clock.run_for(3_600_000)
        assert frame.locator(".door").count() == 1
        visitor.complaints.clear()
