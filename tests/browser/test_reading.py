"""Messages count as read once they were on the screen, on this device or another one."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.browser.conftest import Server
from tests.browser.people import Person
from tests.tokens import issue_in

Someone = Callable[..., Person]
BADGE, MENTIONED = ".chats .badge:not([aria-label*=mention])", ".chats .badge[aria-label*=mention]"
#: Whether the browser keeps that a room was read so far.
KEPT_READ = """([user, id, seq]) => new Promise(resolve => {
    const opening = indexedDB.open('gochat', 1);
    opening.onsuccess = () => {
        const asked = opening.result.transaction('rooms').objectStore('rooms').get([user, id]);
        asked.onsuccess = () => {
            opening.result.close();
            resolve(asked.result?.room.read === seq);
        };
    };
})"""
#: Whether one that the selector names is on the screen.
IN_SIGHT = """selector => {
    const log = document.querySelector('.log').getBoundingClientRect();
    return [...document.querySelectorAll('.log ' + selector)].some(node => {
        const { top, bottom } = node.getBoundingClientRect();
        return bottom > log.top && top < log.bottom;
    });
}"""
LOOKS_AWAY = "document.hasFocus = () => false"
LOOKS = "() => { delete document.hasFocus; dispatchEvent(new Event('focus')); }"
SPOKEN = "[...document.querySelectorAll('main > .sr > *')].map(node => node.textContent)"
UP = "document.querySelector('.log').scrollTop -= 1500"


def _badge(person: Person, text: str, selector: str = BADGE) -> None:
    person.page.wait_for_selector(f"{selector}:text-is('{text}')")


def _no_badge(person: Person, selector: str = BADGE) -> None:
    person.page.wait_for_selector(selector, state="detached")


def _mark(person: Person, body: str, mark: str) -> None:
    """Wait until a message of the person's own has the mark."""
    person.page.wait_for_selector(f".mine:has-text('{body}') .meta [aria-label='{mark}']")


def _many(count: int) -> list[str]:
    return [f"number {number}." for number in range(1, count + 1)]


def _read_elsewhere(server: Server, user: str, room: str, seq: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.tcp_port), timeout=60)) as connection:
        stream = connection.makefile("rwb")
        for frame in (
            {"type": "hello", "token": server.token(user)},
            {"type": "read", "room": room, "seq": seq},
            {"type": "ping", "id": 7},
        ):
            stream.write(json.dumps(frame).encode() + b"\n")
        stream.flush()
        while json.loads(stream.readline()).get("id") != 7:
            pass


