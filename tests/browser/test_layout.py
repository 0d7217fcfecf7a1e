"""The page keeps its shape, whatever is typed into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Server
from tests.browser.people import FRAMES, Person
from tests.browser.test_looks import NARROW, WIDE, Size

Someone = Callable[..., Person]
#: How far the page, the thread and the place to write stand out of the window, in pixels.
BEYOND = """() => Math.max(
    document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight,
    ...[...document.querySelectorAll('.thread, .composer, textarea, .log')].map(part => {
        const { right, bottom } = part.getBoundingClientRect();
        return Math.max(right - innerWidth, bottom - innerHeight);
    }))"""


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_long_words_and_many_lines_leave_the_page_as_wide_as_it_was(
    person: Someone, server: Server, size: Size
) -> None:
    server.say(server.token("bob"), "user:ann", *(f"message {number}" for number in range(40)))
    server.say(server.token("ann"), "user:bob", "seen")
    ann = person("ann", size=size)
    page = ann.page
    ann.open("bob")
    ann.sees("seen")
    ann.at_rest()
    for text in ("x" * 3_700, "one\n" * 40, "long " * 1_000):
        for typed in ("", text):
            page.fill("textarea", typed)
            page.evaluate(FRAMES)
        assert page.evaluate(BEYOND) <= 0
        assert page.locator(".jump").count() == 0, "the end stays in sight"
    page.fill("textarea", "x" * 3_700)
    for text in ("long " * 1_000, "many " * 12_000):
        page.fill("textarea", text)
        page.wait_for_selector(".target[role=status]")
        page.evaluate(FRAMES)
        # The field's new height is heard of some frames later where the machine has much to do.
        page.wait_for_selector(".jump", state="detached")  # The end is not lost where one text takes another's place.
    assert page.locator(".msg", has_text="seen").is_visible()


def test_the_picker_of_reactions_stays_within_a_phone(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    server.post(server.token("bob"), "groups", {"name": "tea", "title": "Tea", "users": ["ann"]})
    server.say(server.token("bob"), "group:tea", "a message that is as wide as a message can be on a phone")
    ann = person("ann", size=NARROW)
    page = ann.page
    for room, mine in (("Tea", False), ("bob", True)):
        ann.open(room)
        page.wait_for_selector("textarea")
        if mine:
            ann.say("mine")
            ann.settled()
        page.locator(".mine .msg, .msg").last.hover()
        page.locator(".tools:visible").get_by_role("button", name="React", exact=True).click()
        page.wait_for_selector(".picker .grid button >> nth=50")
        left, right = page.eval_on_selector(
            ".picker", "picker => { const { left, right } = picker.getBoundingClientRect(); return [left, right]; }"
        )
        assert 0 <= left < right <= NARROW[0]
        assert page.evaluate("document.querySelector('.log').scrollLeft") == 0
        page.keyboard.press("Escape")
        page.click(".back")


#: The buttons and choices of the dialog and the banner that stick out of them, or out of the window, by their texts.
STICKING_OUT = """() => [...document.querySelectorAll('dialog, .banner')].flatMap(around =>
    [...around.querySelectorAll('button, select')].filter(each => {
        const { left, right } = each.getBoundingClientRect(), frame = around.getBoundingClientRect();
        const list = each.closest('ul')?.getBoundingClientRect() ?? frame;
        const begin = Math.max(0, frame.left, list.left), end = Math.min(innerWidth, frame.right, list.right);
        return left < begin - 1 || right > end + 1;
    }).map(each => each.textContent))"""


#: The buttons that stand ragged: rows of a footer that end at the same side and begin anywhere, and buttons of one
#: person in several rows.
RAGGED = """() => [...document.querySelectorAll('dialog footer, dialog li')].filter(around => {
    const buttons = [...around.querySelectorAll('button.soft, button.primary')];
    const rows = Map.groupBy(buttons.map(each => each.getBoundingClientRect()), ({ top }) => Math.round(top));
    const begins = [...rows.values()].map(row => Math.round(Math.min(...row.map(({ left }) => left))));
    return around.matches('li') ? rows.size > 1 : new Set(begins).size > 1;
}).map(each => each.textContent)"""


def test_long_german_words_stay_within_their_dialogs_on_a_phone(person: Someone, server: Server) -> None:
    ann, bob = server.token("ann"), server.token("bob")
    server.say(bob, "user:ann", "hello")
    for user in ("bob", "cat"):
        server.post(ann, f"contacts/{user}", {}, method="PUT")
    server.post(ann, "groups", {"name": "tea", "title": "Tee", "users": ["bob", "cat"]})
    server.post(ann, "groups/tea/mutes/bob", {"seconds": 3600}, method="PUT")
    page = (someone := person("ann", size=NARROW, locale="de-DE")).page
    page.click(".rail [aria-label=Mehr]")
    page.get_by_role("menuitem", name="Kontakte und Blockierte").click()
    page.wait_for_selector("dialog .members li >> nth=1")
    assert page.evaluate(STICKING_OUT) == page.evaluate(RAGGED) == []
    page.keyboard.press("Escape")
    someone.open("Tee")
    page.click("[aria-label=Mitglieder]")
    page.wait_for_selector("dialog .sanctions li")
    assert page.evaluate(STICKING_OUT) == page.evaluate(RAGGED) == []
    page.keyboard.press("Escape")
    someone.offline(True)
    page.wait_for_selector(".banner .ghost")
    assert page.evaluate(STICKING_OUT) == []
