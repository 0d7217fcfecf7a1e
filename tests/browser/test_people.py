"""Profiles, devices, and the users who are muted in a group or banned from it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Server
from tests.browser.people import Person
from tests.browser.test_looks import NARROW, WIDE, findings

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
    page.wait_for_selector(".chat >> nth=1")
    page.click(".rail [aria-label=More]")
    page.get_by_role("menuitem", name="Profile").click()
    page.wait_for_selector(".devices li >> nth=1")
    assert page.locator(".devices li", has_text="this one").count() == 1
    assert findings(page) == []
    page.keyboard.press("Escape")
    ann.open("Tea")
    page.click("[aria-label=Members]")
    page.click("dialog .member-name:has-text('bob')")
    page.wait_for_selector("dialog .person:has-text('bob')")
    assert findings(page) == []
    page.click("dialog button:text-is('Write')")
    ann.sees("hello")
