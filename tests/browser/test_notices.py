"""People are told of a message once: by a notice where they look at no tab, by the live region where they do."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.conftest import Server
from tests.browser.people import Person

Someone = Callable[..., Person]
NOT_LOOKED_AT = "document.hasFocus = () => false;"
#: Notices of a browser without windows, which shows none.
NOTICES = """window.notices = [];
window.Notification = class { static permission = 'granted'; constructor(title, { body }) { notices.push(body); } };"""
#: The words of the tabs to each other.
HEARD = "window.heard = []; new BroadcastChannel('gochat.tabs').onmessage = ({ data }) => heard.push(data.type);"
SPOKEN = "() => [...document.querySelectorAll('main > .sr > *')].map(node => node.textContent)"


def test_a_message_that_is_read_in_one_tab_is_no_notice_of_another(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.say(bob, "user:ann", "hello")
    ann = person("ann")
    ann.open("bob")
    other = ann.tab()
    other.add_init_script(NOT_LOOKED_AT + NOTICES + HEARD)
    other.goto(f"{server.url}#token={server.token('ann')}")
    other.wait_for_selector(".rail")
    # A tab of somebody else's is no tab of hers.
    stranger = ann.tab()
    stranger.goto(f"{server.url}#token={server.token('cat')}")
    stranger.wait_for_selector(".rail")
    server.say(bob, "user:ann", "is being read")
    ann.sees("is being read")
    other.wait_for_selector(".preview:has-text('is being read')")
    other.wait_for_function("() => heard.includes('looks')")
    ann.page.evaluate(NOT_LOOKED_AT)
    server.say(bob, "user:ann", "is not read")
    other.wait_for_function("() => notices.length > 0")
    assert other.evaluate("notices") == ["is not read"]


def test_each_message_is_read_out_once_however_alike_they_are(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.say(bob, "user:ann", "hello")
    ann = person("ann")
    ann.open("bob")
    ann.sees("hello")
    server.say(bob, "user:ann", "ok", "ok", "ok", "fine")
    ann.until(f"async () => ({SPOKEN})().includes('bob: fine')")
    assert ann.page.evaluate(SPOKEN) == ["bob: ok"] * 3 + ["bob: fine"]
    server.say(bob, "user:ann", *(f"more {number}" for number in range(100)))
    ann.until(f"async () => ({SPOKEN})().includes('bob: more 99')")
    assert len(ann.page.evaluate(SPOKEN)) == 20
