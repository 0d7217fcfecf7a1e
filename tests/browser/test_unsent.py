"""Messages that the server does not have yet outlive the sign-in, and are lost to nobody without a question."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Server
from tests.browser.people import Person
from tests.tokens import TTL_S, issue_in

Someone = Callable[..., Person]


def _writes_offline(person: Someone, *, clock: bool = False) -> Person:
    ann = person("ann", clock=clock)
    ann.write_to("bob")
    ann.say("hello")
    ann.settled()
    ann.offline(True)
    ann.page.wait_for_selector(".banner")
    ann.say("one", "two")
    return ann


def _sign_out(ann: Person) -> None:
    ann.page.click("[aria-label=More]")
    ann.page.get_by_role("menuitem", name="Sign out").click()


def test_a_new_link_of_the_same_user_sends_what_waits(person: Someone, server: Server) -> None:
    ann = _writes_offline(person)
    ann.context.set_offline(False)
    ann.page.evaluate(f"location.hash = '#token={server.token('ann')}'")
    ann.open("bob")
    ann.sees("two")
    ann.settled()
    assert ann.bodies() == ["hello", "one", "two"]
    bob = person("bob")
    bob.open("ann")
    bob.sees("two")
    assert bob.bodies() == ["hello", "one", "two"]


def test_what_waits_when_the_sign_in_ends_is_sent_after_the_next_one(person: Someone, server: Server) -> None:
    ann = _writes_offline(person, clock=True)
    ann.page.clock.fast_forward((TTL_S + 60) * 1_000)
    ann.offline(False)
    ann.page.wait_for_selector(".door:has-text('Messages of ann that were not sent: 2')")
    ann.page.fill(".door input", issue_in(server.data, "ann", ttl_s=3 * TTL_S))
    ann.page.press(".door input", "Enter")
    ann.open("bob")
    ann.sees("two")
    ann.settled()
    assert ann.bodies() == ["hello", "one", "two"]


def test_another_user_of_the_tab_neither_sees_nor_sends_what_waits(person: Someone, server: Server) -> None:
    ann = _writes_offline(person)
    ann.page.evaluate(f"location.hash = '#token={server.token('cat')}'")
    ann.page.wait_for_selector(".door:has-text('Messages of ann that were not sent: 2')")
    ann.page.click(".door .primary")
    ann.page.wait_for_selector(".door [role=alert]")  # Nothing goes before the server has named the user.
    ann.offline(False)
    ann.page.wait_for_selector(".self:text-is('cat')")
    ann.write_to("bob")
    ann.say("from cat")
    ann.settled()
    assert ann.bodies() == ["from cat"]
    ann.page.evaluate(f"location.hash = '#token={server.token('ann')}'")
    ann.page.click(".door .primary")
    ann.open("bob")
    ann.sees("hello")
    ann.at_rest()
    assert ann.bodies() == ["hello"]


def test_signing_out_asks_where_messages_would_be_lost(person: Someone, server: Server) -> None:
    ann = _writes_offline(person)
    _sign_out(ann)
    ann.page.wait_for_selector("dialog:has-text('2 messages were not sent')")
    ann.page.click("dialog button:has-text('Cancel')")
    assert ann.bodies() == ["hello", "one", "two"]
    _sign_out(ann)
    ann.page.click("dialog .danger")
    ann.page.wait_for_selector(".door")
    ann.offline(False)
    ann.sign_in()
    ann.open("bob")
    ann.sees("hello")
    ann.at_rest()
    assert ann.bodies() == ["hello"]


@pytest.mark.parametrize("leaves", [True, False])
def test_a_refused_message_is_no_more_lost_than_one_that_waits(person: Someone, server: Server, leaves: bool) -> None:
    ann = person("ann")
    ann.write_to("bob")
    ann.say("https://elsewhere.example/ and a long text")
    ann.page.wait_for_selector(".msg.failed")
    questions: list[str] = []

    def answer(dialog: object) -> None:
        questions.append(dialog.type)  # type: ignore[attr-defined]
        dialog.accept()  # type: ignore[attr-defined]

    ann.page.on("dialog", answer)
    if leaves:
        ann.page.reload()
        assert questions == ["beforeunload"]
        return
    ann.page.evaluate(f"location.hash = '#token={server.token('ann')}'")
    ann.open("bob")
    ann.page.wait_for_selector(".msg.failed:has-text('a long text')")
    ann.page.get_by_role("button", name="Delete").click()
    ann.page.wait_for_selector(".msg", state="detached")
    ann.page.reload()
    ann.page.wait_for_selector(".rail")
    assert questions == []


def test_what_was_not_sent_to_a_group_that_one_is_no_longer_in_is_told(person: Someone, server: Server) -> None:
    bob, root = server.token("bob"), issue_in(server.data, "root", ["admin"])
    server.post(bob, "groups", {"name": "tea", "title": "Tea", "users": ["ann"]})
    server.say(bob, "group:tea", "hello")
    ann = person("ann")
    ann.open("Tea")
    ann.say("https://elsewhere.example/ and a long text")
    ann.page.wait_for_selector(".msg.failed")
    server.post(root, "admin/suspensions/ann", {}, method="PUT")
    ann.page.wait_for_selector(".door:has-text('Messages of ann that were not sent: 1')")
    server.post(root, "admin/suspensions/ann", {}, method="DELETE")
    server.post(bob, "groups/tea/users/ann", {}, method="DELETE")
    ann.page.fill(".door input", server.token("ann"))
    ann.page.press(".door input", "Enter")
    ann.page.wait_for_selector(".banner.bad:has-text('and a long text')")
    _sign_out(ann)
    ann.page.wait_for_selector(".door:not(:has-text('were not sent'))")
