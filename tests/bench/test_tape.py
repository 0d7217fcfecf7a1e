"""The tape: every member's bytes are compared, whoever is ahead, however they are cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.faults import Fault
from bench.load.frames import Bodies, Log
from bench.load.tape import Tape
from bench.load.wire import split_lines

BODIES = Bodies(40)
COUNT = 12


def line(number: int, **fields: object) -> bytes:
    fact = {"type": "message", "room": "group:g", "seq": 5 + number, "from": "ann", "body": BODIES[number], **fields}
    return json.dumps(fact).encode() + b"\n"


LINES = [line(number) for number in range(1, COUNT + 1)]


def tape() -> Tape:
    return Tape(split_lines, Log("group:g", "ann", 5, BODIES))


def test_members_who_get_the_same_make_one_tape() -> None:
    one = tape()
    assert one.take("bob", 0, LINES[0] + LINES[1][:9])
    assert (one.messages, one.whole) == (1, len(LINES[0]))
    assert not one.take("cat", 0, LINES[0])
    assert one.take("cat", len(LINES[0]), LINES[1] + LINES[2])
    assert (one.messages, bytes(one.bytes)) == (3, b"".join(LINES[:3]))


def feed(one: Tape, who: str, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        one.take(who, start, data[start : start + size])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400)), max_size=80))
def test_any_order_and_any_cuts_are_fine(reads: list[tuple[int, int]]) -> None:
    whole, one, at = b"".join(LINES), tape(), [0, 0, 0]
    for member, size in [*reads, *((member, len(whole)) for member in range(3))]:
        piece = whole[at[member] : at[member] + size]
        if piece:
            one.take(str(member), at[member], piece)
            at[member] += len(piece)
    assert (one.messages, bytes(one.bytes)) == (COUNT, whole)


FAULTS = {
    "lost": LINES[:4] + LINES[5:],
    "repeated": LINES[:5] + LINES[4:],
    "swapped": [*LINES[:4], LINES[5], LINES[4], *LINES[6:]],
    "other body": [*LINES[:4], line(5, body=BODIES[6]), *LINES[5:]],
    "other sender": [*LINES[:4], line(5, **{"from": "eve"}), *LINES[5:]],
    "other room": [*LINES[:4], line(5, room="group:h"), *LINES[5:]],
    "no fact": [*LINES[:4], b'{"type":"lag","room":"group:g","epoch":"0","head":9}\n', *LINES[4:]],
}


@pytest.mark.parametrize("size", [1, 100, 10_000])
@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "behind"])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_wrong_message_is_a_fault_that_names_the_member_and_the_seq(fault: str, ahead: bool, size: int) -> None:
    one, wrong = tape(), b"".join(FAULTS[fault])
    if not ahead:
        one.take("bob", 0, b"".join(LINES))
    with pytest.raises(Fault, match=r"^cat: .*\b10\b"):
        feed(one, "cat", wrong, size)


def test_a_tape_that_was_written_wrong_is_a_fault_of_the_one_who_wrote_it() -> None:
    one = tape()
    with pytest.raises(Fault, match="bob: seq 6 of group:g expected, got message group:g seq 7"):
        one.take("bob", 0, LINES[1])


def test_bytes_that_are_no_frame_are_a_fault() -> None:
    with pytest.raises(Fault, match="bob: not a frame"):
        tape().take("bob", 0, b"nonsense\n")
