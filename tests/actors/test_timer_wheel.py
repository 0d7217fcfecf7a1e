from __future__ import annotations

from gochat.actors.timer_wheel import SLOT_S, TimerWheel


class Entry:
    def __init__(self, again: list[float | None]) -> None:
        self.again = again
        self.asked: list[float] = []

    def check(self, now: float) -> float | None:
        self.asked.append(now)
        return self.again.pop(0)


def test_each_is_asked_at_its_time_and_not_before() -> None:
    timer_wheel, entry = TimerWheel(), Entry([None])
    timer_wheel.turn(100.0)
    timer_wheel.add(entry, 101.1)
    for now in (100.5, 101.0):
        timer_wheel.turn(now)
    assert not entry.asked
    timer_wheel.turn(101.1 + SLOT_S)
    assert len(entry.asked) == 1 and len(timer_wheel) == 0


def test_who_wants_to_is_asked_again() -> None:
    timer_wheel, entry = TimerWheel(), Entry([102.0, 103.0, None])
    timer_wheel.add(entry, 101.0)
    for now in (101.0, 102.0, 103.0, 104.0):
        timer_wheel.turn(now)
    assert entry.asked == [101.0, 102.0, 103.0]


def test_after_a_pause_all_that_was_missed_is_due_at_once() -> None:
    timer_wheel, entries = TimerWheel(), [Entry([None]) for _ in range(5)]
    timer_wheel.turn(100.0)
    for number, entry in enumerate(entries):
        timer_wheel.add(entry, 101.0 + number)
    timer_wheel.turn(200.0)
    assert all(entry.asked == [200.0] for entry in entries)


def test_the_past_is_asked_in_the_next_slot() -> None:
    timer_wheel, entry = TimerWheel(), Entry([None])
    timer_wheel.turn(100.0)
    timer_wheel.add(entry, 50.0)
    timer_wheel.turn(100.0 + SLOT_S)
    assert entry.asked
