"""A clock that differs is found, and the one that is wrong is left out: a node's, or the server's."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster.clock import PATIENCE_S, Clock

HOUR = 3_600_000


class Server:
    """A bulletin whose clock, and whose answers' way, the test sets."""

    def __init__(self) -> None:
        self.node = 1_000_000
        self.ahead = 0
        self.takes = 0

    async def now(self) -> int:
        self.node += self.takes
        return self.node + self.ahead - self.takes // 2

    def clock(self) -> Clock:
        return Clock(self, lambda: self.node)  # type: ignore[arg-type]


@pytest.mark.parametrize("ahead", [0, 7, -7, HOUR, -HOUR])
@pytest.mark.parametrize("takes", [0, 100])
async def test_the_way_of_an_answer_is_taken_into_account(ahead: int, takes: int) -> None:
    server = Server()
    server.ahead, server.takes = -ahead, takes
    clock = server.clock()
    await clock.look()
    assert clock.ahead_ms == ahead


@pytest.mark.parametrize("takes", [1_001, -5])
async def test_an_answer_that_took_too_long_says_nothing_nor_does_one_across_a_change(takes: int) -> None:
    server = Server()
    clock = server.clock()
    server.ahead, server.takes = HOUR, takes
    assert not await clock.look() and not clock.has_looked
    assert clock.ahead_ms == 0


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        (0, [], None),
        (HOUR, [], None),
        (0, [0, 0], None),
        (5_000, [0, 0], None),
        (5_001, [0, 0], "5 s ahead of"),
        (-HOUR, [0, 0], "3,600 s behind"),
        (HOUR, [0], "3,600 s ahead of"),
        (0, [HOUR], None),
        # The server's is wrong.
        (HOUR, [HOUR], None),
        (HOUR, [HOUR, HOUR], None),
        (-HOUR, [-HOUR + 3_000, -HOUR], None),
        # The server's, and this node's too.
        (0, [HOUR, HOUR, HOUR], "3,600 s behind"),
    ],
)
async def test_it_is_the_one_that_differs_from_most(own: int, others: list[int], said: str | None) -> None:
    clock = Server().clock()
    clock.ahead_ms = own
    problem = clock.problem(others)
    assert (problem is None) == (said is None)
    assert said is None or said in str(problem)


async def test_a_clock_that_was_set_forward_is_known_at_once_until_it_is_found_right() -> None:
    server = Server()
    steady = trio.current_time
    clock = Clock(server, lambda: server.ahead + int(steady() * 1000))  # type: ignore[arg-type]
    assert clock.leap() is None, "nothing is known yet"
    await clock.look()
    server.ahead = HOUR
    assert clock.leap() is None, "nor has anybody found it right"
    server.ahead = 0
    clock.trust()
    for ahead, leaps in ((4_900, False), (-HOUR, False), (5_100, True), (HOUR, True)):
        server.ahead = ahead
        assert (clock.leap() is not None) == leaps
    clock.trust()
    assert "3,600 s" in str(clock.leap()), "it was right before, which says nothing of now"
    await clock.look()
    assert clock.leap() is not None
    clock.trust()
    assert clock.leap() is None


async def test_the_common_time_is_that_of_a_clock_that_was_right(autojump_clock: MockClock) -> None:
    server = Server()
    began = trio.current_time()
    clock = Clock(server, lambda: server.ahead + 1_000_000 + int((trio.current_time() - began) * 1000))  # type: ignore[arg-type]
    await clock.look()
    assert clock.common_ms() == 1_000_000, "nothing else is known"
    for pause_s, said in ((0, 0), (PATIENCE_S / 2, 0), (PATIENCE_S / 2, -HOUR)):
        await trio.sleep(pause_s)
        passed = round((trio.current_time() - began) * 1000)
        server.node = 1_000_000 + passed - HOUR
        assert await clock.look()
        assert clock.problem([0, 0]) is not None
        assert clock.common_ms() == 1_000_000 + passed + said, "the server's may have been set between two nodes' looks"
    server.node += HOUR
    await clock.look()
    assert clock.problem([0, 0]) is None
    assert clock.common_ms() == server.node
    clock.trust()
    for ahead in (0, 4_000, HOUR, -HOUR):
        server.ahead = ahead
        await trio.sleep(1)
        passed = round((trio.current_time() - began) * 1000)
        assert clock.common_ms() == 1_000_000 + passed + (ahead if ahead == 4_000 else 0)
