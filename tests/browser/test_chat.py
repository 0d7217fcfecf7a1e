"""Two people chat, in two browsers."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.browser.conftest import Server
from tests.browser.people import Person

Someone = Callable[..., Person]


def test_a_link_signs_in_once_and_leaves_the_address(person: Someone, server: Server) -> None:
    link = server.link("ann")
    ann, mallory = person("ann", sign_in=False), person("mallory", sign_in=False)
    ann.page.goto(link)
    ann.page.wait_for_selector(".rail")
    assert ann.page.url == server.url
    assert ann.page.inner_text(".self") == "ann"
    mallory.page.goto(link)
    assert "of no use any more" in mallory.page.inner_text("[role=alert]")
    ann.page.reload()
    ann.page.wait_for_selector(".rail")
    mallory.complaints.clear()  # The browser tells of the 401.


def test_two_people_chat(person: Someone, server: Server) -> None:
    ann, bob = person("ann"), person("bob", size=(390, 844), dark=True)
    ann.write_to("bob")
    ann.say("hello bob", "are you there?")
    bob.open("ann")
    bob.sees("are you there?")
    bob.say("I am")
    ann.sees("I am")
    assert ann.bodies() == bob.bodies() == ["hello bob", "are you there?", "I am"]
    ann.page.wait_for_selector(".mine .meta [aria-label=read]")


def test_messages_are_edited_deleted_reacted_to_and_answered(person: Someone) -> None:
    ann, bob = person("ann"), person("bob")
    ann.write_to("bob")
    ann.say("furst", "second", "third")
    ann.settled()
    bob.open("ann")
    bob.sees("third")
    ann.choose("furst", "Edit")
    ann.page.fill("textarea", "first")
    ann.page.press("textarea", "Enter")
    bob.sees("first")
    ann.choose("third", "Delete")
    ann.page.click("dialog .danger")
    bob.sees("Message deleted")
    message = bob.page.locator(".msg", has_text="second").last
    message.hover()
    message.get_by_role("button", name="React 👍").click()
    ann.page.wait_for_selector(".reactions button:has-text('👍')")
    bob.choose("second", "Reply")
    bob.say("an answer")
    ann.sees("an answer")
    assert "second" in ann.page.inner_text(".quote")
    bob.page.locator(".reactions button").click()
    ann.page.wait_for_selector(".reactions", state="detached")


def test_a_reply_quotes_what_is_far_above_and_as_it_is_now(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.say(bob, "user:ann", "the first", *(f"message {number}" for number in range(250)))
    server.post(bob, "messages", {"to": "user:ann", "body": "as I said", "reply_to": 1})
    server.say(server.token("ann"), "user:bob", "seen")  # So that her page begins at the end.
    ann = person("ann")
    ann.open("bob")
    ann.page.wait_for_selector(".quote:has-text('bob the first')")
    server.post(bob, "messages/dm:ann:bob:1", {}, method="DELETE")
    ann.page.wait_for_selector(".quote:has-text('Message deleted')")
    ann.page.click(".quote")
    ann.sees("message 0")


def test_a_group_is_made_and_its_members_see_what_happens(person: Someone) -> None:
    ann, bob = person("ann"), person("bob")
    ann.page.click("[aria-label=More]")
    ann.page.get_by_role("menuitem", name="New group").click()
    short_name = ann.page.get_by_label("Short name")
    ann.page.get_by_label("Title").fill(" Täglich: Tea-time! ")
    assert short_name.input_value() == "taglich-tea-time"
    short_name.fill("Tea")
    ann.page.get_by_label("Title").fill("Tea time")
    assert short_name.input_value() == "tea", "as it was typed"
    ann.page.get_by_role("textbox", name="Members").fill("bob")
    ann.page.click("dialog .primary")
    ann.page.wait_for_selector("textarea:focus")
    ann.say("who wants tea?")
    bob.open("Tea time")
    bob.sees("who wants tea?")
    bob.page.wait_for_selector(".note:has-text('ann added bob')")
    ann.page.click("[aria-label=Members]")
    ann.page.select_option("dialog .members select", "remove")
    bob.page.wait_for_selector(".closed:has-text('no longer in this group')")


def test_who_may_write_in_a_group_is_known_from_the_start(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.post(bob, "groups", {"name": "news", "title": "News", "users": ["ann", "cat"], "post": "moderators"})
    ann = person("ann")
    ann.find("news")  # Nothing was said in it yet.
    ann.page.click(".found .chat:has-text('News')")
    ann.page.wait_for_selector(".closed:has-text('Only moderators write in this group')")
    server.post(bob, "groups/news/users/ann", {"role": "moderator"}, method="PUT")
    ann.page.wait_for_selector("textarea")


def test_mentions_are_counted_and_receipts_tell_who_has_what(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.post(token, "groups", {"name": "tea", "title": "Tea", "users": ["ann", "cat"]})
    server.say(token, "group:tea", "who is @nobody?", "@Ann, and you?")
    ann, bob = person("ann"), person("bob")
    ann.page.wait_for_selector(".chat:has-text('Tea') .badge[aria-label='1 message that mentions you']")
    bob.open("Tea")
    bob.page.wait_for_selector(".mine:has-text('and you?') .meta [aria-label=arrived]")
    ann.open("Tea")
    assert ann.page.locator(".mention").all_inner_texts() == ["@Ann"]
    ann.page.wait_for_selector(".badge", state="detached")
    bob.page.wait_for_selector(".mine:has-text('and you?') .meta [aria-label=read]")
    bob.choose("and you?", "Who has read it")
    bob.page.wait_for_selector("dialog h3:has-text('Read by') + .members:has-text('ann')")
    bob.page.wait_for_selector("dialog h3:has-text('Not yet at') + .members:has-text('cat')")


def test_members_who_are_added_have_read_nothing(person: Someone, server: Server) -> None:
    token = server.token("ann")
    server.post(token, "groups", {"name": "tea", "title": "Tea", "users": ["bob"]})
    server.say(token, "group:tea", "before cat")
    server.post(token, "groups/tea/users/cat", {}, method="PUT")
    ann = person("ann")
    ann.open("Tea")
    ann.page.wait_for_selector(".mine:has-text('before cat') .meta [aria-label='sent']")
    server.say(server.token("cat"), "group:tea", "here I am")
    ann.sees("here I am")
    server.say(token, "group:tea", "after cat")
    cat = person("cat")
    cat.open("Tea")
    ann.page.wait_for_selector(".mine:has-text('after cat') .meta [aria-label=read]")
    ann.page.wait_for_selector(".mine:has-text('before cat') .meta [aria-label='sent']")


def test_a_request_is_answered(person: Someone, server: Server) -> None:
    server.stop()
    server.start(GOCHAT_POLICY__STRANGERS="request")
    ann, bob = person("ann"), person("bob")
    ann.write_to("bob")
    ann.say("may I?")
    bob.page.wait_for_selector(".request:has-text('may I?')")
    bob.page.click(".request .primary")
    bob.sees("may I?")
    bob.say("you may")
    ann.sees("you may")


def test_search_finds_a_message_and_jumps_to_it(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", "the needle", *(f"straw {number}" for number in range(450)))
    ann = person("ann")
    ann.open("bob")
    ann.page.click(".jump")
    ann.sees("straw 449")
    ann.find("needle")
    ann.page.click(".found .chat:has-text('the needle')")
    ann.sees("the needle")
    ann.page.click(".jump")
    ann.sees("straw 449")
    assert len(ann.page.query_selector_all("*")) < 1000


def test_an_address_names_a_message_far_above(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", *(f"number {number}." for number in range(1, 321)))
    ann = person("ann", sign_in=False)
    kept = json.dumps({"user": "ann", "token": server.token("ann"), "expires": 0})
    ann.page.add_init_script(f"sessionStorage.setItem('gochat.token', {json.dumps(kept)})")
    ann.page.goto(f"{server.url}#message=dm:ann:bob:20")
    ann.sees("number 20.")


def test_an_address_that_names_no_chat_of_the_users_opens_none(person: Someone, server: Server) -> None:
    server.post(server.token("bob"), "groups", {"name": "plans", "users": ["cat"]})
    ann = person("ann")
    no_chat = "[role=alert]:has-text('There is no such chat')"
    for room in ("group:plans", "group:none", "rubbish", "dm:bob:cat", "dm:bob:ann", "group:No_such"):
        ann.page.evaluate("room => { location.hash = `#room=${room}`; }", room)
        ann.page.wait_for_selector(no_chat)
        ann.page.click("[role=alert] button")
        ann.page.wait_for_selector(no_chat, state="detached")
        assert ann.page.locator("textarea, .chats .chat b").count() == 0
    ann.page.evaluate("location.hash = '#message=dm:bob:cat:5'")
    ann.page.wait_for_selector(no_chat)
    ann.page.evaluate("location.hash = '#room=dm:ann:bob'")
    ann.page.wait_for_selector(".thread h1:text-is('bob')")
    cat = person("cat")
    cat.page.evaluate("location.hash = '#room=group:plans'")
    cat.page.wait_for_selector(".thread textarea")


def test_an_edit_waits_as_a_message_does(person: Someone, server: Server) -> None:
    server.stop()
    server.start(GOCHAT_LIMITS__MESSAGES_PER_S="1", GOCHAT_LIMITS__MESSAGE_BURST="1")
    ann = person("ann")
    ann.write_to("bob")
    ann.say("teh")
    ann.settled()
    ann.page.press("textarea", "ArrowUp")
    ann.page.wait_for_selector(".target")
    ann.say("the")
    ann.page.wait_for_selector(".target", state="detached")
    assert ann.bodies() == ["the"]
    assert ann.page.locator("[role=alert]").count() == 0
