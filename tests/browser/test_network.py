"""The network goes and comes back: nothing is lost, nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import Process, Server
from tests.browser.people import Person
from tests.browser.relay import Relay

Someone = Callable[..., Person]
QUICK, LONG = 3, 100
#: The page's own times: from one ping to the next, and for an answer.
PING_EVERY_MS, PONG_WITHIN_MS = 15_000, 8_000


def _killed_and_started_again(ann: Person, bob: Person, server: Process, rounds: int) -> None:
    ann.write_to("bob")
    ann.say("begin")
    bob.open("ann")
    bob.sees("begin")
    said = ["begin"]
    for number in range(rounds):
        ann.say(f"before {number}")
        server.kill()
        ann.page.wait_for_selector(".banner")
        ann.say(f"meanwhile {number}", f"and {number}")
        server.start()
        said += [f"before {number}", f"meanwhile {number}", f"and {number}"]
        bob.sees(f"and {number}")
        ann.settled()
        if number < 8:  # More do not fit the window, and what is above it is no part of the document.
            assert ann.bodies()[-len(said) :] == bob.bodies()[-len(said) :] == said[-len(ann.bodies()) :]


def test_what_is_said_while_the_server_is_away_arrives_once(person: Someone, process: Process) -> None:
    _killed_and_started_again(person("ann"), person("bob"), process, QUICK)


@pytest.mark.long
def test_a_hundred_times_away(person: Someone, process: Process) -> None:
    _killed_and_started_again(person("ann"), person("bob"), process, LONG)


def test_a_connection_that_is_dead_without_a_word_is_found_out(person: Someone, server: Server) -> None:
    relay = Relay(server.port)
    try:
        ann, bob = person("ann", url=relay.url, clock=True), person("bob")
        ann.write_to("bob")
        ann.say("one")
        ann.settled()
        relay.silence()
        ann.say("two")
        assert not ann.page.query_selector(".banner")
        ann.page.clock.fast_forward(PING_EVERY_MS)
        assert not ann.page.query_selector(".banner")
        ann.page.clock.fast_forward(PONG_WITHIN_MS)
        ann.page.wait_for_selector(".banner")
        relay.resume()
        bob.open("ann")
        bob.sees("two")
        ann.settled()
        assert ann.bodies() == bob.bodies() == ["one", "two"]
    finally:
        relay.close()


def test_two_tabs_of_one_person_agree(person: Someone, server: Server) -> None:
    ann, bob = person("ann"), person("bob")
    other = ann.tab()
    other.goto(f"{server.url}#token={server.token('ann')}")
    bob.write_to("ann")
    bob.say("to all your devices")
    for page in (ann.page, other):
        page.wait_for_selector(".badge")
    ann.page.bring_to_front()
    ann.open("bob")
    ann.sees("to all your devices")
    other.wait_for_selector(".badge", state="detached")


def test_a_chat_that_was_left_for_long_is_caught_up(person: Someone, server: Server) -> None:
    """More is missed than a replay holds: what is shown is the newest, and the count of the unread is right."""
    ann = person("ann", size=(390, 844))
    token = server.token("bob")
    server.say(token, "user:ann", "first")
    ann.page.wait_for_selector(".badge:text-is('1')")
    ann.offline(True)
    ann.page.wait_for_selector(".banner")
    server.say(token, "user:ann", *(f"more {number}" for number in range(600)))
    ann.offline(False)
    ann.page.wait_for_selector(".badge:text-is('99+')")
    ann.open("bob")
    ann.page.click(".jump")
    ann.sees("more 599")


def test_a_part_of_the_page_that_did_not_arrive_is_fetched_again(person: Someone, server: Server) -> None:
    ann = person("ann", size=(390, 844), sign_in=False)
    ann.page.route("**/js/views/thread.js", lambda route: route.abort())
    ann.sign_in()
    server.say(server.token("bob"), "user:ann", "are you there?")
    ann.page.wait_for_selector(".badge:text-is('1')")
    ann.page.unroute("**/js/views/thread.js")
    ann.open("bob")
    ann.sees("are you there?")
