"""The ledger of many rooms: what a fact must say, and that what one member got is what all get."""

from __future__ import annotations

import pytest

from bench.faults import Fault
from bench.load.frames import Bodies, Seen
from bench.load.ledger import Ledger, Room, body

BODIES = Bodies(40)


def ledger() -> Ledger:
    return Ledger({"group:g": Room(0, "group:g", ["ann", "bob"], 2)}, BODIES)


def seen(number: int = 7, seq: int = 3, text: str = "", sender: str = "ann", room: str = "group:g") -> Seen:
    return Seen(type="message", room=room, seq=seq, sender=sender, body=text or body(BODIES, number, 1234))


def test_a_fact_tells_its_number_and_for_when_it_was_planned() -> None:
    one = ledger()
    fact = one.first(seen(), b"bytes", "bob", 3)
    assert (fact.number, fact.planned, fact.left, one.known) == (7, 1234, 2, {b"bytes": fact})
    assert one.first(seen(), b"other bytes, as in a replay", "ann", 3) is fact
    one.done(fact)
    assert one.known == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (seen(seq=4), "lost or swapped"),
        (seen(seq=2), "repeated or swapped"),
        (seen(text=body(BODIES, 7, 1234)[:-2] + "x."), "another message's body"),
        (seen(text=body(BODIES, 7, 1234) + " "), "another message's body"),
        (seen(text="hello"), "no body of this load"),
        (seen(sender="eve"), "nothing of group:g by eve can come here"),
        (seen(room="group:h"), "nothing of group:h by ann can come here"),
    ],
)
def test_what_is_not_what_must_come_is_a_fault(wrong: Seen, said: str) -> None:
    with pytest.raises(Fault, match=said):
        ledger().first(wrong, b"bytes", "bob", 3)


def test_who_is_no_member_gets_nothing() -> None:
    with pytest.raises(Fault, match="can come here"):
        ledger().first(seen(), b"bytes", "eve", 3)


@pytest.mark.parametrize("other", [seen(number=8), seen(sender="bob")])
def test_one_seq_is_the_same_for_all(other: Seen) -> None:
    one = ledger()
    one.first(seen(), b"bytes", "bob", 3)
    with pytest.raises(Fault, match="for others"):
        one.first(other, b"others", "ann", 3)


def test_what_processes_compare_is_the_order_of_writers_and_bodies() -> None:
    crcs = set()
    for numbers in ((1, 2), (2, 1), (1, 3)):
        one = ledger()
        for seq, number in enumerate(numbers, 3):
            one.first(seen(number, seq), b"%d" % seq, "bob", seq)
        crcs.add(one.rooms["group:g"].crc)
    assert len(crcs) == 3


def test_a_page_is_dense_and_below_its_head() -> None:
    one, entries = ledger(), [seen(1, 3), seen(2, 4), seen(3, 5)]
    one.check_page(entries, "group:g", 5, "bob")
    for wrong, head in ((entries[::2], 5), (entries[::-1], 5), (entries, 4)):
        with pytest.raises(Fault, match="a page of group:g has"):
            one.check_page(wrong, "group:g", head, "bob")
