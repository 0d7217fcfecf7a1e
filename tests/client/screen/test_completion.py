"""Tab completes a word."""

from __future__ import annotations

import pytest

from gochat.client.screen.completion import Completion, Words, emoji_named
from gochat.client.screen.composer import Composer

WORDS = Words(
    ("help", "quit", "query"),
    ("bob", "bea", "eve"),
    ("tea", "team"),
    ("eve", "bob"),
    lambda word: ["bob", "x7"] if "miller".startswith(word.lower()) else [],
)


def completed(typed: str, tabs: int = 1) -> str:
    composer = Composer()
    composer.set(typed)
    completion = Completion(composer, WORDS)
    for _ in range(tabs):
        completion.step(1)
    return composer.text


@pytest.mark.parametrize(
    ("typed", "tabs", "result"),
    [
        ("/h", 1, "/help "),
        ("/qu", 1, "/query "),
        ("/qu", 2, "/quit "),
        ("/qu", 3, "/query "),
        ("/nothing", 1, "/nothing"),
        ("b", 1, "bob: "),
        ("b", 2, "bea: "),
        ("ask b", 1, "ask bob "),
        ("ask @e", 1, "ask @eve "),
        ("/msg b", 2, "/msg bea "),
        ("/join te", 1, "/join group:tea "),
        ("/join te", 2, "/join group:team "),
        ("/join e", 1, "/join user:eve "),
        ("see group:team", 1, "see group:team "),
        ("one\nb", 1, "one\nbob "),
        ("", 1, ""),
    ],
)
def test_tab(typed: str, tabs: int, result: str) -> None:
    assert completed(typed, tabs) == result


def test_the_text_behind_the_cursor_stays() -> None:
    composer = Composer()
    composer.set("hi b you", 4)
    Completion(composer, WORDS).step(1)
    assert composer.text == "hi bob  you"
    assert composer.cursor == 7


def test_shift_tab_goes_back() -> None:
    composer = Composer()
    composer.set("/qu")
    completion = Completion(composer, WORDS)
    completion.step(1)
    completion.step(-1)
    assert composer.text == "/quit "


def test_emoji_by_name() -> None:
    assert emoji_named("thumbs_up")[0] == "👍"
    assert emoji_named("thumbsup")[0] == "👍"
    assert "👍" in emoji_named("thumb")
    assert emoji_named("no such emoji") == []
    assert completed("fine :thumbs_up:") == "fine 👍"


def test_users_are_completed_by_their_names_too() -> None:
    assert completed("Mil") == "bob: "
    assert completed("/msg mil", 2) == "/msg x7 "
    assert completed("hello @Mill") == "hello @bob "
