"""Names in the place of ids: what is asked for, and what is shown."""

from __future__ import annotations

from gochat.client.names import MAX_NAMES, ShownNames


def test_a_user_is_shown_by_name_once_that_is_known() -> None:
    names = ShownNames()
    assert names.of("bob") == "bob"
    names.learn({"bob": "Bob Miller", "cat": "cat"})
    assert (names.of("bob"), names.of("cat")) == ("Bob Miller", "cat")
    names.learn({"bob": "Robert"})
    assert names.of("bob") == "Robert"


def test_nobody_passes_for_another() -> None:
    names = ShownNames()
    names.learn({"bob": "Bob Miller", "mallory": "BOB MILLER", "eve": "Cat", "cat": "Cat Stevens"})
    assert names.of("mallory") == "BOB MILLER (mallory)"
    assert names.of("bob") == "Bob Miller (bob)"
    assert names.of("eve") == "Cat (eve)", "it is another user's id"
    assert names.of("cat") == "Cat Stevens"
    names.learn({"forger": "Bob Miller (bob)"})
    assert names.of("forger") == "Bob Miller (bob) (forger)"
    names.learn({"mallory": "Mallory"})
    assert names.of("bob") == "Bob Miller"


def test_each_user_is_asked_for_once_a_connection() -> None:
    names = ShownNames()
    names.want(["bob", "cat", "bob"])
    names.want(["dan"])
    assert names.wanted(2) == ["bob", "cat"]
    assert names.wanted(2) == ["dan"]
    names.want(["bob", "eve"])
    assert names.wanted(9) == ["eve"]
    names.ask_again()
    assert names.wanted(9) == ["bob", "cat", "dan", "eve"]


def test_few_are_asked_for_again() -> None:
    names = ShownNames()
    names.want(f"u{number}" for number in range(300))
    assert len(names.wanted(1_000)) == 300
    names.ask_again()
    assert names.wanted(1_000) == [f"u{number}" for number in range(200, 300)]


def test_they_are_found_by_any_word_of_the_name() -> None:
    names = ShownNames()
    names.learn({"bob": "Bob Miller", "cat": "Cat Stevens", "x": "Milly"})
    assert names.beginning("MIL") == ["bob", "x"]
    assert names.beginning("ill") == []


def test_the_oldest_are_forgotten() -> None:
    names = ShownNames()
    names.learn({f"u{number}": f"User {number}" for number in range(MAX_NAMES + 1)})
    assert names.of("u0") == "u0"
    assert names.of("u1") == "User 1"


def test_a_user_whose_name_was_forgotten_is_asked_for_again() -> None:
    names = ShownNames()
    for first in range(0, 2 * MAX_NAMES, 100):
        names.want(f"u{number}" for number in range(first, first + 100))
        names.learn({user: user.upper() for user in names.wanted(100)})
    assert names.of("u0") == "u0"
    names.want(["u0", f"u{2 * MAX_NAMES - 1}"])
    assert names.wanted(9) == ["u0"]
