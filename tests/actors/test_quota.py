"""The cost of a user for the others: one count over all sessions, and a pause instead of an answer."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from gochat.actors.quota import Quota
from gochat.actors.timer_wheel import TimerWheel
from gochat.domain.limits import UserLimits
from gochat.metrics import Counts

LIMITS = UserLimits(refusals_per_s=10, refusal_burst=20, reads_per_s=10, read_burst=20, window=128)


class User:
    """The sessions of one user, and what they share."""

    def __init__(self, timer_wheel: TimerWheel, limits: UserLimits = LIMITS, counts: Counts | None = None) -> None:
        self.sessions: list[Flood] = []
        self.quota = Quota(limits, timer_wheel, counts or Counts((), ()), self.sessions)


class Flood:
    """A session with ever more requests that are refused."""

    def __init__(self, user: User) -> None:
        self.quota = user.quota
        self.window = self.quota.window
        self.carried_out = 0
        user.sessions.append(self)

    def pump(self) -> None:
        while self.window:
            self.carried_out += 1
            self.quota.refused()


async def test_a_user_goes_on_at_the_rate_over_all_sessions(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    timer_wheel = TimerWheel()
    nursery.start_soon(timer_wheel.run)
    counts = Counts((), ())
    mallory = User(timer_wheel, counts=counts)
    floods = [Flood(mallory) for _ in range(20)]
    other = Flood(User(timer_wheel, counts=counts))
    floods[0].pump()
    assert counts.slowed == 1
    # Whole tokens: the last one is spent, and the next is not there yet.
    assert sum(flood.carried_out for flood in floods) == 20
    assert all(flood.window == 0 for flood in floods)
    assert other.window == 128
    await trio.sleep(100)
    done = sum(flood.carried_out for flood in floods)
    assert 20 + 0.95 * 1000 <= done <= 20 + 1000
    assert all(flood.carried_out > 10 for flood in floods), "one session leaves the others nothing"


async def test_half_spent_one_at_a_time_then_as_before(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    timer_wheel = TimerWheel()
    nursery.start_soon(timer_wheel.run)
    counts = Counts((), ())
    session = Flood(User(timer_wheel, counts=counts))
    for _ in range(10):
        session.quota.refused()
    assert session.window == 128
    session.quota.refused()
    assert session.window == 1
    session.pump = lambda: None  # type: ignore[method-assign]
    await trio.sleep(0.5)
    assert session.window == 1
    await trio.sleep(1)
    assert session.window == 128
    assert counts.slowed == bool(len(timer_wheel))
    assert not len(timer_wheel) or session.quota.idle() is False


async def test_what_was_in_flight_is_a_debt_of_two_seconds_at_most(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    timer_wheel = TimerWheel()
    nursery.start_soon(timer_wheel.run)
    quota = User(timer_wheel).quota
    for _ in range(1000):
        quota.refused()
    await trio.sleep(1.9)
    assert quota.held
    await trio.sleep(0.6)
    assert not quota.held


async def test_reads_count_apart_from_refusals(autojump_clock: MockClock) -> None:
    quota = User(TimerWheel()).quota
    for _ in range(10):
        quota.refused()
        quota.read()
    assert not quota.held
    quota.read(10)
    assert quota.held


async def test_without_rates_nobody_waits(autojump_clock: MockClock) -> None:
    quota = User(TimerWheel(), UserLimits()).quota
    for _ in range(10_000):
        quota.refused()
        quota.read()
    assert quota.window == 128
