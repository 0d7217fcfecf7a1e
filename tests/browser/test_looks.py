"""Promises of the page in every view, light and dark: axe finds nothing, nothing jumps, hostile text stays text."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest

from tests.browser.conftest import Server
from tests.browser.hostile import CORPUS
from tests.browser.people import Page, Person

Someone = Callable[..., Person]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
MANY = 10_000
MOST_NODES = 1000
MOST_SCREENS = 1000
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


Size = tuple[int, int]
LOOKS = [
    pytest.param(WIDE, False, id="wide and light"),
    pytest.param(NARROW, True, id="narrow and dark"),
    pytest.param(WIDE, True, id="wide and dark", marks=pytest.mark.long),
    pytest.param(NARROW, False, id="narrow and light", marks=pytest.mark.long),
]


def with_a_chat_and_a_group(person: Someone, server: Server, size: Size, dark: bool) -> Person:
    bob = server.token("bob")
    server.say(bob, "user:ann", "hello", "a `code` and 🎉", "👍")
    server.post(bob, "groups", {"name": "tea", "title": "Tea", "users": ["ann"]})
    ann = person("ann", size=size, dark=dark)
    ann.page.wait_for_selector(".chat >> nth=1")
    return ann


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_axe_finds_nothing_in_the_views_of_a_chat(person: Someone, server: Server, size: Size, dark: bool) -> None:
    ann = with_a_chat_and_a_group(person, server, size, dark)
    ann.open("bob")
    ann.sees("hello")
    ann.say("mine", "@ann too")
    ann.settled()
    ann.page.locator(".msg", has_text="hello").first.hover()
    ann.page.locator(".tools:visible").get_by_role("button", name="What to do with this message").click()
    assert findings(ann.page) == []
    ann.page.keyboard.press("Escape")
    ann.page.click(".thread .bar [aria-label=More]")
    ann.page.wait_for_selector("dialog")
    assert findings(ann.page) == []


@pytest.mark.long
@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_axe_finds_nothing_in_any_view(person: Someone, server: Server, size: Size, dark: bool) -> None:
    stranger = person("cat", size=size, dark=dark, sign_in=False)
    stranger.page.goto(server.url)
    stranger.page.wait_for_selector(".door")
    assert findings(stranger.page) == []
    ann = with_a_chat_and_a_group(person, server, size, dark)
    page = ann.page
    assert findings(page) == []
    for name in ("New group", "Contacts and blocks", "Notifications", "Keyboard"):
        page.click(".rail [aria-label=More]")
        page.get_by_role("menuitem", name=name).click()
        page.wait_for_selector("dialog")
        assert findings(page) == [], name
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
    ann.find("hello")
    page.wait_for_selector(".found[aria-busy=false]")
    assert findings(page) == []
    ann.find("")
    ann.open("Tea")
    page.wait_for_selector(".thread textarea")
    page.fill("textarea", "@bo")
    page.wait_for_selector(".offers")
    assert findings(page) == []
    page.fill("textarea", "long " * 1_000)
    assert findings(page) == []
    page.fill("textarea", "")
    page.click("[aria-label=Members]")
    page.wait_for_selector("dialog .members li")
    assert findings(page) == []
    page.get_by_role("button", name="Leave the group").click()
    assert findings(page) == []
    page.keyboard.press("Escape")
    if size == NARROW:
        page.click(".back")
    ann.open("bob")
    ann.sees("hello")
    for name in ("Report", "Delete"):
        if name == "Delete":
            ann.say("mine")
            ann.settled()
        ann.choose("hello" if name == "Report" else "mine", name)
        page.wait_for_selector("dialog")
        assert findings(page) == [], name
        page.keyboard.press("Escape")
    page.click(".composer [aria-label=Emoji]")
    page.wait_for_selector(".picker .grid button >> nth=50")
    assert findings(page) == []
    page.keyboard.press("Escape")
    ann.offline(True)
    page.wait_for_selector(".banner")
    ann.say("waits")
    assert findings(page) == []


def test_a_long_history_costs_few_nodes_and_never_jumps(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", *(f"message {number}" for number in range(700)))
    ann = person("ann")
    ann.open("bob")
    ann.page.click(".jump")
    ann.sees("message 699")
    ann.at_rest()
    top = "() => document.querySelector('.msg:focus').getBoundingClientRect().top"
    for _ in range(4):
        ann.page.locator(".row .msg").nth(3).focus()
        ann.page.evaluate("document.querySelector('.log').scrollTop -= 4000")
        ann.at_rest(busy=True)
        ann.page.locator(".row .msg").nth(12).focus()
        before = ann.page.evaluate(top)
        ann.at_rest()
        assert abs(ann.page.evaluate(top) - before) < 1
    assert len(ann.page.query_selector_all("*")) < MOST_NODES


#: The button that floats above the messages comes and goes by itself.
NO_BUTTON = ".jump { visibility: hidden; }"
#: The text of a bubble is there and is not drawn: what differs from that lies where the text was drawn.
UNDRAWN = ".bubble, .bubble * { color: transparent !important; text-decoration: none !important; }"
#: The pixels in which two shots differ outside of the boxes, at most 10.
DIFFERENCE = """async ([one, other, boxes]) => {
    const pixels = async shot => {
        const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${shot}`)).blob());
        const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
        context.drawImage(image, 0, 0);
        return context.getImageData(0, 0, image.width, image.height);
    };
    const [a, b] = [await pixels(one), await pixels(other)];
    const found = [];
    for (let at = 0; at < a.data.length && found.length < 10; at += 4) {
        // Round corners and icons come out some levels lighter or darker each time, unlike a text that is drawn there.
        if ([0, 1, 2].every(colour => Math.abs(a.data[at + colour] - b.data[at + colour]) <= 48)) continue;
        const x = (at / 4) % a.width, y = Math.floor(at / 4 / a.width);
        const within = box => box.left - 1 <= x && x <= box.right && box.top - 1 <= y && y <= box.bottom;
        if (!boxes.some(within)) found.push([x, y]);
    }
    return found;
}"""
BOXES = "bubbles => bubbles.map(bubble => bubble.getBoundingClientRect().toJSON())"
#: Everything that a text must leave as it is.
FRAME = """() => ({
    made: document.querySelectorAll('.bubble :is(script, style, img, iframe, base, meta, i, svg:not(.icon))').length,
    title: document.title,
    across: Math.max(document.documentElement.scrollWidth, document.querySelector('.log').scrollWidth) > innerWidth,
    parts: [...document.querySelectorAll('.thread > .bar, .composer, .log')].map(part => {
        const { left, top, width, height } = part.getBoundingClientRect();
        return [part.className, left, top, width, height];
    }),
})"""


@pytest.mark.parametrize("many", [16, pytest.param(len(CORPUS), marks=pytest.mark.long)])
def test_hostile_text_changes_nothing_but_its_bubble(person: Someone, server: Server, browser: Any, many: int) -> None:
    """From the end up to the beginning, a screen at a time: the page around stays as it is, and of two shots, one with
    the texts drawn and one without, the pixels differ within the bubbles alone."""
    server.stop()
    server.start(GOCHAT_POLICY__LINKS="allow")
    server.say(server.token("bob"), "user:ann", "begin", *CORPUS[:many])
    ann = person("ann", size=NARROW)
    canvas = browser.new_page()
    page = ann.page
    ann.open("bob")
    page.wait_for_selector(".bubble")
    for name, rules in (("undrawn", UNDRAWN), ("plain", NO_BUTTON)):
        page.evaluate(f"(globalThis.{name} = new CSSStyleSheet()).replaceSync('{rules}')")
    page.evaluate("document.adoptedStyleSheets = [plain]")
    before = page.evaluate(FRAME)
    assert (before["made"], before["across"]) == (0, False)
    for _ in range(MOST_SCREENS):
        ann.at_rest()
        assert page.evaluate(FRAME) == before
        drawn = page.screenshot(animations="disabled")
        page.evaluate("document.adoptedStyleSheets = [plain, undrawn]")
        undrawn = page.screenshot(animations="disabled")
        page.evaluate("document.adoptedStyleSheets = [plain]")
        shots = [base64.b64encode(shot).decode() for shot in (drawn, undrawn)]
        diff = canvas.evaluate(DIFFERENCE, [*shots, page.eval_on_selector_all(".bubble", BOXES)])
        assert diff == []
        if page.evaluate("document.querySelector('.log').scrollTop") == 0:
            break
        page.evaluate("document.querySelector('.log').scrollTop -= 500")
    assert page.locator(".bubble").first.inner_text().startswith("begin")
    canvas.close()


#: Goes near the first row that is there, and tells how far a row in view moves while older ones come in, in pixels, and
#: whether any came.
WATCH = """async () => {
    const log = document.querySelector('.log');
    const frame = () => new Promise(requestAnimationFrame);
    log.scrollTop = Math.min(log.scrollTop, 900);
    for (let count = 0; count < 3; count++) await frame();
    const edge = log.getBoundingClientRect().top + 100;
    const anchor = [...log.querySelectorAll('.row')].find(row => row.getBoundingClientRect().top > edge);
    const begin = anchor.getBoundingClientRect().top, height = log.scrollHeight;
    let moved = 0, left = 25;
    while (left-- > 0) {
        await frame();
        moved = Math.max(moved, Math.abs(anchor.getBoundingClientRect().top - begin));
        if (log.scrollHeight > height + 1000) left = Math.min(left, 5);
    }
    return [moved, log.scrollHeight > height + 1000 ? 1 : 0];
}"""


#: Older messages are asked for some frames late: they come while they are watched, and not before, on a quick machine.
ASK_LATE = """
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        if (String(data).includes('"type":"history"')) setTimeout(() => send.call(this, data), 150);
        else send.call(this, data);
    };
"""


@pytest.mark.long
def test_ten_thousand_messages(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", *(f"message {number}" for number in range(MANY)))
    ann = person("ann", sign_in=False)
    ann.page.add_init_script(ASK_LATE)
    ann.sign_in()
    ann.open("bob")
    ann.page.wait_for_selector(".bubble")
    ann.at_rest()
    prepended = 0
    for _ in range(MANY // 200 + 20):
        moved, came = ann.page.evaluate(WATCH)
        assert moved < 1
        assert len(ann.page.query_selector_all("*")) < MOST_NODES
        prepended += came
    assert prepended >= 20  # Every second one; the page asks ahead, so that another comes between two looks.
    ann.page.evaluate("document.querySelector('.log').scrollTop = 0")
    ann.sees("message 0")
    ann.page.click(".jump")
    ann.sees(f"message {MANY - 1}")
