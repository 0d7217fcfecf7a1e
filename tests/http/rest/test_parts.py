"""The parts of REST that can be tested without a node."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from gochat.domain.turn import Done
from gochat.errors import Denied
from gochat.http.messages import Headers
from gochat.http.rest import commands
from gochat.http.rest.commands import Settlement
from gochat.http.rest.conditions import is_fresh
from gochat.http.rest.limiter import Limiter
from gochat.http.rest.refused import Refused


async def test_a_command_that_is_not_settled_is_answered_all_the_same(autojump_clock: MockClock) -> None:
    ticket = Settlement()
    outcome = await ticket.outcome()
    assert trio.current_time() == commands.SETTLE_S
    assert isinstance(outcome, Denied)
    assert (outcome.code, outcome.unknown) == ("unavailable", True)
    response = Refused(outcome).response()
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert b'"unknown":true' in response.body
    ticket.reply(Done(1, 2))
    ticket.flush()


async def test_a_settled_command_is_answered_at_once() -> None:
    ticket = Settlement()
    ticket.reply(Done(1, 2))
    assert await ticket.outcome() == Done(1, 2)


def test_buckets_are_bounded_and_who_has_read_much_is_remembered() -> None:
    now = 0
    reads = Limiter(1.0, 2, lambda: now, max_keys=4)
    for user in "abc":
        reads.take(user)
    now = 10_000
    for _ in range(2):
        reads.take("d")
    reads.take("e")
    with pytest.raises(Refused) as caught:
        reads.take("d")
    assert caught.value.denied.retry_after_ms == 1000
    for user in range(100):
        reads.take(str(user))
    assert len(reads._buckets) <= 4


@pytest.mark.parametrize(
    ("given", "fresh"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
        ("", False),
        ('"A"', False),
        ('"xa"', False),
    ],
)
def test_tags_are_compared_weakly_for_caches(given: str, fresh: bool) -> None:
    assert is_fresh(Headers([(b"if-none-match", given.encode())]), '"a"') is fresh
    assert not is_fresh(Headers(), '"a"')