def test_what_comes_below_the_screen_is_not_read(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", *_many(120))
    ann, bob = person("ann"), person("bob")
    ann.open("bob")
    ann.page.click(".jump")
    _no_badge(ann)
    ann.at_rest()
    ann.page.evaluate(UP)
    ann.page.wait_for_selector(".jump")
    bob.open("ann")
    bob.say("did you see this?")
    ann.page.wait_for_selector(".jump:has-text('1 new')")
    _badge(ann, "1")
    _mark(bob, "did you see this?", "arrived")
    ann.page.click(".jump")
    _no_badge(ann)
    _mark(bob, "did you see this?", "read")


def test_a_chat_that_is_opened_is_read_as_far_as_it_is_seen(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", *_many(60))
    ann, bob = person("ann"), person("bob")
    _badge(ann, "60")
    bob.open("ann")
    ann.open("bob")
    ann.page.wait_for_selector(".new")
    ann.page.wait_for_function("() => parseInt(document.querySelector('.chats .badge').textContent) < 60")
    left = int(ann.page.inner_text(BADGE))
    assert left > 30, "no more than fits on the screen"
    assert f"number {60 - left}." in ann.bodies() and "number 60." not in ann.bodies()
    bob.at_rest()
    _mark(bob, "number 60.", "arrived")
    ann.page.reload()
    _badge(ann, str(left))
    ann.open("bob")
    ann.page.click(".jump")
    _no_badge(ann)
    _mark(bob, "number 60.", "read")


def test_more_unread_messages_than_a_page_has_are_read_on_from_where_one_was(person: Someone, server: Server) -> None:
    token = server.token("bob")
    server.say(token, "user:ann", "where I was")
    before = person("ann")
    before.open("bob")
    _no_badge(before)
    before.close()
    server.say(token, "user:ann", *_many(450))
    ann = person("ann")
    _badge(ann, "99+")
    ann.open("bob")
    ann.page.wait_for_selector(".row:has(.new) .bubble:has-text('number 1.')")
    ann.at_rest()
    assert "number 450." not in ann.bodies()
    ann.page.click(".jump")
    ann.sees("number 450.")
    _no_badge(ann)


@pytest.mark.parametrize(("before", "unread", "lines"), [(60, 5, 12), (60, 4, 30), (0, 5, 12)])
def test_unread_messages_that_are_higher_than_the_screen_are_not_passed_over(
    person: Someone, server: Server, before: int, unread: int, lines: int
) -> None:
    token = server.token("bob")
    long = "\n".join(["a line of a long text"] * lines)
    server.say(token, "user:ann", *_many(before), *(f"long {number} {long}" for number in range(1, unread + 1)))
    if before:
        _read_elsewhere(server, "ann", "dm:ann:bob", before)
    ann, bob = person("ann"), person("bob")
    bob.open("ann")
    _badge(ann, str(unread))
    ann.open("bob")
    ann.page.wait_for_function(IN_SIGHT, arg=".new")
    ann.at_rest()
    assert ann.page.evaluate(IN_SIGHT, ".new")
    assert int(ann.page.inner_text(BADGE)) >= unread - 3, "no more than fits on the screen"
    _mark(bob, f"long {unread} ", "arrived")
    ann.page.click(".jump")
    _no_badge(ann)
    _mark(bob, f"long {unread} ", "read")


def _at_the_end(person: Someone, server: Server, token: str) -> tuple[Person, Person]:
    """ann, who has read all that bob has written to her, and bob."""
    server.say(token, "user:ann", *_many(40))
    ann, bob = person("ann"), person("bob")
    bob.open("ann")
    ann.open("bob")
    ann.page.click(".jump")
    _no_badge(ann)
    return ann, bob


@pytest.mark.parametrize("connected", [True, False])
def test_what_comes_while_one_is_away_from_the_end_of_a_chat_is_not_read(
    person: Someone, server: Server, connected: bool
) -> None:
    token = server.token("bob")
    ann, bob = _at_the_end(person, server, token)
    ann.at_rest()
    if connected:
        ann.page.evaluate(LOOKS_AWAY)
    else:
        ann.offline(True)
        ann.page.wait_for_selector(".banner")
    server.say(token, "user:ann", *(f"missed {number}." for number in range(1, 151)))
    if connected:
        ann.page.wait_for_selector(".chats .chat:has-text('missed 150.')")
        ann.at_rest()
        ann.page.evaluate(LOOKS)
    else:
        ann.offline(False)
        ann.keeps("dm:ann:bob", "missed 150.")
    ann.at_rest()
    assert int(ann.page.inner_text(".jump").split()[0]) > 100
    assert 0 < len(ann.page.evaluate(SPOKEN)) <= 3 or connected
    _mark(bob, "missed 150.", "arrived")
    if "missed 1." not in ann.bodies():
        ann.page.click(".jump")
    ann.page.wait_for_selector(".row:has(.new) .bubble:has-text('missed 1.')")
    ann.at_rest()
    _badge(ann, "99+")
    ann.page.click(".jump:has-text('new')")
    _no_badge(ann)
    _mark(bob, "missed 150.", "read")


@pytest.mark.parametrize(("missed", "later"), [(60, 0), (30, 42)])
def test_a_chat_that_stays_open_over_a_new_sign_in_is_gone_on_from_where_one_was(
    person: Someone, server: Server, missed: int, later: int
) -> None:
    token, root = server.token("bob"), issue_in(server.data, "root", ["admin"])
    ann, bob = _at_the_end(person, server, token)
    server.post(root, "admin/suspensions/ann", {}, method="PUT")
    ann.page.wait_for_selector(".door")
    server.post(root, "admin/suspensions/ann", {}, method="DELETE")
    server.say(token, "user:ann", *(f"missed {number}." for number in range(1, missed + 1)))
    for number in range(later):  # So many chats are read ahead that this one is not.
        server.say(server.token(f"u{number}"), "user:ann", "hi")
    ann.page.fill(".door input", server.link("ann"))
    ann.page.press(".door input", "Enter")
    ann.page.wait_for_selector(".jump:has-text('new')")
    ann.at_rest()
    assert bob.page.locator(f".mine:has-text('missed {missed}.') .meta [aria-label='read']").count() == 0
    if "missed 1." not in ann.bodies():
        ann.page.click(".jump")
    ann.page.wait_for_selector(".row:has(.new) .bubble:has-text('missed 1.')")
    ann.at_rest()
    ann.page.click(".jump:has-text('new')")
    _mark(bob, f"missed {missed}.", "read")


def test_what_is_read_without_a_connection_is_told_with_the_next(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "one", "two")
    server.say(server.token("cat"), "user:ann", "hello")
    ann, bob = person("ann"), person("bob")
    bob.open("ann")
    ann.keeps("dm:ann:bob", "two")
    ann.open("cat")
    _badge(ann, "2")
    ann.offline(True)
    ann.page.wait_for_selector(".banner")
    ann.open("bob")
    _no_badge(ann)
    ann.open("cat")
    bob.say("three")
    _mark(bob, "three", "sent")
    ann.offline(False)
    _mark(bob, "two", "read")
    _badge(ann, "1")
    _mark(bob, "three", "arrived")


def test_what_was_read_without_a_connection_outlives_the_page(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "one", "two")
    ann, bob = person("ann", worker=True), person("bob")
    bob.open("ann")
    ann.keeps("dm:ann:bob", "two")
    ann.has_worker()
    ann.offline(True)
    ann.page.wait_for_selector(".banner")
    ann.open("bob")
    _no_badge(ann)
    ann.until(KEPT_READ, ["ann", "dm:ann:bob", 2])
    ann.page.reload()
    ann.page.wait_for_selector(".chats .chat")
    _mark(bob, "two", "arrived")
    ann.offline(False)
    _mark(bob, "two", "read")
    _no_badge(ann)


def test_another_device_reads_a_part(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", *_many(6))
    ann = person("ann")
    _badge(ann, "6")
    _read_elsewhere(server, "ann", "dm:ann:bob", 4)
    _badge(ann, "2")


def test_another_device_reads_a_part_of_more_than_is_held(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", *_many(300))
    ann = person("ann")
    _badge(ann, "99+")
    _read_elsewhere(server, "ann", "dm:ann:bob", 60)
    ann.page.wait_for_function("() => document.title.startsWith('(240)')")


def test_a_part_that_is_read_elsewhere_of_more_than_is_ever_counted_costs_that_part_alone(
    person: Someone, server: Server
) -> None:
    server.say(server.token("bob"), "user:ann", *_many(1_300))
    ann = person("ann", sign_in=False)
    asked: list[int] = []

    def sent(payload: str) -> None:
        frame = json.loads(payload)
        if frame.get("messages"):
            asked.append(frame["limit"])

    ann.page.on("websocket", lambda socket: socket.on("framesent", sent))
    ann.sign_in()
    ann.page.wait_for_function("() => document.title.startsWith('(1300)')")
    _read_elsewhere(server, "ann", "dm:ann:bob", 30)
    ann.page.wait_for_function("() => document.title.startsWith('(1270)')")
    _read_elsewhere(server, "ann", "dm:ann:bob", 70)
    ann.page.wait_for_function("() => document.title.startsWith('(1230)')")
    assert asked == [30, 40]


def test_mentions_go_and_come_with_changes_of_messages(person: Someone, server: Server) -> None:
    server.post(server.token("bob"), "groups", {"name": "tea", "title": "Tea", "users": ["ann"]})
    ann, bob = person("ann"), person("bob")
    bob.open("Tea")
    bob.say("hey @ann")
    _badge(ann, "@", MENTIONED)
    _badge(ann, "1")
    bob.choose("hey", "Delete")
    bob.page.click("dialog button.danger")
    _no_badge(ann)
    _no_badge(ann, MENTIONED)
    bob.say("plain")
    _badge(ann, "1")
    bob.choose("plain", "Edit")
    bob.say("now @ann!")
    _badge(ann, "@", MENTIONED)
    bob.choose("now", "Edit")
    bob.say("no more")
    _no_badge(ann, MENTIONED)
    _badge(ann, "1")
