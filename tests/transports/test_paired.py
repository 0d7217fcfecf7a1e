"""Sessions over requests and replies: bounds of a reply, polls, and the end of sessions whose peer does not ask."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from gochat.protocol.codec import LINE_JSON
from gochat.protocol.replies import Pong
from gochat.transports.outbox import WaitingBytes
from gochat.transports.paired import (
    EMPTY_S,
    MAX_ENDED,
    MAX_REQUESTS,
    REPLY_BYTES,
    PairedConnection,
    PairedOutbox,
    Pairs,
)
from tests.contracts.connection import Heard

SESSION_S = 60.0


def frame(number: int) -> bytes:
    return LINE_JSON.encode(Pong(id=number))


# ---------------------------------------------------------------------------------------------- the outbox


def outbox(limit: int = 1 << 30) -> PairedOutbox:
    return PairedOutbox(limit, WaitingBytes(), lambda: None)


@given(
    chunks=st.lists(st.lists(st.integers(1, 120_000), min_size=1, max_size=150), max_size=12),
    max_events=st.integers(1, 100),
    replies=st.lists(st.integers(1, 200_000), max_size=4),
)
async def test_a_reply_has_its_bounds_and_nothing_is_lost(
    chunks: list[list[int]], max_events: int, replies: list[int]
) -> None:
    box = outbox()
    sizes = [size for chunk in chunks for size in chunk]
    for chunk in chunks:
        box.put(b"".join(b"e" * (size - 1) + b"\n" for size in chunk))
    for size in replies:
        box.reply(b"r" * size + b"\n")
    found: list[int] = []
    while box.size:
        data = box.take_some(max_events)
        events = [line for line in data.splitlines(keepends=True) if not line.startswith(b"r")]
        assert len(events) <= max_events
        assert len(data) <= REPLY_BYTES or not events or len(events) == len(data.splitlines()) == 1
        assert data.startswith(b"r") == bool(replies), "replies come first, all of them, and once"
        replies = []
        found += map(len, events)
    assert found == sizes


async def test_the_last_reply_of_a_session_is_one_reply() -> None:
    waiting = WaitingBytes()
    box = PairedOutbox(1 << 20, waiting, lambda: None)
    for number in range(10):
        box.put(b"%d" % number * 60_000 + b"\n")
    box.reply(b"reply\n")
    box.trim()
    assert [line[:1] for line in box.take_some().splitlines()] == [b"r", b"6", b"7", b"8", b"9"]
    assert box.size == waiting.size == 0


async def test_more_than_half_full_is_told() -> None:
    told: list[int] = []
    box = PairedOutbox(100, WaitingBytes(), lambda: told.append(box.size))
    box.put(b"x" * 50)
    assert not told
    box.reply(b"x")
    assert told == [51]


# ---------------------------------------------------------------------------------------------- requests


class Here:
    """A peer."""

    address = "192.0.2.1"

    def __init__(self) -> None:
        self.proved = 0
        self.gone = False
        self.polls: set[trio.CancelScope] = set()

    def signed_in(self) -> None:
        self.proved += 1


class Session(Heard):
    """Says every frame back, and is signed in by the first."""

    connection: PairedConnection

    def receive(self, payload: bytes) -> None:
        super().receive(payload)
        if len(self.frames) == 1:
            self.connection.signed_in()
        self.connection.outbox.reply(payload + b"\n")


class House:
    def __init__(self, nursery: trio.Nursery) -> None:
        self.sessions: list[Session] = []
        self.here = Here()
        self.waiting = WaitingBytes()
        self.pairs = Pairs(
            "nng", self._accept, nursery.start_soon, session_s=SESSION_S, outbox_bytes=1 << 20, waiting=self.waiting
        )

    def _accept(self, connection: Any, *_: object) -> Session:
        self.sessions.append(Session(connection))
        return self.sessions[-1]

    async def ask(self, *frames: dict[str, Any], secret: str = "") -> list[dict[str, Any]]:
        if secret:
            frames = ({**frames[0], "session": secret}, *frames[1:])
        reply = await self.pairs.answer(b"\n".join(map(msgspec.json.encode, frames)), self.here)
        return [msgspec.json.decode(line) for line in reply.splitlines()]

    async def signed_in(self) -> tuple[PairedConnection, str]:
        await self.ask({"type": "hello"})
        connection = self.sessions[-1].connection
        return connection, connection.secret


@pytest.fixture
def house(nursery: trio.Nursery) -> House:
    return House(nursery)


async def test_a_request_is_answered_with_its_replies_and_the_events_that_wait(
    house: House, autojump_clock: MockClock
) -> None:
    connection, secret = await house.signed_in()
    connection.outbox.put(frame(7))
    told = await house.ask({"type": "a", "id": 1}, {"type": "b", "id": 2}, secret=secret)
    assert [each["id"] for each in told] == [1, 2, 7]
    assert house.here.proved == 1


async def test_a_poll_waits_for_an_event_or_its_time(
    house: House, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    connection, secret = await house.signed_in()
    began = trio.current_time()
    assert await house.ask({"type": "poll", "id": 5, "wait_ms": 4000}, secret=secret) == [{"type": "ok", "id": 5}]
    assert trio.current_time() - began == pytest.approx(4.0, abs=0.1)

    async def happen() -> None:
        await trio.sleep(2)
        for number in range(3):
            connection.outbox.try_send(frame(number))

    nursery.start_soon(happen)
    began = trio.current_time()
    told = await house.ask({"type": "poll", "wait_ms": 30_000, "max": 2}, secret=secret)
    assert [each["id"] for each in told] == [0, 1] and trio.current_time() - began == pytest.approx(2.0, abs=0.1)
    assert [each["id"] for each in await house.ask({"type": "poll"}, secret=secret)] == [2]


@pytest.mark.parametrize("fields", [{"wait_ms": 30_001}, {"wait_ms": -1}, {"max": 0}, {"max": 101}, {"wait_ms": "x"}])
async def test_a_poll_has_bounds(house: House, autojump_clock: MockClock, fields: dict[str, Any]) -> None:
    _, secret = await house.signed_in()
    (error,) = await house.ask({"type": "poll", "id": 3, **fields}, secret=secret)
    assert (error["code"], error["id"]) == ("bad_request", 3)
    assert next(iter(fields)) in error["message"]


async def test_a_malformed_poll_is_refused_alone(house: House, autojump_clock: MockClock) -> None:
    _, secret = await house.signed_in()
    told = await house.ask({"type": "a", "id": 3}, {"type": "poll", "id": 4, "wait_ms": 99_999}, secret=secret)
    assert [(each["id"], each.get("code")) for each in told] == [(3, None), (4, "bad_request")]
    assert house.sessions[0].frames[1:] == [{"type": "a", "id": 3, "session": secret}]


@pytest.mark.parametrize("own", ["poll", "bye"])
@pytest.mark.parametrize("bad", ["", 1 << 60, [1], {}])
async def test_what_is_wrong_with_the_id_of_a_poll_or_bye_is_told(
    house: House, autojump_clock: MockClock, own: str, bad: object
) -> None:
    _, secret = await house.signed_in()
    told = await house.ask({"type": "a", "id": 3}, {"type": own, "id": bad}, secret=secret)
    assert [(each.get("id"), each.get("code")) for each in told] == [(3, None), (None, "bad_request")]
    assert told[1]["message"].startswith("id:")
    assert house.sessions[0].calls == [], "a bye that is refused ends nothing"


@pytest.mark.parametrize("field", [{"id": ""}, {"id": 1 << 60}, {"id": [1]}, {"type": 5}])
async def test_a_session_says_what_is_wrong_with_the_frame_that_names_it(
    house: House, autojump_clock: MockClock, field: dict[str, Any]
) -> None:
    _, secret = await house.signed_in()
    (told,) = await house.ask({"type": "a", **field}, secret=secret)
    assert told == house.sessions[0].frames[1], "the session got it, which says it back"
    assert len(house.sessions) == 1


@pytest.mark.parametrize("own", ["poll", "bye"])
async def test_a_first_request_may_end_with_a_poll_or_bye(house: House, autojump_clock: MockClock, own: str) -> None:
    told = await house.ask({"type": "hello", "id": 1}, {"type": "a", "id": 2}, {"type": own, "id": 3})
    assert [each["id"] for each in told] == [1, 2, 3] and told[2]["type"] == "ok"
    await trio.testing.wait_all_tasks_blocked()
    (session,) = house.sessions
    assert [each["type"] for each in session.frames] == ["hello", "a"]
    assert session.calls == (["ended"] if own == "bye" else [])


async def test_a_poll_of_a_peer_that_goes_takes_no_events(
    house: House, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    connection, secret = await house.signed_in()
    told: list[Any] = []

    async def poll() -> None:
        told.append((await house.ask({"type": "poll", "wait_ms": 30_000}, secret=secret), trio.current_time()))

    nursery.start_soon(poll)
    await trio.sleep(1)
    began = trio.current_time()
    connection.outbox.try_send(frame(7))
    house.here.gone = True
    (waiting,) = house.here.polls
    waiting.cancel()
    await trio.sleep(1)
    assert told == [([], began)] and not house.here.polls
    house.here.gone = False
    assert [each["id"] for each in await house.ask({"type": "poll"}, secret=secret)] == [7]


async def test_another_request_ends_a_poll(house: House, autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    _, secret = await house.signed_in()
    polled: list[Any] = []

    async def poll() -> None:
        polled.append((await house.ask({"type": "poll", "wait_ms": 30_000}, secret=secret), trio.current_time()))

    nursery.start_soon(poll)
    await trio.sleep(1)
    began = trio.current_time()
    (told,) = await house.ask({"type": "a", "id": 1}, secret=secret)
    assert told["id"] == 1, "its replies are its own"
    assert polled[0][0] == [] and polled[0][1] - began < 0.1


async def test_a_session_makes_so_many_requests_at_a_time(
    house: House, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    connection, secret = await house.signed_in()
    async with connection._turn:
        for _ in range(MAX_REQUESTS):
            nursery.start_soon(lambda: house.ask({"type": "a"}, secret=secret))
        await trio.testing.wait_all_tasks_blocked()
        told = await house.ask({"type": "a", "id": 1}, {"type": "b", "id": 2}, secret=secret)
        assert [(each["id"], each["code"]) for each in told] == [(1, "busy"), (2, "busy")]
        told = await house.ask({"type": "a", "id": 1}, {"type": "poll", "id": 2}, secret=secret)
        assert [(each["id"], each["code"]) for each in told] == [(1, "busy"), (2, "busy")]


async def test_a_request_that_finds_nothing_takes_a_moment(house: House, autojump_clock: MockClock) -> None:
    _, secret = await house.signed_in()
    began = trio.current_time()
    for _ in range(10):
        assert await house.ask({"type": "poll"}, secret=secret) == []
    assert trio.current_time() - began == pytest.approx(10 * EMPTY_S)


async def test_a_crowded_session_carries_out_nothing_before_its_events_are_taken(
    house: House, autojump_clock: MockClock
) -> None:
    connection, secret = await house.signed_in()
    for number in range(10):
        connection.outbox.put(LINE_JSON.encode(Pong(id="x" * 60_000 + str(number))))
    told = await house.ask({"type": "a", "id": 1}, secret=secret)
    assert [each["id"][-1] if isinstance(each["id"], str) else each["id"] for each in told][:5] == [
        "0",
        "1",
        "2",
        "3",
        1,
    ]
    house.sessions[0].waiting = True
    told = await house.ask({"type": "b", "id": 2}, secret=secret)
    assert (told[-1]["id"], told[-1]["code"]) == (2, "busy")
    assert await house.ask({"type": "poll", "id": 3}, secret=secret) == [{"type": "ok", "id": 3}]
    (told,) = await house.ask({"type": "bye", "id": 4}, secret=secret)
    await trio.testing.wait_all_tasks_blocked()
    assert told == {"type": "ok", "id": 4} and house.sessions[0].calls[-1] == "ended"


# ---------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize("secret", ["x", "\u0000", "é"])
async def test_an_unknown_session_is_over(house: House, autojump_clock: MockClock, secret: str) -> None:
    (error,) = await house.ask({"type": "a", "id": 1}, secret=secret)
    assert (error["code"], error["close"], error["id"]) == ("unavailable", 4002, 1)


async def test_the_end_is_told_once_and_then_forgotten(house: House, autojump_clock: MockClock) -> None:
    connection, secret = await house.signed_in()
    connection.outbox.put(frame(4003))
    connection.finish(4003, "the token has ended")
    connection.outbox.put(frame(1))
    await trio.testing.wait_all_tasks_blocked()
    assert house.sessions[0].calls == ["ended"] and len(house.pairs) == 1
    assert [each["id"] for each in await house.ask({"type": "a"}, secret=secret)] == [4003]
    assert len(house.pairs) == 0 and house.waiting.size == 0
    assert (await house.ask({"type": "a"}, secret=secret))[0]["close"] == 4002


async def test_an_end_that_nobody_asks_for_is_forgotten_in_time(house: House, autojump_clock: MockClock) -> None:
    for number in range(MAX_ENDED + 3):
        connection, _ = await house.signed_in()
        connection.outbox.put(frame(number))
        connection.finish(4002, "no sign of life")
    await trio.testing.wait_all_tasks_blocked()
    assert len(house.pairs) == MAX_ENDED
    house.pairs.sweep()
    assert len(house.pairs) == MAX_ENDED
    await trio.sleep(SESSION_S + 1)
    house.pairs.sweep()
    assert len(house.pairs) == 0 and house.waiting.size == 0


async def test_the_end_comes_with_a_poll_that_is_under_way(
    house: House, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    connection, secret = await house.signed_in()

    async def end() -> None:
        await trio.sleep(1)
        connection.outbox.put(frame(4000))
        connection.finish(4000, "draining")

    nursery.start_soon(end)
    assert [each["id"] for each in await house.ask({"type": "poll", "wait_ms": 9000}, secret=secret)] == [4000]


async def test_a_peer_that_leaves_says_so(house: House, autojump_clock: MockClock) -> None:
    _, secret = await house.signed_in()
    assert await house.ask({"type": "bye", "id": 1}, secret=secret) == [{"type": "ok", "id": 1}]
    await trio.testing.wait_all_tasks_blocked()
    assert house.sessions[0].calls == ["ended"] and len(house.pairs) == 0


async def test_a_peer_that_waits_for_its_reply_is_heard(
    house: House, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    connection, secret = await house.signed_in()
    heard = connection.heard
    nursery.start_soon(lambda: house.ask({"type": "poll", "wait_ms": 20_000}, secret=secret))
    await trio.sleep(10)
    assert connection.heard == trio.current_time() > heard
    await trio.sleep(100)
    assert connection.heard < trio.current_time() - 80


async def test_secrets_are_long_and_differ(house: House, autojump_clock: MockClock) -> None:
    secrets = {(await house.signed_in())[1] for _ in range(20)}
    assert len(secrets) == 20 and all(len(secret) == 43 for secret in secrets)
