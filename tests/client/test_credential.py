"""Signing in with a function that gives tokens: a new one for each connection, and one before the old one ends."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from gochat.client import TokenSource, Unreachable, connect
from gochat.client.credential import obtain, refresh_in_s
from gochat.client.errors import ClientError
from gochat.errors import TOKEN_ENDED
from gochat.node import Node
from tests.client.conftest import url
from tests.client.peer import Peer, Visit
from tests.tokens import issue


def jwt(iat: Any, exp: Any) -> str:
    """A token of the form that JWTs have; nobody looks at more of it here."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps({'iat': iat, 'exp': exp}).encode()).decode().rstrip('=')}.c2ln"


def fresh(lifetime_s: int) -> str:
    now = int(time.time())
    return jwt(now, now + lifetime_s)


@pytest.mark.parametrize(("lifetime_s", "due_s"), [(300, 240), (43_200, 43_140), (120, 60), (60, 30), (8, 5), (1, 5)])
def test_a_token_is_replaced_a_minute_before_it_ends(lifetime_s: int, due_s: float) -> None:
    found = refresh_in_s(fresh(lifetime_s))
    assert found is not None
    assert due_s - 2 < found <= due_s or found == 5.0 == due_s


@pytest.mark.parametrize("off_s", [-1_000_000, -400, 400, 1_000_000])
def test_a_clock_that_is_far_off_is_not_believed(off_s: int) -> None:
    now = int(time.time()) + off_s
    assert refresh_in_s(jwt(now, now + 300)) == 240


@pytest.mark.parametrize(
    "token", ["opaque", "", "a.b.c", "a..c", jwt("x", 1), jwt(1, None), "e30.e30.e30", "a.\ud800.c"]
)
def test_a_token_that_does_not_tell_when_it_ends_is_not_replaced(token: str) -> None:
    assert refresh_in_s(token) is None


async def test_a_function_may_be_plain_or_async() -> None:
    async def later() -> str:
        await trio.lowlevel.checkpoint()
        return "two"

    assert [await obtain(source) for source in ("one", lambda: "one", later)] == ["one", "one", "two"]
    for none in "", None, lambda: "":
        with pytest.raises(ClientError, match="there is no token"):
            await obtain(none)  # type: ignore[arg-type]  # what programs pass where the environment has none
    for bad in "a b", "a\nb", "é":
        with pytest.raises(ClientError, match="no token has"):
            await obtain(lambda bad=bad: bad)  # type: ignore[misc]


async def test_each_connection_has_a_new_token(peer: Peer, nursery: trio.Nursery) -> None:
    tokens = (f"t{number}" for number in range(9))

    async def use() -> None:
        async with connect(peer.url, token=lambda: next(tokens)):
            await trio.sleep_forever()

    nursery.start_soon(use)
    for number in range(3):
        visit = await peer.visit()
        assert (await visit.welcome())["token"] == f"t{number}"
        await visit.close()
    nursery.cancel_scope.cancel()


async def next_frame(visit: Visit) -> dict[str, Any]:
    """As `visit.receive`, without a bound on how long that takes."""
    frame: dict[str, Any] = json.loads(await visit.stream.receive_some())
    return frame


async def test_a_live_session_is_refreshed(
    autojump_clock: trio.testing.MockClock, peer: Peer, nursery: trio.Nursery
) -> None:
    # Time jumps only when nothing has moved for a moment: what is on its way between two sockets comes first.
    autojump_clock.autojump_threshold = 0.05
    made: list[str] = []

    async def sign() -> str:
        if len(made) == 2 and not failed.is_set():
            failed.set()
            raise OSError("the service is away")
        made.append(fresh(300 + len(made)))
        return made[-1]

    async def use() -> None:
        async with connect(peer.url, token=sign):
            await trio.sleep_forever()

    failed = trio.Event()
    nursery.start_soon(use)
    visit = await peer.visit()
    assert (await visit.welcome(heartbeat_s=100_000))["token"] == made[0]
    began = trio.current_time()
    asked = await next_frame(visit)
    assert (asked["type"], asked["token"]) == ("refresh", made[1])
    assert 238 < trio.current_time() - began < 242
    await visit.refuse(asked, "busy", temporary=True, retry_after_ms=2_000)
    asked = await next_frame(visit)
    assert failed.is_set(), "it could not sign, and tried again"
    assert (asked["type"], asked["token"]) == ("refresh", made[2])
    assert 243 < trio.current_time() - began < 255
    await visit.reply(asked, "ok")
    asked = await next_frame(visit)
    assert (asked["type"], asked["token"]) == ("refresh", made[3])
    assert 480 < trio.current_time() - began < 500
    await visit.refuse(asked, "unauthorized")
    with trio.move_on_after(5_000) as waited:
        await next_frame(visit)
    assert waited.cancelled_caught, "refused for good, it is not asked again"
    nursery.cancel_scope.cancel()


async def test_a_function_that_fails_for_now_is_asked_again(peer: Peer, nursery: trio.Nursery) -> None:
    answers: Iterator[Any] = iter(["t0", OSError("away"), Unreachable("away"), "t1", ValueError("a fault")])

    def sign() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def listen(source: TokenSource) -> None:
        async with connect(peer.url, token=source) as chat:
            async for _ in chat:
                pass

    async def talk() -> None:
        for token in "t0", "t1":
            visit = await peer.visit()
            assert (await visit.welcome())["token"] == token
            await visit.close()

    with trio.fail_after(60):
        nursery.start_soon(talk)
        with pytest.raises(ValueError, match="a fault"):
            await listen(sign)


async def test_the_first_token_must_be_had(peer: Peer) -> None:
    def fail() -> str:
        raise KeyError("no such user")

    with pytest.raises(KeyError):
        async with connect(peer.url, token=fail):
            pytest.fail("there is no token")


@pytest.mark.parametrize("transport", ["ws", "tcp", "nng"])
async def test_a_session_whose_token_has_ended_comes_back_with_a_new_one(node: Node, transport: str) -> None:
    seen: list[str] = []

    def sign() -> str:
        seen.append(issue(node, "ann"))
        return seen[-1]

    with trio.fail_after(60):
        async with connect(url(node, transport), token=sign) as chat:
            await chat.refresh(issue(node, "ann"))
            for session in list(node.gateway.sessions.values()):
                session.close(TOKEN_ENDED, "the token has ended")
            assert (await chat.send("user:ann", "still here")).seq == 1
    assert len(set(seen)) == 2
