"""A user in front of the page: what tests do and look at, in a user's terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.browser.conftest import Server

Page = Any
#: A browser's words on its console when a connection breaks; tests that break one expect it.
BROKEN = re.compile(r"WebSocket connection to|net::ERR_|Failed to load resource: net::|blocked by Playwright")
#: Generous, since a machine may be busy: only a test that fails waits for so long.
PATIENCE_MS = 60_000


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
        worker: bool = False,
        notices: bool = False,
        clock: bool = False,
    ) -> None:
        """`worker`: the page may install its service worker, which reads all of the page's files once more. `clock`:
        the page's time runs as it does, and a test may put it forward."""
        self.user = user
        self.server = server
        self.complaints: list[str] = []
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            locale=locale,
            service_workers="allow" if worker else "block",
            permissions=["notifications"] if notices else [],
        )
        self.context.set_default_timeout(PATIENCE_MS)
        if clock:
            self.context.clock.install()
        self.page = self.tab()
        if sign_in:
            self.sign_in(url)

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

    def sign_in(self, url: str | None = None) -> None:
        self.page.goto(f"{url or self.server.url}#token={self.server.token(self.user)}")
        self.page.wait_for_selector(".rail")

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

    def at_rest(self, *, busy: bool = False) -> None:
        """Wait until the thread has read what it wants, unless it may be `busy`, and has drawn itself."""
        if not busy:
            self.page.wait_for_selector(".log[aria-busy=false]")
        self.page.evaluate(FRAMES)

    def settled(self) -> None:
        """Wait until nothing is on its way."""
        self.page.wait_for_selector(".msg.sending, .msg.waiting", state="detached")

    def offline(self, gone: bool) -> None:
        """Take the network away, or give it back, as the browser is told of it."""
        self.context.set_offline(gone)
        self.page.evaluate(f"dispatchEvent(new Event('{'offline' if gone else 'online'}'))")

    def keeps(self, room: str, body: str) -> None:
        """Wait until the browser keeps a message of the room."""
        self.until(KEPT, [self.user, room, body])

    def forgets(self, room: str) -> None:
        """Wait until the browser keeps nothing of the room."""
        self.until(f"async asked => !await ({KEPT})(asked)", [self.user, room, None])

    def until(self, script: str, argument: object = None) -> None:
        """Wait until what the script resolves with is true; `wait_for_function` takes any promise for true. The page
        writes down at once what it would keep."""
        assert self.comes_true(script, argument), f"this never came true: {script}"

    def comes_true(self, script: str, argument: object = None, within_ms: int = PATIENCE_MS) -> bool:
        """Whether it does in time."""
        waiting = f"([argument, patience]) => ({UNTIL})({script}, argument, patience)"
        return bool(self.page.evaluate(waiting, [argument, within_ms]))

    def has_worker(self) -> None:
        """Wait until the page's service worker has all of the page's files."""
        self.page.wait_for_function("() => navigator.serviceWorker.controller?.state === 'activated'")


#: Some frames of the browser: rows are measured in one and placed in the next.
FRAMES = """async () => {
    for (let frame = 0; frame < 6; frame++) await new Promise(requestAnimationFrame);
}"""
#: Asks until the answer is true.
UNTIL = """async (asked, argument, patience) => {
    const end = performance.now() + patience;
    while (!await asked(argument)) {
        if (performance.now() > end) return false;
        dispatchEvent(new Event('pagehide'));
        await new Promise(requestAnimationFrame);
    }
    return true;
}"""
#: Whether IndexedDB holds a message, by user, room and text; without a text, whether it holds anything of the room.
KEPT = """([user, id, body]) => new Promise(resolve => {
    const opening = indexedDB.open('gochat', 1);
    opening.onupgradeneeded = () => opening.transaction.abort();  // The page makes it.
    opening.onerror = () => resolve(false);
    opening.onsuccess = () => {
        const asked = opening.result.transaction('rooms').objectStore('rooms').get([user, id]);
        asked.onsuccess = () => {
            opening.result.close();
            resolve(asked.result?.rows.some(row => body === null || row.body === body) ?? false);
        };
    };
})"""
