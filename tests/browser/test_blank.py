"""Nothing that a browser says or refuses leaves a page blank."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.conftest import Server
from tests.browser.people import Person

Someone = Callable[..., Person]
NOTHING_KEPT = """for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, {
    get() { throw new DOMException('Access is denied for this document.', 'SecurityError'); }
})"""
#: Fills the space, to the last few bytes.
FILL = """() => {
    for (const size of [500_000, 1_000, 10]) {
        try { for (let at = 0; ; at++) localStorage.setItem(`${size} ${at}`, 'x'.repeat(size)); } catch {}
    }
}"""


def test_a_language_in_any_spelling_shows_a_page(person: Someone, server: Server) -> None:
    page = person("ann", sign_in=False).page
    for path in ("", "admin"):
        for said, shown in {"de_DE": "Anmelden", "en_US": "", "en-": "", "": "", "zh_CN": ""}.items():
            page.goto(f"{server.url}{path}?lang={said}")
            word = shown or "Come in"
            page.wait_for_selector(f".door button:has-text('{word}')")


def test_a_browser_that_keeps_nothing_for_the_site_shows_the_page(person: Someone, server: Server) -> None:
    ann = person("ann", sign_in=False)
    ann.page.add_init_script(NOTHING_KEPT)
    ann.sign_in()
    ann.page.get_by_role("button", name="Dark theme").click()
    ann.write_to("bob")
    ann.page.fill("textarea", "half")
    ann.write_to("cat")
    ann.open("bob")
    assert ann.page.input_value("textarea") == "half"
    ann.say("whole")
    ann.settled()
    ann.page.goto(f"{server.url}admin")
    ann.page.wait_for_selector(".door")
    ann.page.goto(f"{server.url}docs")
    ann.page.wait_for_selector("h1")


def test_an_emoji_is_taken_though_the_space_is_full(person: Someone) -> None:
    ann = person("ann")
    ann.write_to("bob")
    ann.page.evaluate(FILL)
    ann.page.click(".composer button[aria-expanded]")
    ann.page.click(".picker .grid button[aria-label='👀']")
    ann.page.wait_for_function("() => document.querySelector('textarea').value === '👀'")
