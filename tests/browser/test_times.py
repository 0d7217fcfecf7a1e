"""The words for a time, such as "Today", hold for as long as they stand there."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.conftest import Server
from tests.browser.people import Person

Someone = Callable[..., Person]
HOUR_MS = 3_600_000


def test_days_and_times_go_on_while_the_page_is_open(person: Someone, server: Server) -> None:
    for one, other in (("ann", "bob"), ("bob", "ann")):
        server.post(server.token(one), f"contacts/{other}", {}, method="PUT")
    server.say(server.token("bob"), "user:ann", "good evening")
    ann = person("ann", clock=True)
    page = ann.page
    ann.open("bob")
    ann.sees("good evening")
    page.wait_for_selector(".who p:has-text('last seen just now')")
    page.wait_for_selector(".day:has-text('Today')")
    page.clock.fast_forward(5 * HOUR_MS)
    page.wait_for_selector(".who p:has-text('last seen 5 h ago')")
    page.clock.fast_forward(19 * HOUR_MS)
    page.wait_for_selector(".day:has-text('Yesterday')")
    page.wait_for_selector(".who p:has-text('Yesterday')")
    page.wait_for_function("() => !document.querySelector('.chats time').textContent.includes(':')")
