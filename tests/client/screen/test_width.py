"""Columns: how wide text is, and where a row ends."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gochat.client.screen.width import clusters, columns_of, fitted, padded, row_columns, wrap
from gochat.client.terminal import text

#: Characters that are wide, that take no place, that join, and that are written from right to left.
TRICKY = st.text(st.sampled_from("ab \n你好é́👍🏽👩‍🚀❤️שלוםกำ\t"), max_size=60)


@pytest.mark.parametrize(
    ("shown", "columns"),
    [("", 0), ("abc", 3), ("你好", 4), ("é", 1), ("👩\u200d🚀", 2), ("שלום", 4), ("❤️", 2), ("a👍b", 4)],
)
def test_columns(shown: str, columns: int) -> None:
    assert columns_of(shown) == columns


def test_marks_stay_with_their_letters() -> None:
    assert [cluster for cluster, _ in clusters("áb👩\u200d🚀")] == ["á", "b", "👩\u200d🚀"]


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    assert fitted("hello", 5) == "hello"
    assert fitted("hello!", 5) == "hell…"
    assert fitted("你好你", 4) == "你…"
    assert fitted("hello", 0) == ""
    assert padded("你好你", 4) == "你… "


def test_rows_end_at_spaces_and_further_ones_are_indented() -> None:
    rows = wrap([("time", "12:01 "), (None, "one two three")], 14, 6)
    assert rows == [[("time", "12:01 "), (None, "one two ")], [(None, "      three")]]


def test_line_ends_begin_a_row() -> None:
    assert wrap([(None, "one\ntwo\n\nend")], 20) == [[(None, "one")], [(None, "two")], [], [(None, "end")]]


def test_a_word_wider_than_a_row_is_broken_between_clusters() -> None:
    assert ["".join(each for _, each in row) for row in wrap([(None, "你好你好你")], 5, 1)] == ["你好", " 你好", " 你"]


@example("a \ufe0f", 8)
@example("aa\t", 8)
@given(TRICKY, st.integers(8, 30))
def test_no_row_is_wider_than_it_may_be_and_nothing_is_lost(dirty: str, width: int) -> None:
    rows = wrap([("time", "12:01 "), (None, dirty)], width, 6)
    assert all(row_columns(row) <= width for row in rows)
    kept = "".join(each for row in rows for _, each in row)
    assert kept.replace(" ", "") == f"12:01{dirty}".replace(" ", "").replace("\n", "")


@given(st.text())
def test_shown_text_has_no_control_and_turns_nothing_around(dirty: str) -> None:
    shown = text.shown(dirty)
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in shown)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("a\x1b[2Jb", "a[2Jb"),
        ("a\u202eb", "ab"),
        ("\u2067שלם\u2069", "שלם"),
        ("tab\there", "tab    here"),
        ("one\r\ntwo", "one\ntwo"),
        ("e" + "\u0301" * 1_000, "e" + "\u0301" * 4),
    ],
)
def test_shown_text(dirty: str, clean: str) -> None:
    assert text.shown(dirty) == clean
