from __future__ import annotations

from gochat.session.clock import SLOT_S, Wheel


class Entry:
    def __init__(self, again: list[float | None]) -> None:
        self.again = again
        self.asked: list[float] = []

    def check(self, now: float) -> float | None:
        self.asked.append(now)
        return self.again.pop(0)


def test_each_is_asked_at_its_time_and_not_before() -> None:
    wheel, entry = Wheel(), Entry([None])
    wheel.turn(100.0)
    wheel.add(entry, 101.1)
    for now in (100.5, 101.0):
        wheel.turn(now)
    assert not entry.asked
    wheel.turn(101.1 + SLOT_S)
    assert len(entry.asked) == 1 and len(wheel) == 0


def test_who_wants_to_is_asked_again() -> None:
    wheel, entry = Wheel(), Entry([102.0, 103.0, None])
    wheel.add(entry, 101.0)
    for now in (101.0, 102.0, 103.0, 104.0):
        wheel.turn(now)
    assert entry.asked == [101.0, 102.0, 103.0]


def test_after_a_pause_all_that_was_missed_is_due_at_once() -> None:
    wheel, entries = Wheel(), [Entry([None]) for _ in range(5)]
    wheel.turn(100.0)
    for number, entry in enumerate(entries):
        wheel.add(entry, 101.0 + number)
    wheel.turn(200.0)
    assert all(entry.asked == [200.0] for entry in entries)


def test_the_past_is_asked_in_the_next_slot() -> None:
    wheel, entry = Wheel(), Entry([None])
    wheel.turn(100.0)
    wheel.add(entry, 50.0)
    wheel.turn(100.0 + SLOT_S)
    assert entry.asked
