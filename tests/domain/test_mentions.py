"""The users whom a text mentions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain.ids import is_name
from gochat.domain.mentions import MOST_MENTIONS, mentioned

HERE = {"ann", "bob", "cat", "bob-", "c.d", "x" * 64, "y" * 62}


@pytest.mark.parametrize(
    ("body", "users"),
    [
        ("@bob", ["bob"]),
        ("hi @bob, and @cat!", ["bob", "cat"]),
        ("(@bob) @bob again", ["bob"]),
        ("@Bob and @CAT", ["bob", "cat"]),
        ("@cat @bob", ["cat", "bob"]),
        ("thanks @bob.", ["bob"]),
        ("thanks @bob...", ["bob"]),
        ("@c.d, @c.d.", ["c.d"]),
        ("@bob- is another", ["bob-"]),
        ("@bob-.", ["bob-"]),
        ("你好@bob你", ["bob"]),
        ("a\n@bob\tb", ["bob"]),
        ("@" + "x" * 64, ["x" * 64]),
        ("@" + "x" * 64 + ".", ["x" * 64]),
        ("@" + "x" * 64 + "...", ["x" * 64]),
        ("@" + "y" * 62 + "...", ["y" * 62]),
        ("@" + "x" * 64 + "-x", None),
        ("@" + "y" * 62 + "...y", None),
        ("@" + "x" * 65, None),
        ("é@bob", ["bob"]),
        ("@bobby", None),
        ("@zoe", None),
        ("me@bob.example", None),
        ("me.@bob", None),
        ("me@bob", None),
        ("https://example.org/@bob", None),
        ("@@bob", None),
        ("@ bob", None),
        ("@ann", None),
        ("@", None),
        ("", None),
        ("bob", None),
    ],
)
def test_a_name_behind_an_at_is_a_mention(body: str, users: list[str] | None) -> None:
    assert mentioned(body, "ann", HERE) == users


def test_there_are_at_most_twenty() -> None:
    users = [f"u{number}" for number in range(30)]
    assert mentioned(" ".join(f"@{user}" for user in users), "ann", users) == users[:MOST_MENTIONS]


class Counting(set[str]):
    asked = 0

    def __contains__(self, name: object) -> bool:
        self.asked += 1
        return super().__contains__(name)


@pytest.mark.parametrize("body", ["@a " * 33_000, ("@a" + "." * 63 + " ") * 1_500, "@a" + "." * 100_000, "@" * 100_000])
def test_a_text_full_of_names_costs_no_more_than_some_hundred(body: str) -> None:
    users = Counting()
    assert mentioned(body, "ann", users) is None
    assert users.asked <= 200 * 64


@given(st.text("@ab.-_ \nä/", max_size=40), st.sets(st.text("ab.-_", min_size=1, max_size=3).filter(is_name)))
def test_whoever_is_mentioned_is_named(body: str, users: set[str]) -> None:
    found = mentioned(body, "a", users)
    assert found is None or (found and len(set(found)) == len(found))
    for user in found or ():
        assert user in users - {"a"} and f"@{user}" in body
    assert mentioned(f"{body} @bb", "a", users | {"bb"}) is not None
