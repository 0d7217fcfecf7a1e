"""The documentation in a browser: it fits, is accessible, is searched without the mouse, and forwards old addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Server
from tests.browser.test_looks import LOOKS, Size, findings

#: Of each kind one: lists, code with tables, a table without a head, and the description.
PAGES = ("/docs", "/docs/howto/chat", "/docs/decisions", "/docs/api")
WIDER = "document.documentElement.scrollWidth > innerWidth"


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """The words of the console, on refused scripts and styles among others: there are none."""
    told: list[str] = []
    yield told
    assert told == []


def reader(browser: Any, complaints: list[str], size: Size = (1280, 800), dark: bool = False) -> Any:
    scheme = "dark" if dark else "light"
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_pages_fit_and_are_accessible(
    browser: Any, server: Server, complaints: list[str], size: Size, dark: bool
) -> None:
    page = reader(browser, complaints, size, dark)
    for path in PAGES:
        page.goto(f"{server.url.rstrip('/')}{path}")
        page.wait_for_selector("main h1, main h2")
        assert not page.evaluate(WIDER), path
        if path != "/docs/api":
            assert findings(page) == [], path
    page.goto(f"{server.url}docs/howto/chat")
    if size[0] < 800:
        assert not page.is_visible("#menu")
        page.click(".open-menu")
        assert findings(page) == []
    page.click("#menu >> text=Errors")
    page.wait_for_url("**/docs/reference/errors")
    page.fill("#find", "limits.window")
    page.wait_for_selector("#found li")
    assert findings(page) == [] and not page.evaluate(WIDER)
    page.close()


def test_the_search_needs_no_mouse(browser: Any, server: Server, complaints: list[str]) -> None:
    page = reader(browser, complaints)
    page.goto(f"{server.url}docs")
    page.keyboard.press("/")
    page.keyboard.type("no such thing at all")
    page.wait_for_selector("#found p:has-text('Nothing found')")
    page.keyboard.press("Escape")
    assert not page.is_visible("#found") and page.input_value("#find") == ""
    page.keyboard.type("limits.window")
    page.wait_for_selector("#found li")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/reference/settings#limits")
    page.keyboard.press("/")
    page.keyboard.type("backup")
    page.wait_for_selector("#found li mark")
    page.keyboard.type(" <img src=x onerror=alert(1)>")
    page.wait_for_selector("#found p:has-text('Nothing found')")
    assert page.query_selector("#found img") is None
    page.close()


def test_addresses_of_the_description_go_on_working(browser: Any, server: Server, complaints: list[str]) -> None:
    page = reader(browser, complaints)
    page.goto(f"{server.url}docs#rest.schemas")
    page.wait_for_url("**/docs/api#rest.schemas")
    page.goto(f"{server.url}docs#reference")
    page.wait_for_selector("#find:visible")
    assert page.url.endswith("/docs#reference")
    page.close()


def test_the_theme_is_the_one_chosen_on_the_page(browser: Any, server: Server, complaints: list[str]) -> None:
    page = reader(browser, complaints)
    page.goto(f"{server.url}docs")
    page.evaluate("localStorage.setItem('gochat.theme', 'dark')")
    page.reload()
    page.wait_for_selector("#find:visible")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(13, 20, 22)"
    page.close()
