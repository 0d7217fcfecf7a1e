"""Promises of the page in every view, light and dark: axe finds nothing, nothing jumps, hostile text stays text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import axe_playwright_python
import pytest

from tests.browser.conftest import Server
from tests.browser.people import Page, Person

Someone = Callable[..., Person]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
MANY = 10_000
MOST_NODES = 1000
WIDE, NARROW = (1280, 800), (390, 844)


def findings(page: Page) -> list[str]:
    """The findings of axe in the view, a line for each element. It goes in by the debugger, past the page's policy."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE})
    script = "axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations.flatMap("
    script += "rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`))))"
    answer = session.send("Runtime.evaluate", {"expression": script, "awaitPromise": True})
    found: str = answer["result"]["value"]
    session.detach()
    return [] if found == "[]" else [found]


@pytest.mark.parametrize(
    ("size", "dark"),
    [
        pytest.param(WIDE, False, id="wide and light"),
        pytest.param(NARROW, True, id="narrow and dark"),
        pytest.param(WIDE, True, id="wide and dark", marks=pytest.mark.long),
        pytest.param(NARROW, False, id="narrow and light", marks=pytest.mark.long),
    ],
)
def test_axe_finds_nothing_in_any_view(person: Someone, server: Server, size: tuple[int, int], dark: bool) -> None:
    stranger = person("cat", size=size, dark=dark, sign_in=False)
    stranger.page.goto(server.url)
    stranger.page.wait_for_selector(".door")
    assert findings(stranger.page) == []
    bob = server.token("bob")
    server.say(bob, "user:ann", "hello", "a `code` and 🎉", "👍")
    server.post(bob, "groups", {"name": "tea", "title": "Tea", "users": ["ann"]})
    ann = person("ann", size=size, dark=dark)
    ann.page.wait_for_selector(".chat >> nth=1")
    assert findings(ann.page) == []
    ann.open("bob")
    ann.sees("hello")
    ann.say("mine", "@ann too")
    ann.settled()
    assert findings(ann.page) == []
    ann.page.locator(".msg", has_text="hello").first.hover()
    ann.page.locator(".tools:visible").get_by_role("button", name="What to do with this message").click()
    assert findings(ann.page) == []
    ann.page.keyboard.press("Escape")
    ann.page.click(".thread .bar [aria-label=More]")
    ann.page.wait_for_selector("dialog")
    assert findings(ann.page) == []


def test_a_long_history_costs_few_nodes_and_never_jumps(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", *(f"message {number}" for number in range(700)))
    ann = person("ann")
    ann.open("bob")
    ann.page.click(".jump")
    ann.sees("message 699")
    ann.page.wait_for_timeout(300)
    top = "() => document.querySelector('.msg:focus').getBoundingClientRect().top"
    for _ in range(4):
        ann.page.locator(".row .msg").nth(3).focus()
        ann.page.evaluate("document.querySelector('.log').scrollTop -= 4000")
        ann.page.wait_for_timeout(400)
        ann.page.locator(".row .msg").nth(12).focus()
        before = ann.page.evaluate(top)
        ann.page.wait_for_selector(".log[aria-busy=false]")
        ann.page.wait_for_timeout(300)
        assert abs(ann.page.evaluate(top) - before) < 1
    assert len(ann.page.query_selector_all("*")) < MOST_NODES


HOSTILE = [
    "<script>document.title = 'taken'</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)",
    "`<b>code</b>`", "```\n<i>block</i>\n```", "a" * 3000, "\u202eesrever", "Z" + "\u0301" * 50 + "algo",
    "@ann@ann@ann", "{{7*7}} ${7*7}", "&lt;b&gt;", "\ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67",
    "שלום עולם hello", "مرحبا 123", "|" * 500, "\n".join("line" for _ in range(60)), "'\"`--><!--",
]  # fmt: skip


def test_hostile_text_changes_nothing_but_its_bubble(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", *(text.encode("utf-16", "surrogatepass").decode("utf-16") for text in HOSTILE))
    ann = person("ann")
    ann.open("bob")
    ann.page.wait_for_selector(".bubble")
    ann.page.keyboard.press("End")
    ann.page.wait_for_timeout(300)
    assert ann.page.evaluate("document.querySelectorAll('.bubble :is(script, img, i, svg:not(.icon))').length") == 0
    assert "taken" not in ann.page.title()
    width = "() => [document.documentElement.scrollWidth, innerWidth, document.querySelector('.log').scrollWidth]"
    scrolled, inner, log = ann.page.evaluate(width)
    assert scrolled <= inner
    assert log <= inner


@pytest.mark.long
def test_ten_thousand_messages(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", *(f"message {number}" for number in range(MANY)))
    ann = person("ann")
    ann.open("bob")
    for _ in range(60):
        ann.page.evaluate("document.querySelector('.log').scrollTop = 0")
        ann.page.wait_for_timeout(150)
        assert len(ann.page.query_selector_all("*")) < MOST_NODES
    ann.page.click(".jump")
    ann.sees(f"message {MANY - 1}")
