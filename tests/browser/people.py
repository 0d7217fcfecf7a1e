"""A user in front of the page: what tests do and look at, in a user's terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.browser.conftest import Server

Page = Any
#: A browser's words on its console when a connection breaks; tests that break one expect it.
BROKEN = re.compile(r"WebSocket connection to|net::ERR_|Failed to load resource: net::")
PATIENCE_MS = 15_000


class Person:
    """One browser context, so one sign-in."""

    def __init__(
        self,
        user: str,
        browser: Any,
        server: Server,
        *,
        size: tuple[int, int] = (1280, 800),
        dark: bool = False,
        locale: str = "en-GB",
        sign_in: bool = True,
        url: str | None = None,
    ) -> None:
        self.user = user
        self.server = server
        self.complaints: list[str] = []
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light", locale=locale
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.tab()
        if sign_in:
            self.page.goto(f"{url or server.url}#token={server.token(user)}")
            self.page.wait_for_selector(".rail")

    def tab(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(f"{self.user}: {error}"))
        return page

    def _listen(self, message: Any) -> None:
        if message.type in ("error", "warning") and not BROKEN.search(message.text):
            self.complaints.append(f"{self.user}: {message.text}")

    def close(self) -> None:
        self.context.close()

    # ------------------------------------------------------------------------------------------ doing

    def find(self, text: str) -> None:
        self.page.fill("#find", text)

    def write_to(self, user: str) -> None:
        """Find somebody and open the private chat."""
        self.find(user)
        self.page.click(f".found .chat:has-text('{user}')")
        self.page.wait_for_selector("textarea")

    def open(self, title: str) -> None:
        self.page.click(f".chats .chat:has(b:text-is('{title}'))")
        self.page.wait_for_selector(".thread .bar")

    def say(self, *bodies: str) -> None:
        for body in bodies:
            self.page.fill("textarea", body)
            self.page.press("textarea", "Enter")

    def choose(self, body: str, action: str) -> None:
        """Choose from a message's menu."""
        message = self.page.locator(".msg", has_text=body).last
        message.hover()
        message.get_by_role("button", name="What to do with this message").click()
        self.page.get_by_role("menuitem", name=action, exact=True).click()

    # ------------------------------------------------------------------------------------------ looking

    def sees(self, text: str) -> None:
        """Wait for a message that says so."""
        self.page.wait_for_selector(f".bubble:has-text('{text}')")

    def bodies(self) -> list[str]:
        """The messages in the document, in order, without times and marks."""
        script = """rows => rows.sort((a, b) => a.dataset.index - b.dataset.index).flatMap(row => {
            const bubble = row.querySelector('.bubble');
            if (!bubble) return [];
            const copy = bubble.cloneNode(true);
            copy.querySelector('.meta')?.remove();
            return [copy.textContent.trim()];
        })"""
        found: list[str] = self.page.eval_on_selector_all(".row", script)
        return found

    def settled(self) -> None:
        """Wait until nothing is on its way."""
        self.page.wait_for_selector(".msg.sending, .msg.waiting", state="detached")
