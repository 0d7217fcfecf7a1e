from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain import ids

NAMES = st.from_regex(ids.NAME_PATTERN, fullmatch=True)


@given(NAMES, NAMES)
def test_the_room_of_two_is_one_room(one: str, other: str) -> None:
    room = ids.dm(one, other)
    assert room == ids.dm(other, one)
    assert ids.is_room(room) and ids.is_dm(room)
    assert set(ids.dm_users(room)) == {one, other}
    assert ids.peer(room, one) == other


@given(NAMES, st.integers(1, ids.MAX_SEQ))
def test_a_message_id_reads_back(name: str, seq: int) -> None:
    assert ids.parse_message_id(ids.message_id(ids.group(name), seq)) == (f"group:{name}", seq)


@pytest.mark.parametrize(
    "text",
    ["", "A", "-a", "a" * 65, "a b", "ä", "a\n", "a/b", "a:b", "'; --", "..", "\u0430nn"],
)
def test_no_name(text: str) -> None:
    assert not ids.is_name(text)
    assert not ids.is_room(f"group:{text}")


@pytest.mark.parametrize(
    "room", ["", "tea", "group:", "group:Tea", "dm:b:a", "dm:a", "dm:a:b:c", "dm::a", "user:a", "group:a:b"]
)
def test_no_room(room: str) -> None:
    assert not ids.is_room(room)


@pytest.mark.parametrize(
    "text",
    [
        "group:tea",
        "group:tea:",
        "group:tea:0",
        "group:tea:01",
        "group:tea:-1",
        "group:tea:9" + "9" * 12,
        "x:1",
        "group:tea:²",
    ],
)
def test_no_message_id(text: str) -> None:
    assert ids.parse_message_id(text) is None


def test_addresses() -> None:
    assert ids.resolve("user:bob", "ann") == "dm:ann:bob"
    assert ids.resolve("user:ann", "ann") == "dm:ann:ann"
    assert ids.resolve("group:tea", "ann") == "group:tea"
    assert ids.resolve("dm:ann:bob", "ann") == "dm:ann:bob"
    assert ids.resolve("dm:bob:ann", "ann") is None
    assert ids.resolve("user:Bob", "ann") is None
