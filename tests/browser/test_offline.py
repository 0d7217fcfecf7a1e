"""Chats are read without a connection, and the next connection goes on from what was kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.between import Between, Frame
from tests.browser.conftest import Process, Server
from tests.browser.people import Person
from tests.browser.relay import Relay

Someone = Callable[..., Person]
ROOM = "dm:ann:bob"
QUICK, LONG = 3, 100
NO_DATABASE = "Object.defineProperty(window, 'indexedDB', {get() { throw new Error('no'); }})"


def test_a_page_that_is_opened_without_a_server_shows_what_was_kept(person: Someone, process: Process) -> None:
    token = process.token("bob")
    process.say(token, "user:ann", "first", "second")
    ann = person("ann", worker=True)
    ann.keeps(ROOM, "second")
    ann.has_worker()
    process.kill()
    ann.page.reload()
    ann.open("bob")
    ann.sees("first")
    ann.sees("second")
    ann.page.wait_for_selector(".banner")
    ann.say("while you were away")
    assert ann.page.locator(".msg.sending").count() == 1
    process.start()
    process.say(token, "user:ann", "third")
    ann.sees("third")
    ann.settled()
    assert sorted(ann.bodies()) == sorted(["first", "second", "third", "while you were away"])


def _opened_anew(ann: Person, rounds: int, say: Callable[[str], None], away: Callable[[bool], None]) -> None:
    """Some messages come while the page is closed, some while it is open: it has them all, once, in order."""
    said = ["begin"]
    for number in range(rounds):
        bodies = [f"{number} open", f"{number} closed"]
        say(bodies[0])
        ann.open("bob")
        ann.sees(bodies[0])
        ann.keeps(ROOM, bodies[0])
        away(True)
        say(bodies[1])
        away(False)
        ann.page.reload()
        said += bodies
    ann.open("bob")
    ann.sees(said[-1])
    shown = ann.bodies()
    assert shown == said[-len(shown) :] and len(shown) >= min(len(said), 6)


@pytest.mark.parametrize("rounds", [QUICK, pytest.param(LONG, marks=pytest.mark.long)])
def test_nothing_is_lost_or_doubled_by_opening_the_page_anew(person: Someone, server: Server, rounds: int) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", "begin")
    ann = person("ann")
    _opened_anew(ann, rounds, lambda body: server.say(token, "user:ann", body), ann.offline)


@pytest.mark.parametrize("rounds", [1, pytest.param(LONG, marks=pytest.mark.long)])
def test_nothing_is_lost_or_doubled_behind_a_network_that_falls_silent(
    person: Someone, server: Server, rounds: int
) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", "begin")
    relay = Relay(server.port)
    try:
        ann = person("ann", url=relay.url)

        def away(gone: bool) -> None:
            if gone:
                relay.silence()
            else:
                relay.resume()

        _opened_anew(ann, rounds, lambda body: server.say(token, "user:ann", body), away)
    finally:
        relay.close()


def test_changes_of_kept_messages_are_caught_up(person: Someone, server: Server) -> None:
    ann, bob = person("ann"), person("bob")
    bob.write_to("ann")
    bob.say("furst", "second", "third")
    bob.settled()
    ann.open("bob")
    ann.keeps(ROOM, "third")
    ann.page.close()
    bob.choose("furst", "Edit")
    bob.page.fill("textarea", "first")
    bob.page.press("textarea", "Enter")
    bob.sees("first")
    bob.choose("second", "Delete")
    bob.page.click("dialog .danger")
    bob.sees("Message deleted")
    ann.page = ann.tab()
    ann.sign_in()
    ann.open("bob")
    ann.sees("Message deleted")
    assert ann.bodies() == ["first", "Message deleted", "third"]


OF_AN_EARLIER_VERSION = """([user, id, body]) => new Promise(resolve => {
    const opening = indexedDB.open('gochat', 1);
    opening.onsuccess = () => {
        const rooms = opening.result.transaction('rooms', 'readwrite').objectStore('rooms');
        rooms.get([user, id]).onsuccess = ({target: {result}}) => {
            result.place.epoch = null;
            result.rows.forEach(row => { row.body = body; });
            rooms.put(result).onsuccess = resolve;
        };
    };
})"""


KEPT_EPOCH = """([user, id]) => new Promise(resolve => {
    const opening = indexedDB.open('gochat', 1);
    opening.onsuccess = () => {
        const asked = opening.result.transaction('rooms').objectStore('rooms').get([user, id]);
        asked.onsuccess = () => {
            opening.result.close();
            resolve([asked.result.place.epoch, asked.result.room.epoch]);
        };
    };
})"""


def test_a_room_that_is_known_by_live_facts_alone_is_kept_with_an_epoch_and_read_anew_where_it_was_not(
    person: Someone, server: Server
) -> None:
    """Earlier versions kept these rooms without one: nobody can tell of which log they are."""
    ann = person("ann")
    ann.until("async () => (await import('/js/state.js')).status.value.phase === 'online'")
    server.say(server.token("bob"), "user:ann", "of this log")
    ann.open("bob")
    ann.keeps(ROOM, "of this log")
    epochs = ann.page.evaluate(KEPT_EPOCH, ["ann", ROOM])
    assert epochs[0] == epochs[1] is not None
    ann.page.evaluate(OF_AN_EARLIER_VERSION, ["ann", ROOM, "of another log"])
    ann.page.reload()
    ann.open("bob")
    ann.sees("of this log")
    assert ann.bodies() == ["of this log"]


def test_a_group_that_one_was_removed_from_is_kept_no_longer(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.post(bob, "groups", {"name": "tea", "title": "Tea", "users": ["ann"]})
    server.say(bob, "group:tea", "between us")
    ann = person("ann")
    ann.keeps("group:tea", "between us")
    ann.page.close()
    server.post(bob, "groups/tea/users/ann", {}, method="DELETE")
    ann.page = ann.tab()
    ann.sign_in()
    ann.forgets("group:tea")
    assert ann.page.locator(".chat").count() == 0


@pytest.mark.parametrize("told_by", ["welcome", "contacts", "incomplete"])
def test_what_was_kept_of_a_room_that_the_server_can_not_read_stays(
    person: Someone, server: Server, told_by: str
) -> None:
    """It may be the only copy that is left. Nor does a node tell of all rooms that is cut off from others."""
    lists: list[str] = []

    def without_the_room(frame: Frame) -> Frame:
        if frame["type"] in ("welcome", "contacts"):
            lists.append(frame["type"])
            frame["contacts"] = [entry for entry in frame["contacts"] if entry.get("room") != ROOM]
        if told_by == "incomplete" and frame["type"] == "welcome":
            return {**frame, "incomplete": True}
        return {**frame, "unreadable": [ROOM]} if frame["type"] == told_by else frame

    server.say(server.token("bob"), "user:ann", "the only copy")
    ann = person("ann")
    ann.keeps(ROOM, "the only copy")
    ann.page.close()
    ann.page = ann.tab()
    Between(ann.page, without_the_room)
    ann.sign_in()
    ann.open("bob")
    ann.sees("the only copy")
    while "contacts" not in lists:
        ann.at_rest()
    ann.at_rest()
    ann.keeps(ROOM, "the only copy")
    ann.sees("the only copy")


def test_signing_out_leaves_nothing_in_the_browser(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "private")
    ann = person("ann")
    ann.open("bob")
    ann.page.fill("textarea", "a draft")
    ann.keeps(ROOM, "private")
    ann.page.click("[aria-label=More]")
    ann.page.get_by_role("menuitem", name="Sign out").click()
    ann.page.wait_for_selector(".door")
    ann.forgets(ROOM)
    assert "draft" not in ann.page.evaluate("JSON.stringify([localStorage, sessionStorage])")


def test_a_browser_that_keeps_nothing_chats_all_the_same(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    ann = person("ann", sign_in=False)
    ann.page.add_init_script(NO_DATABASE)
    ann.sign_in()
    ann.open("bob")
    ann.sees("hello")
    ann.say("hello yourself")
    ann.settled()
