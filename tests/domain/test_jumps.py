"""A wall clock that is set, forward or back: what was to last a while lasts that while."""

from __future__ import annotations

import pytest

from gochat.auth.standing import SUSPENDED, Standing
from gochat.domain.jumps import JUMP_MS, MOST_MADE, Jumps
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import Relation, Side
from gochat.domain.side_records import Sanctioned, Suspended
from gochat.ports.tokens import Identity

HOUR = 3_600_000
START = 1_700_000_000_000
#: Nanoseconds.
MS = 1_000_000


class Clocks:
    def __init__(self) -> None:
        self.set_by = 0
        self.passed = 0
        self.jumps = Jumps(lambda: (START + self.passed + self.set_by) * MS, lambda: (77 + self.passed) * MS)


@pytest.fixture(params=[HOUR, -HOUR], ids=["forward", "back"])
def jump(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_a_jump_is_noticed_and_drift_is_none(jump: int) -> None:
    clocks = Clocks()
    clocks.set_by = JUMP_MS - 1
    assert (clocks.jumps.now_ms(), clocks.jumps.offset) == (START + JUMP_MS - 1, 0)
    clocks.set_by = jump
    assert (clocks.jumps.now_ms(), clocks.jumps.offset) == (START + jump, jump)
    clocks.set_by = 0
    assert (clocks.jumps.now_ms(), clocks.jumps.offset) == (START, 0)


def test_times_from_before_are_moved_and_those_from_after_are_not(jump: int) -> None:
    clocks = Clocks()
    before = clocks.jumps.now_ms() + 1000
    clocks.set_by = jump
    after = clocks.jumps.now_ms() + 1000
    clocks.jumps.note(after, None)
    assert clocks.jumps.moved(before) == clocks.jumps.moved(after) == START + jump + 1000
    clocks.set_by = 0
    clocks.jumps.now_ms()
    assert clocks.jumps.moved(before) == clocks.jumps.moved(after) == START + 1000


def test_what_is_kept_of_jumps_has_a_bound() -> None:
    clocks = Clocks()
    clocks.set_by = HOUR
    clocks.jumps.now_ms()
    clocks.jumps.note(*range(MOST_MADE + 10))
    assert clocks.jumps.moved(5) == 5 + HOUR
    assert clocks.jumps.moved(MOST_MADE) == MOST_MADE


def test_a_window_keeps_its_length(jump: int) -> None:
    clocks = Clocks()
    window = SlidingWindow(2, 10_000, clocks.jumps)
    window.learn([START - 9_000])
    window.take(clocks.jumps.now_ms())
    clocks.set_by = jump
    assert window.wait(clocks.jumps.now_ms()) == 1_000
    clocks.passed = 1_000
    assert window.wait(clocks.jumps.now_ms()) == 0
    late = SlidingWindow(1, 10_000, clocks.jumps)
    late.learn([START - 5_000])
    assert late.wait(clocks.jumps.now_ms()) == 4_000


def test_ends_of_a_room_are_moved(jump: int) -> None:
    record = RoomRecord.new("group:tea", 1)
    record.sanction(Sanctioned("ann", "mute", True, START, START + 5_000))
    record.sanction(Sanctioned("bob", "ban", True, START, None))
    record.relation = Relation(("ann", "bob"), Side(declined_ts=START), Side(contact=True))
    record.move_ends(lambda at_ms: at_ms + jump)
    assert record.sanctioned("ann", "mute", START + jump + 4_999)
    assert not record.sanctioned("ann", "mute", START + jump + 5_000)
    assert record.sanctioned("bob", "ban", START + 1 << 60)
    assert record.relation.one.declined_ts == START + jump
    assert record.ends() == [START + jump + 5_000, None, START + jump, None]


def test_a_suspension_keeps_its_length(jump: int) -> None:
    clocks = Clocks()
    standing = Standing([Suspended("mallory", True, START, START + 5_000)], clocks.jumps)
    mallory = Identity("mallory", frozenset())
    clocks.set_by = jump
    standing.apply(Suspended("later", True, START + jump, START + jump + 5_000))
    clocks.passed = 4_999
    assert standing.refusal(mallory) == standing.refusal(Identity("later", frozenset())) == SUSPENDED
    clocks.passed = 5_000
    assert standing.refusal(mallory) is standing.refusal(Identity("later", frozenset())) is None
