"""Profiles, devices, and the users who are muted in a group or banned from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.between import Between
from tests.browser.conftest import Server
from tests.browser.people import Person
from tests.browser.test_looks import NARROW, WIDE, findings
from tests.tokens import issue_in

Someone = Callable[..., Person]


def with_a_group(server: Server) -> None:
    bob = server.token("bob")
    server.post(bob, "groups", {"name": "tea", "title": "Tea", "users": ["ann", "eve", "zoe"]})
    server.post(bob, "groups/tea/users/ann", {"role": "moderator"}, method="PUT")
    server.post(bob, "groups/tea/mutes/eve", {"seconds": 3600}, method="PUT")
    server.post(bob, "groups/tea/bans/zoe", {}, method="PUT")


def test_a_moderator_sees_the_muted_and_the_banned_and_lets_them_back(person: Someone, server: Server) -> None:
    with_a_group(server)
    ann = person("ann")
    page = ann.page
    ann.open("Tea")
    page.click("[aria-label=Members]")
    page.wait_for_selector(".sanctions li >> nth=1")
    assert "muted, until" in page.inner_text(".sanctions li:has-text('eve')")
    assert "banned" in page.inner_text(".sanctions li:has-text('zoe')")
    assert findings(page) == []
    page.click(".sanctions li:has-text('eve') button")
    page.wait_for_selector(".sanctions li:has-text('eve')", state="detached")
    page.click(".sanctions li:has-text('zoe') button:text-is('Lift the ban')")
    page.wait_for_selector(".sanctions", state="detached")
    choice = page.get_by_label("More: eve")
    choice.select_option("mute")
    page.wait_for_selector(".sanctions li:has-text('eve')")
    choice.select_option("unmute")
    page.wait_for_selector(".sanctions", state="detached")
    server.say(server.token("eve"), "group:tea", "back again")
    page.keyboard.press("Escape")
    ann.sees("back again")


def test_a_member_is_shown_no_sanctions(person: Someone, server: Server) -> None:
    with_a_group(server)
    eve = person("eve")
    eve.open("Tea")
    eve.page.click("[aria-label=Members]")
    eve.page.wait_for_selector("dialog .members li")
    eve.at_rest()
    assert eve.page.locator(".sanctions").count() == 0


@pytest.mark.parametrize(
    ("size", "dark"),
    [(WIDE, False), pytest.param(NARROW, True, marks=pytest.mark.long)],
    ids=["wide and light", "narrow and dark"],
)
def test_a_profile_and_the_devices(person: Someone, server: Server, size: tuple[int, int], dark: bool) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    server.post(server.token("bob"), "groups", {"name": "tea", "title": "Tea", "users": ["ann"]})
    other = person("ann")
    other.page.wait_for_selector(".chat >> nth=1")
    ann = person("ann", size=size, dark=dark)
    page = ann.page
    # As a cluster whose other nodes do not answer.
    Between(page, lambda frame: frame | {"missing": ["south", "west"]} if frame["type"] == "devices" else frame)
    page.reload()
    page.wait_for_selector(".chat >> nth=1")
    page.click(".rail [aria-label=More]")
    page.get_by_role("menuitem", name="Profile").click()
    page.wait_for_selector(".devices li >> nth=1")
    page.wait_for_selector("dialog .missing:has-text('south, west')")
    assert page.locator(".devices li", has_text="this one").count() == 1
    assert findings(page) == []
    there = page.locator(".devices li").filter(has_not_text="this one")
    there.get_by_role("button", name="Sign out").click()
    there.get_by_role("button", name="Really sign out?").click()
    page.wait_for_selector("dialog [role=status]:has-text('It is signed out')")
    page.wait_for_selector(".devices li >> nth=1", state="detached")
    other.page.wait_for_selector(".door [role=alert]:has-text('You were signed out')")
    page.keyboard.press("Escape")
    ann.open("Tea")
    page.click("[aria-label=Members]")
    page.click("dialog .member-name:has-text('bob')")
    page.wait_for_selector("dialog .person:has-text('bob')")
    assert findings(page) == []
    page.click("dialog button:text-is('Write')")
    ann.sees("hello")


def test_people_of_a_group_are_found_by_their_names_or_typed(person: Someone, server: Server) -> None:
    server.say(issue_in(server.data, "bob", name="Robert Tables"), "user:ann", "hello")
    ann = person("ann")
    page = ann.page
    page.wait_for_selector(".chat:has-text('Robert')")
    page.click(".rail [aria-label=More]")
    page.get_by_role("menuitem", name="New group").click()
    page.get_by_label("Short name").fill("tea")
    members = page.get_by_role("textbox", name="Members")
    members.type("tab")
    page.wait_for_selector("dialog .offers [aria-selected=true]:has-text('Robert Tables')")
    assert findings(page) == []
    members.press("Enter")
    page.wait_for_selector("dialog .chips li:has-text('bob')")
    assert page.eval_on_selector("dialog .chips button", "chip => chip.scrollHeight <= chip.clientHeight"), (
        "on one line"
    )
    for user in ("cat", "eve"):
        members.type(user)
        members.press("Enter")
        page.wait_for_selector(f"dialog .chips li:has-text('{user}')")
    members.press("Backspace")
    page.wait_for_selector("dialog .chips li:has-text('eve')", state="detached")
    page.click("[aria-label='Leave cat out']")
    members.type("dan")
    page.click("dialog .primary")
    page.wait_for_selector(".note:has-text('Robert Tables, dan')")
    page.click("[aria-label=Members]")
    page.wait_for_selector("dialog .members li:has-text('Robert Tables')")
    assert page.locator("dialog .members li").count() == 3


#: A page that comes over plain HTTP from another machine has no clipboard, and copies what is selected.
NO_CLIPBOARD = """
    Object.defineProperty(navigator, 'clipboard', {value: undefined});
    addEventListener('copy', () => { globalThis.copied = document.activeElement.value; }, true);
