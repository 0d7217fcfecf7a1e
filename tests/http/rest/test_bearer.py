"""The cost of a flood of bad tokens, and who bears it."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat.auth.fetched import KeysUnavailable
from gochat.auth.standing import Standing
from gochat.errors import AuthError
from gochat.http.messages import Request
from gochat.http.rest import bearer
from gochat.http.rest.bearer import BearerAuth
from gochat.http.rest.limiter import Limiter
from gochat.http.rest.refused import Refused
from gochat.http.upgrade import Head
from gochat.ports.tokens import Identity
from tests.http.rest.conftest import As
from tests.http.wiring import slotted


class Tokens:
    """Knows the tokens "good" and "away", and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def verify(self, token: str) -> Identity:
        self.asked += 1
        await trio.lowlevel.checkpoint()
        if token == "away":
            raise KeysUnavailable("the keys can't be fetched")
        if token != "good":
            raise AuthError("the signature is wrong")
        return Identity("ann", frozenset())


def now_ms() -> int:
    return round(trio.current_time() * 1000)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def auth(tokens: Tokens) -> BearerAuth:
    return BearerAuth(tokens, Standing(), lambda *_: None, now_ms)


async def no_body() -> bytes:
    return b""


async def ask(auth: BearerAuth, token: str, client: str = "192.0.2.1") -> Any:
    """The user, or the code of the refusal; and how long it took."""
    head = Head(b"GET", b"/v1/me", [(b"authorization", b"Bearer " + token.encode())] if token else [], b"1.1")
    request = Request(head, client, slotted(), no_body)
    start = trio.current_time()
    try:
        user = (await auth.identify(request)).user
        assert request.user == user and request.slot.answering
    except Refused as refused:
        assert request.user is None and not request.slot.answering
        user = refused.denied.code
    return user, round(trio.current_time() - start, 3)


async def flood(auth: BearerAuth, requests: int, client: str = "192.0.2.1", token: str = "bad") -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(requests):
            nursery.start_soon(ask, auth, token, client)


async def test_the_first_refusals_cost_no_time(auth: BearerAuth, autojump_clock: MockClock) -> None:
    for token in ("bad", ""):
        for _ in range(bearer.REFUSED_BURST // 2):
            assert await ask(auth, token) == ("unauthorized", 0)
    assert await ask(auth, "bad") == ("unauthorized", 0)
    assert await ask(auth, "bad") == ("unauthorized", 0.1)


@pytest.mark.parametrize("token", ["bad", ""])
async def test_a_flood_is_answered_at_a_bounded_pace(
    auth: BearerAuth, tokens: Tokens, autojump_clock: MockClock, token: str
) -> None:
    """Connections at once do not help: each waits until what all of them owe has flowed in."""
    await flood(auth, 500, token=token)
    start = trio.current_time()
    for _ in range(3):
        await flood(auth, 50, token=token)
    assert trio.current_time() - start == pytest.approx(3 * bearer.MAX_WAIT_S)
    if token:
        assert tokens.asked == 650


async def test_a_good_token_of_the_same_address_is_late_and_never_refused(
    auth: BearerAuth, autojump_clock: MockClock
) -> None:
    await flood(auth, 500)
    assert await ask(auth, "good") == ("ann", bearer.MAX_WAIT_S)
    assert await ask(auth, "good") == ("ann", 0), "it has flowed in meanwhile"


async def test_others_pay_nothing(auth: BearerAuth, autojump_clock: MockClock) -> None:
    await flood(auth, 500, "2001:db8::1")
    for client in ("192.0.2.1", "2001:db8:0:1::1", ""):
        assert await ask(auth, "good", client) == ("ann", 0)
    assert (await ask(auth, "good", "2001:db8::2"))[1] > 0, "one customer has a whole /64"


async def test_only_refused_tokens_count(auth: BearerAuth, autojump_clock: MockClock) -> None:
    for _ in range(200):
        assert await ask(auth, "good") == ("ann", 0)
        assert await ask(auth, "away") == ("unavailable", 0), "the provider is to blame"


def test_a_limiter_without_a_rate_owes_nothing() -> None:
    limiter = Limiter(0, 1, lambda: 0)
    for _ in range(10):
        limiter.charge("a", 2.0)
    assert limiter.debt_s("a") == 0


def test_a_debt_is_bounded_and_flows_in() -> None:
    now = 0
    limiter = Limiter(10, 20, lambda: now)
    assert limiter.debt_s("a") == 0
    for _ in range(100):
        limiter.charge("a", 2.0)
    assert limiter.debt_s("a") == 2.0
    now = 1_500
    assert limiter.debt_s("a") == pytest.approx(0.5)
    now = 5_000
    assert limiter.debt_s("a") == 0
    assert limiter.debt_s("b") == 0


async def test_a_node_slows_bad_tokens_and_serves_good_ones(as_: As) -> None:
    bad, good = as_(None, token="a.b.c"), as_("ann")
    start = time.monotonic()
    for _ in range(bearer.REFUSED_BURST + 6):
        assert (await bad.get("/v1/me")).refusal == (401, "unauthorized")
    assert time.monotonic() - start > 0.4
    assert (await good.get("/v1/me")).status == 200
