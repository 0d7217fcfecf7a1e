"""A tab changes hands, and a token that only says a name opens and wipes nothing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Server
from tests.browser.people import FRAMES, KEPT, Person
from tests.tokens import TTL_S

Someone = Callable[..., Person]
ROOM = "dm:ann:bob"
#: A network on which no connection is ever made, and which tells that one was tried.
NO_CONNECTION = "WebSocket = class { constructor() { globalThis.tried = true; } close() {} }"


def made_up(user: str) -> str:
    """A token that says the user's name, and that no server has signed."""
    parts = ({"alg": "EdDSA"}, {"sub": user})
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".AAAA"


def test_a_second_sign_in_of_a_tab_outlives_the_end_of_the_first(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.say(bob, "user:ann", "hello ann")
    server.say(bob, "user:cat", "hello cat")
    ann = person("ann")
    ann.keeps(ROOM, "hello ann")
    ann.page.goto(f"{server.url}#token={server.token('cat')}")
    ann.page.click(".door .primary")
    ann.page.wait_for_selector(".self:text-is('cat')")
    ann.until(KEPT, ["cat", "dm:bob:cat", "hello cat"])
    ann.page.reload()
    ann.page.wait_for_selector(".self:text-is('cat')")
    ann.open("bob")
    ann.sees("hello cat")
    assert ann.page.evaluate(KEPT, ["cat", "dm:bob:cat", "hello cat"])


def test_a_made_up_token_shows_nothing_wipes_nothing_and_signs_nobody_out(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "private")
    ann = person("ann")
    ann.keeps(ROOM, "private")
    other = ann.tab()
    other.add_init_script(NO_CONNECTION)
    other.goto(f"{server.url}#token={made_up('ann')}")
    other.wait_for_function("() => globalThis.tried")
    other.evaluate(FRAMES)
    assert other.locator(".door").count() == 1 and other.locator(".rail").count() == 0
    other.close()
    ann.page.goto(f"{server.url}#token={made_up('ann')}")
    ann.page.wait_for_selector(".door [role=alert]")
    assert ann.page.evaluate(KEPT, ["ann", ROOM, "private"])
    ann.page.reload()
    ann.open("bob")
    ann.sees("private")


def test_what_was_kept_goes_with_the_end_of_the_sign_in(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "private")
    ann = person("ann", clock=True)
    ann.keeps(ROOM, "private")
    ann.page.close()
    ann.page = ann.tab()
    ann.page.clock.fast_forward((TTL_S + 60) * 1_000)
    ann.page.goto(server.url)
    ann.page.wait_for_selector(".door")
    ann.forgets(ROOM)


def test_a_link_that_is_opened_where_one_is_asked_for_says_why_it_is_of_no_use(person: Someone, server: Server) -> None:
    ann = person("ann", sign_in=False)
    page = ann.page
    page.goto(server.url)
    page.fill(".door input", "nonsense")
    page.click(".door button")
    page.wait_for_selector(".door [role=alert]:has-text('neither a link nor a token')")
    page.goto(f"{server.url}#ticket=nonsense")
    page.wait_for_selector(".door [role=alert]:has-text('of no use any more')")
    ann.complaints.clear()  # The browser tells of the 401.


class Busy:
    """A server that has no answer for tickets, for so many times."""

    def __init__(self, page: Any, times: int) -> None:
        self.asked = 0
        self._times = times
        page.route("**/v1/tickets", self._answer)

    def _answer(self, route: Any) -> None:
        self.asked += 1
        if self.asked > self._times:
            route.continue_()
            return
        status, code = ((503, "unavailable"), (429, "rate_limited"))[self.asked % 2]
        problem = {"title": code, "status": status, "code": code, "retry_after_ms": 1}
        route.fulfill(status=status, content_type="application/problem+json", body=json.dumps(problem))


def test_a_link_is_tried_again_while_the_server_is_busy(person: Someone, server: Server) -> None:
    ann = person("ann", sign_in=False)
    busy = Busy(ann.page, 3)
    ann.page.goto(server.link("ann"))
    ann.page.wait_for_selector(".self:text-is('ann')")
    assert busy.asked == 4
    ann.complaints.clear()  # The browser tells of the answers.


@pytest.mark.parametrize(("options", "inside"), [((), ".self"), (("--admin",), ".top")], ids=["chat", "admin"])
def test_a_link_that_had_no_answer_can_be_tried_again(
    person: Someone, server: Server, options: tuple[str, ...], inside: str
) -> None:
    ann = person("ann", sign_in=False)
    busy = Busy(ann.page, 4)
    ann.page.goto(server.link("ann", *options))
    ann.page.wait_for_selector(".door [role=alert]:has-text('does not answer')")
    assert busy.asked == 4 and "#" not in ann.page.url
    ann.page.get_by_role("button", name="Try again").click()
    ann.page.wait_for_selector(f"{inside}:has-text('ann')")
    ann.complaints.clear()


def test_a_tab_that_is_signed_in_says_that_a_link_is_of_no_use(person: Someone, server: Server) -> None:
    ann = person("ann", sign_in=False)
    link = server.link("ann")
    for _ in range(2):
        ann.page.goto(link)
        ann.page.wait_for_selector(".self:text-is('ann')")
    ann.page.wait_for_selector(".banner[role=alert]:has-text('of no use any more')")
    ann.page.get_by_role("button", name="Dismiss").click()
    ann.page.wait_for_selector(".banner", state="detached")
    ann.complaints.clear()