"""


def test_ids_and_messages_are_copied_without_a_clipboard_too(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    ann = person("ann", sign_in=False)
    page = ann.page
    page.add_init_script(NO_CLIPBOARD)
    ann.sign_in()
    page.click(".rail [aria-label=More]")
    page.get_by_role("menuitem", name="Profile").click()
    page.click("dialog [aria-label='Copy the user id']")
    page.wait_for_function("() => globalThis.copied === 'ann'")
    page.keyboard.press("Escape")
    ann.open("bob")
    ann.choose("hello", "Copy")
    page.wait_for_function("() => globalThis.copied === 'hello'")
    assert page.locator("textarea").count() == 1


def test_a_block_holds_although_an_older_list_comes_later(person: Someone, server: Server) -> None:
    server.post(server.token("ann"), "contacts/bob", {}, method="PUT")
    server.say(server.token("bob"), "user:ann", "hello")
    ann = person("ann", sign_in=False)
    page = ann.page
    socket = Between(page, lambda frame: None if frame["type"] == "contacts" else frame)
    ann.sign_in()
    ann.open("bob")
    page.click(".thread .bar [aria-label=More]")
    page.click("dialog button:text-is('Block')")
    page.wait_for_selector(".closed:has-text('You have blocked bob.')")
    assert [entry["state"] for entry in socket.held[0]["contacts"]] == ["contact"]
    socket.let_go()
    ann.at_rest()
    page.click(".thread .bar [aria-label=More]")
    page.wait_for_selector("dialog button:text-is('Unblock')")


def test_offers_that_were_sent_away_do_not_come_back_with_a_late_answer(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    ann = person("ann", sign_in=False)
    page = ann.page
    socket = Between(page, lambda frame: None if frame["type"] == "results" else frame)
    ann.sign_in()
    page.wait_for_selector(".chat:has-text('bob')")
    page.click("[aria-label=More]")
    page.get_by_role("menuitem", name="New group").click()
    field = "dialog .people input"
    page.fill(field, "bo")
    page.wait_for_selector("dialog .offers")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog .offers", state="detached")
    socket.wait_held()
    socket.let_go()
    ann.at_rest(busy=True)
    assert page.locator("dialog .offers").count() == 0
    page.fill(field, "bob")
    page.wait_for_selector("dialog .offers")
