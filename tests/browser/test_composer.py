"""The place to write: drafts, completions, edits, long texts, and messages that are refused or have to wait."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.conftest import Server
from tests.browser.people import Person

Someone = Callable[..., Person]


def test_drafts_completions_edits_and_long_texts(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.post(bob, "groups", {"name": "tea", "title": "Tea", "users": ["ann", "cat"]})
    server.say(bob, "user:ann", "hello")
    ann = person("ann")
    page = ann.page
    ann.open("bob")
    page.fill("textarea", "not yet sent")
    ann.open("Tea")
    page.wait_for_selector(".chat:has-text('bob') .preview:has-text('not yet sent')")
    page.fill("textarea", "")
    page.type("textarea", "hi @ca")
    page.wait_for_selector(".offers li:has-text('@cat')")
    page.press("textarea", "Enter")
    page.wait_for_function("() => document.querySelector('textarea').value === 'hi @cat '")
    page.type("textarea", ":tada")
    page.wait_for_selector(".offers li:has-text('🎉')")
    page.press("textarea", "Tab")
    page.wait_for_selector(".offers", state="detached")
    page.type("textarea", ":party_popper:")
    page.wait_for_function("() => document.querySelector('textarea').value === 'hi @cat 🎉🎉'")
    page.press("textarea", "Enter")
    ann.sees("hi @cat 🎉🎉")
    ann.settled()
    page.press("textarea", "ArrowUp")
    page.wait_for_selector(".target:has-text('Edit your message')")
    page.fill("textarea", "hello @cat")
    page.press("textarea", "Enter")
    ann.sees("hello @cat")
    page.type("textarea", "@")
    page.wait_for_selector(".offers [aria-selected=true]:has-text('@bob')")
    page.press("textarea", "ArrowDown")
    page.wait_for_selector(".offers [aria-selected=true]:has-text('@cat')")
    page.press("textarea", "ArrowDown")
    page.press("textarea", "ArrowUp")
    page.press("textarea", "Enter")
    page.wait_for_function("() => document.querySelector('textarea').value === '@cat '")
    page.fill("textarea", "word " * 1_500)
    page.press("textarea", "Enter")
    page.click(".target button:has-text('Send as 2 messages')")
    page.wait_for_selector(".target", state="detached")
    ann.settled()
    assert [len(body) > 3_000 for body in ann.bodies()][-2:] == [True, True]
    ann.open("bob")
    assert page.input_value("textarea") == "not yet sent"
    ann.write_to("dan")
    page.fill("textarea", "to somebody new")
    ann.open("Tea")
    begun = page.locator(".chats .chat:has-text('dan')")
    begun.locator(".preview:has-text('to somebody new')").wait_for()
    page.reload()
    begun.locator(".preview:has-text('Draft: to somebody new')").wait_for()
    begun.click()
    assert page.input_value("textarea") == "to somebody new"
    page.fill("textarea", "")
    ann.open("Tea")
    begun.wait_for(state="detached")


def test_a_message_that_is_refused_says_why(person: Someone) -> None:
    ann = person("ann")
    ann.write_to("bob")
    ann.say("one", "https://elsewhere.example/")
    failed = ann.page.locator(".msg.failed")
    failed.wait_for()
    assert "Links to other sites are not allowed here" in failed.inner_text()
    ann.say("two")  # It takes its place before the refused one, and can be changed there.
    ann.settled()
    ann.choose("two", "Edit")
    ann.page.press("textarea", "Escape")
    failed.get_by_role("button", name="Try again").click()
    failed.get_by_role("button", name="Delete").click()
    failed.wait_for(state="detached")
    assert ann.bodies() == ["one", "two"]


def test_a_message_that_waits_goes_out(person: Someone, server: Server) -> None:
    server.stop()
    # The third waits for as long as a busy machine may take to say it and to look.
    server.start(GOCHAT_LIMITS__MESSAGES_PER_S="0.2", GOCHAT_LIMITS__MESSAGE_BURST="2")
    ann = person("ann")
    ann.write_to("bob")
    ann.say("one", "two", "three")
    ann.page.wait_for_selector(".msg.waiting")
    ann.settled()
    assert ann.bodies() == ["one", "two", "three"]


def test_what_is_written_while_an_edit_waits_is_kept(person: Someone, server: Server) -> None:
    server.stop()
    # The edit waits for as long as a busy machine may take to write on.
    server.start(GOCHAT_LIMITS__MESSAGES_PER_S="0.15", GOCHAT_LIMITS__MESSAGE_BURST="1")
    ann = person("ann")
    page = ann.page
    ann.write_to("bob")
    ann.say("teh")
    ann.settled()
    page.press("textarea", "ArrowUp")
    page.wait_for_selector(".target")
    ann.say("the")
    page.wait_for_selector(".send[aria-busy=true]:disabled")
    page.type("textarea", " end")
    page.press("textarea", "Enter")  # One edit at a time is on its way.
    ann.sees("edited")
    page.wait_for_selector(".send[aria-busy=false]:not(:disabled)")
    assert page.input_value("textarea") == "the end"
    assert page.locator(".target").count() == 1
    assert ann.bodies() == ["the"]


def test_the_title_counts_the_unread(person: Someone, server: Server) -> None:
    ann = person("ann")
    server.say(server.token("bob"), "user:ann", "one", "two")
    ann.page.wait_for_function("() => document.title.startsWith('(2)')")
    ann.open("bob")
    ann.page.wait_for_function("() => document.title === 'bob · gochat'")


def test_what_is_typed_while_a_completion_is_taken_comes_behind_it(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    ann = person("ann")
    page = ann.page
    ann.open("bob")
    page.fill("textarea", "hi ")
    page.type("textarea", ":tada")
    page.wait_for_selector(".offers li:has-text('🎉')")
    # In one go, as no frame is drawn between two keys of a fast typist.
    page.evaluate(
        """() => {
            const field = document.querySelector("textarea");
            field.dispatchEvent(new KeyboardEvent("keydown", { key: "Tab", bubbles: true, cancelable: true }));
            document.execCommand("insertText", false, "x");
        }"""
    )
    page.wait_for_function("() => document.querySelector('textarea').value === 'hi 🎉x'")
    page.type("textarea", "y")
    page.wait_for_function("() => document.querySelector('textarea').value === 'hi 🎉xy'")


def _edits(person: Someone, server: Server) -> Person:
    """Somebody who has two chats, and said something in one."""
    server.say(server.token("cat"), "user:ann", "hello")
    ann = person("ann")
    ann.write_to("bob")
    ann.say("first")
    ann.settled()
    return ann


def test_escape_ends_the_offers_first_and_the_edit_after(person: Someone, server: Server) -> None:
    ann = _edits(person, server)
    page = ann.page
    page.press("textarea", "ArrowUp")
    page.wait_for_selector(".target")
    page.type("textarea", " and more :tad")
    page.wait_for_selector(".offers")
    page.press("textarea", "Escape")
    page.wait_for_selector(".offers", state="detached")
    assert page.locator(".target").count() == 1 and page.input_value("textarea") == "first and more :tad"
    page.press("textarea", "Escape")
    page.wait_for_selector(".target", state="detached")
    page.press("textarea", "ArrowUp")
    page.wait_for_selector(".target")
    assert page.input_value("textarea") == "first"


def test_an_edit_is_gone_on_with_after_a_visit_to_another_chat_and_after_a_reload(
    person: Someone, server: Server
) -> None:
    ann = _edits(person, server)
    page = ann.page
    page.fill("textarea", "a draft")
    ann.choose("first", "Edit")
    page.fill("textarea", "first, corrected")
    ann.open("cat")
    page.wait_for_selector(".target", state="detached")
    ann.open("bob")
    page.wait_for_selector(".target")
    assert page.input_value("textarea") == "first, corrected"
    page.reload()
    ann.open("bob")
    page.wait_for_function("() => document.querySelector('textarea').value === 'a draft'")
    ann.sees("first")
    ann.choose("first", "Edit")
    page.wait_for_function("() => document.querySelector('textarea').value === 'first, corrected'")
    page.press("textarea", "Enter")
    ann.sees("first, corrected")
    page.wait_for_selector(".target", state="detached")
    assert "gochat.edit" not in page.evaluate("JSON.stringify(localStorage)")


def test_escape_ends_a_search_and_leaves_the_chat_open(person: Someone, server: Server) -> None:
    ann = _edits(person, server)
    page = ann.page
    page.keyboard.press("Control+k")
    page.keyboard.type("ca")
    page.wait_for_selector(".found")
    page.keyboard.press("Escape")
    page.wait_for_selector(".found", state="detached")
    assert page.input_value("#find") == "" and page.locator("textarea").count() == 1


def test_a_selection_that_is_dragged_out_of_a_dialog_does_not_close_it(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    ann = person("ann")
    page = ann.page
    page.click("[aria-label=More]")
    page.get_by_role("menuitem", name="New group").click()
    field = page.locator("dialog input").first
    field.fill("A long title")
    box = field.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(5, 5)
    page.mouse.up()
    ann.at_rest(busy=True)
    assert field.input_value() == "A long title"
    page.locator("dialog .people input").fill("bo")
    page.wait_for_selector("dialog .offers")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog .offers", state="detached")
    assert field.input_value() == "A long title"
    page.mouse.click(5, 5)
    page.wait_for_selector("dialog", state="detached")


def test_a_dialog_that_closes_late_closes_no_other(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "rude words")
    ann = person("ann", clock=True)
    page = ann.page
    ann.open("bob")
    ann.sees("rude words")
    ann.choose("rude words", "Report")
    page.click("dialog .primary")
    page.wait_for_selector("dialog [role=status]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.click("header.bar [aria-label=More]")
    page.get_by_role("menuitem", name="New group").click()
    page.locator("dialog input").first.fill("Tea")
    page.clock.fast_forward(5_000)
    ann.at_rest(busy=True)
    assert page.locator("dialog input").first.input_value() == "Tea"


def test_a_tab_goes_along_with_what_is_typed_in_another_one(person: Someone, server: Server) -> None:
    """It would write its own text over that one with the next key."""
    ann = _edits(person, server)
    first, second = ann.page, ann.tab()
    ann.page = second
    ann.sign_in()
    ann.open("bob")
    first.fill("textarea", "typed in the first")
    second.wait_for_function("() => document.querySelector('textarea').value === 'typed in the first'")
    second.press("textarea", "End")
    second.type("textarea", ", and in the second")
    first.wait_for_function(
        "() => document.querySelector('textarea').value === 'typed in the first, and in the second'"
    )
    first.press("textarea", "Enter")
    second.wait_for_function("() => document.querySelector('textarea').value === ''")
    ann.sees("typed in the first, and in the second")
    ann.choose("first", "Edit")
    ann.page = first
    ann.choose("first", "Edit")
    first.fill("textarea", "first, corrected")
    second.wait_for_function("() => document.querySelector('textarea').value === 'first, corrected'")
    first.press("textarea", "Enter")
    ann.sees("first, corrected")
    assert second.input_value("textarea") == "first, corrected"
