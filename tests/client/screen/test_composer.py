"""The input line, key by key."""

from __future__ import annotations

import pytest

from gochat.client.screen.composer import MAX_CHARS, MAX_HISTORY, Composer
from gochat.client.screen.search import MAX_QUERY


def composer(marked: str) -> Composer:
    """A composer with the cursor where `|` stands."""
    made = Composer()
    made.set(marked.replace("|", ""), marked.index("|"))
    return made


def marked(made: Composer) -> str:
    return made.text[: made.cursor] + "|" + made.text[made.cursor :]


@pytest.mark.parametrize(
    ("before", "act", "after"),
    [
        ("ab|c", "left", "a|bc"),
        ("|abc", "left", "|abc"),
        ("ae\u0301|c", "left", "a|e\u0301c"),
        ("a|e\u0301c", "right", "ae\u0301|c"),
        ("👩\u200d🚀|", "backspace", "|"),
        ("ab|c", "backspace", "a|c"),
        ("|abc", "backspace", "|abc"),
        ("a|bc", "delete", "a|c"),
        ("abc|", "delete", "abc|"),
        ("one two|", "word_left", "one |two"),
        ("one, |two", "word_left", "|one, two"),
        ("|one two", "word_right", "one| two"),
        ("one| two", "word_right", "one two|"),
        ("one two|", "home", "|one two"),
        ("one\ntw|o", "home", "one\n|two"),
        ("o|ne\ntwo", "end", "one|\ntwo"),
        ("one t|wo", "kill_to_end", "one t|"),
        ("one|\ntwo", "kill_to_end", "one|two"),
        ("one t|wo", "kill_to_start", "|wo"),
        ("one two|", "kill_word", "one |"),
        ("one| two, three", "kill_word_after", "one|, three"),
        ("one|", "kill_word_after", "one|"),
        ("one\ntwo|", "up", "one|\ntwo"),
        ("o|\nthree", "down", "o\nt|hree"),
        ("three\no|ne", "up", "t|hree\none"),
    ],
)
def test_keys(before: str, act: str, after: str) -> None:
    made = composer(before)
    getattr(made, act)()
    assert marked(made) == after


def test_what_was_killed_comes_back() -> None:
    made = composer("one two|")
    made.kill_word()
    made.home()
    made.yank()
    assert marked(made) == "two|one "


def test_what_was_typed_before_comes_back_and_what_is_being_typed_is_not_lost() -> None:
    made = Composer()
    for typed in ("one", "two", "two"):
        made.set(typed)
        assert made.take() == typed
    made.set("unfinished")
    made.up()
    assert made.text == "two"
    made.up()
    made.up()
    assert made.text == "one"
    made.down()
    made.down()
    assert made.text == "unfinished"
    made.down()
    assert made.text == ""
    made.up()
    assert made.text == "unfinished"


def test_history_is_bounded() -> None:
    made = Composer()
    for number in range(MAX_HISTORY + 5):
        made.set(str(number))
        made.take()
    assert len(made.history) == MAX_HISTORY
    assert made.history[0] == "5"


def searching(*texts: str) -> Composer:
    made = Composer()
    for text in texts:
        made.set(text)
        made.take()
    made.set("half", 2)
    made.search_history()
    return made


def test_a_search_finds_the_latest_and_then_earlier_ones() -> None:
    made = searching("/join tea", "Hello bob", "hello eve", "bye")
    assert marked(made) == "ha|lf", "nothing is looked for yet"
    made.search_for("h")
    made.search_for("ello")
    assert marked(made) == "|hello eve"
    made.search_history()
    assert marked(made) == "|Hello bob"
    made.search_history()
    assert made.search is not None and made.search.failed and marked(made) == "|Hello bob"
    made.search_for_less()
    assert not made.search.failed and marked(made) == "|hello eve"
    made.search_for("x")
    assert made.search.failed and made.text == "hello eve"
    for _ in "hellx":
        made.search_for_less()
    assert made.search.query == "" and marked(made) == "ha|lf"


def test_a_search_is_taken_or_given_up() -> None:
    made = searching("one", "two", "three")
    made.search_for("tw")
    made.end_search(taken=False)
    assert (made.search, marked(made)) == (None, "ha|lf")
    made.search_history()
    made.search_for("wo")
    assert marked(made) == "t|wo"
    made.end_search(taken=True)
    assert (made.search, marked(made)) == (None, "t|wo")
    made.up()
    assert marked(made) == "one|", "Up goes on from what was found"
    for _ in range(3):
        made.down()
    assert marked(made) == "half|"
    made.end_search(taken=True)
    assert made.text == "half"


def test_a_search_in_nothing() -> None:
    made = searching()
    made.search_for("x" * 1_000)
    assert made.search is not None and made.search.failed and len(made.search.query) == MAX_QUERY
    made.search_history()
    made.end_search(taken=True)
    assert made.text == "half"


def test_a_text_that_is_too_long_is_not_taken_in_part() -> None:
    made = composer("ab|c")
    assert not made.insert("x" * MAX_CHARS)
    assert marked(made) == "ab|c"


def test_each_room_keeps_what_is_unfinished_there() -> None:
    made = composer("for |tea")
    made.switch("group:tea", "group:milk")
    assert made.text == ""
    assert made.has_draft("group:tea")
    made.switch("group:milk", "group:tea")
    assert marked(made) == "for |tea"
    made.set("")
    made.switch("group:tea", None)
    assert not made.has_draft("group:tea")


def test_a_half_typed_text_is_kept_beside_the_one_that_was_fetched() -> None:
    made = Composer()
    made.set("sent before")
    made.take()
    made.set("half")
    made.up()
    made.switch("group:tea", "group:milk")
    assert made.has_draft("group:tea")
    assert list(made.unfinished("group:milk")) == [("group:tea", "half"), ("group:milk", "")]
    made.switch("group:milk", "group:tea")
    assert made.text == "sent before"
    made.down()
    assert marked(made) == "half|"
    made.up()
    made.insert(", changed")
    assert list(made.unfinished("group:tea")) == [("group:tea", "sent before, changed"), ("group:tea", "half")]
    made.down()
    made.set("")
    made.switch("group:tea", "group:milk")
    assert not made.has_draft("group:tea")


def test_a_search_ends_in_the_room_in_which_it_began() -> None:
    made = searching("one", "two")
    made.search_for("o")
    assert list(made.unfinished("group:tea")) == [("group:tea", "half")]
    made.switch("group:tea", "group:milk")
    made.end_search(taken=False)
    assert made.text == "", "the other room's text is not put in here"
    made.switch("group:milk", "group:tea")
    assert marked(made) == "ha|lf"
