"""Groups show people by their names, wherever a user is told of; users without a name by their ids."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.conftest import Server
from tests.browser.people import Person
from tests.tokens import issue_in

Someone = Callable[..., Person]


def named(server: Server, **names: str) -> dict[str, str]:
    """Tokens of users, by id, who have signed in with these names."""
    tokens = {user: issue_in(server.data, user, name=name) for user, name in names.items()}
    for user, token in tokens.items():
        server.say(token, f"user:{user}", "a note to myself")
    return tokens


def test_a_group_shows_names(person: Someone, server: Server) -> None:
    tokens = named(server, bob="Bob Miller", cat="Cat Stevens")
    server.post(tokens["bob"], "groups", {"name": "tea", "title": "Tea", "users": ["ann", "cat", "eve"]})
    server.say(server.token("eve"), "group:tea", "no name")
    server.say(tokens["cat"], "group:tea", "hello")
    server.post(tokens["bob"], "messages", {"to": "group:tea", "body": "@cat look, @eve", "reply_to": 3})
    ann, cat = person("ann"), person("cat", sign_in=False)
    page = ann.page
    page.wait_for_selector(".chat:has(b:text-is('Tea')) .preview:has-text('Bob Miller: @Cat Stevens look, @eve')")
    ann.open("Tea")
    page.wait_for_selector(".name:text-is('Bob Miller')")
    for shown in (
        ".name:text-is('Cat Stevens')",
        ".name:text-is('eve')",
        ".quote b:text-is('eve')",
        ".mention:has-text('@Cat Stevens')",
        ".mention:text-is('@eve')",
        ".note:has-text('Bob Miller'):has-text('Cat Stevens')",
        "[aria-label^='Bob Miller, '][aria-label$='@Cat Stevens look, @eve']",
    ):
        page.wait_for_selector(shown)
    ann.choose("look", "Reply")
    page.wait_for_selector(".target:has-text('@Cat Stevens look')")
    ann.say("what @cat said, `@cat`")
    page.wait_for_selector(".quote:has-text('@Cat Stevens look, @eve')")
    page.wait_for_selector(".chat .preview:text-is('You: what @Cat Stevens said, `@cat`')")
    ann.choose("what", "Delete")
    page.wait_for_selector("dialog blockquote:text-is('what @Cat Stevens said, `@cat`')")
    page.keyboard.press("Escape")
    ann.find("look")
    page.wait_for_selector(".found .preview:has-text('@Cat Stevens look, @eve')")
    ann.find("")
    ann.say("read me")
    ann.settled()
    cat.page.goto(f"{server.url}#token={tokens['cat']}")
    cat.page.wait_for_selector(".self:text-is('Cat Stevens')")
    cat.open("Tea")
    cat.page.type("textarea", "x")
    page.wait_for_selector(".who .typing:has-text('Cat Stevens')")
    page.wait_for_selector(".mine .meta [aria-label=read]")
    ann.choose("read me", "Who has read it")
    page.wait_for_selector("dialog li:has-text('Cat Stevens')")
    page.keyboard.press("Escape")
    server.post(tokens["cat"], "groups/tea/users/cat", {}, method="DELETE")
    page.wait_for_selector(".note:has-text('Cat Stevens left')")
    page.reload()
    ann.open("Tea")
    page.wait_for_selector(".name:text-is('Cat Stevens')")
    assert page.get_attribute(".name:text-is('Cat Stevens')", "title") == "cat"


def test_of_two_users_with_one_name_the_ids_are_shown_as_well(person: Someone, server: Server) -> None:
    tokens = named(server, bob="Bob", mallory="BOB", forger="Bob (bob)")
    server.post(tokens["bob"], "groups", {"name": "tea", "title": "Tea", "users": ["ann", "mallory", "forger"]})
    for user, token in tokens.items():
        server.say(token, "group:tea", f"I am {user}")
    ann = person("ann")
    ann.open("Tea")
    ann.page.wait_for_selector(".name:text-is('BOB (mallory)')")
    ann.page.wait_for_selector(".name:text-is('Bob (bob) (forger)')")
    assert ann.page.inner_text(".msg:has-text('I am bob') .name") == "Bob"


def test_who_was_accepted_keeps_the_name_of_the_request(person: Someone, server: Server) -> None:
    server.stop()
    server.start(GOCHAT_POLICY__STRANGERS="request")
    server.say(issue_in(server.data, "bob", name="Bob Miller"), "user:ann", "may I?")
    ann = person("ann")
    ann.page.click(".request .primary")
    ann.page.wait_for_selector(".chats .chat:has(b:text-is('Bob Miller')) .preview:has-text('may I?')")
    ann.page.wait_for_selector(".who h1:text-is('Bob Miller')")
