"""Several connections, one at each stream, are read as one would be."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from redis.exceptions import ResponseError

from gochat.cluster.link import ServerLink, connector
from gochat.cluster.ports import START, Element, Position
from gochat.cluster.stream_readings import StreamReadings
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.watched import until

A, B = "gc:{a}:log", "gc:{b}:log"


def connected(redis: RealServer) -> ServerLink:
    link = connector(redis.url, PATIENCE_S)()
    link.connect()
    return link


@pytest.fixture
def readings(redis: RealServer) -> Iterator[StreamReadings]:
    readings = StreamReadings(lambda keys: [connected(redis) for _ in keys])
    yield readings
    readings.close()


def add(redis: RealServer, key: str, position: Position, data: bytes) -> Element:
    redis.command("XADD", key, f"{position.term}-{position.n}", "e", data)
    return Element(position, data)


def wait_blocked(redis: RealServer, clients: int) -> None:
    until(lambda: b"blocked_clients:%d\r\n" % clients in redis.command("INFO", "clients"))


def test_streams_that_have_something_are_read(redis: RealServer, readings: StreamReadings) -> None:
    first, other = add(redis, A, Position(1, 1), b"first"), add(redis, B, Position(1, 1), b"other")
    second = add(redis, A, Position(1, 2), b"second")
    found: dict[bytes, list[Element]] = {}
    while len(found) < 2:
        found |= readings.read({A: START, B: START}, 10, PATIENCE_S)
    assert found == {A.encode(): [first, second], B.encode(): [other]}
    assert readings.read({A: Position(1, 1)}, 10, PATIENCE_S) == {A.encode(): [second]}
    assert readings.read({A: Position(1, 2)}, 10, 0.01) == {}


def test_a_stream_without_news_waits_on_and_is_asked_once(redis: RealServer, readings: StreamReadings) -> None:
    redis.command("CONFIG", "RESETSTAT")
    for n in range(1, 6):
        element = add(redis, A, Position(1, n), b"%d" % n)
        assert readings.read({A: Position(1, n - 1), B: START}, 10, PATIENCE_S) == {A.encode(): [element]}
    wait_blocked(redis, 1)
    asked = re.search(rb"cmdstat_xread:calls=(\d+)", redis.command("INFO", "commandstats"))
    assert asked is not None and int(asked[1]) <= 7, "five of the one, and one of the other"
    late = add(redis, B, Position(1, 1), b"late")
    assert readings.read({A: Position(1, 5), B: START}, 10, PATIENCE_S) == {B.encode(): [late]}


def test_elements_that_came_by_another_way_are_left_out(redis: RealServer, readings: StreamReadings) -> None:
    """A partition that was repaired meanwhile is further than the reading that waits."""
    assert readings.read({A: START}, 10, 0.01) == {}
    add(redis, A, Position(1, 1), b"old")
    new = add(redis, A, Position(1, 2), b"new")
    found: list[Element] = []
    while not found:
        found = readings.read({A: Position(1, 1)}, 10, PATIENCE_S).get(A.encode(), [])
    assert found == [new]


def test_a_reply_does_not_outlive_the_wish_for_it(redis: RealServer, readings: StreamReadings) -> None:
    """It was given before the stream was lost and put back without its last entry."""
    other = add(redis, A, Position(1, 1), b"other")
    assert readings.read({A: START, B: START}, 10, PATIENCE_S) == {A.encode(): [other]}
    wait_blocked(redis, 1)
    add(redis, B, Position(1, 1), b"lost")
    wait_blocked(redis, 0)
    redis.command("DEL", B)
    kept = add(redis, B, Position(2, 1), b"kept")
    assert readings.read({A: START}, 10, PATIENCE_S) == {A.encode(): [other]}
    assert readings.read({B: START}, 10, PATIENCE_S) == {B.encode(): [kept]}


class Scripted:
    """A link, of which the test says what comes, and when."""

    timeout_s, is_spent = PATIENCE_S, False

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._replies: list[list[Element]] = []

    def fileno(self) -> int:
        return self._ours.fileno()

    def request_streams(self, after: object, limit: int, wait_s: object) -> None:
        """The reply is given by `reply`."""

    def reply(self, count: int, *, first: int = 1) -> list[Element]:
        elements = [Element(Position(1, n), b"x") for n in range(first, first + count)]
        self._replies.append(elements)
        self._theirs.send(b"x")
        return elements

    def receive_streams(self, timeout_s: float) -> dict[bytes, list[Element]]:
        self._ours.recv(1)
        return {b"": self._replies.pop(0)}

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


def test_a_stream_that_had_more_than_was_asked_for_is_not_forgotten_for_others() -> None:
    links = {A: Scripted(), B: Scripted()}
    readings = StreamReadings(lambda keys: [links[key] for key in keys])  # type: ignore[misc]
    first = links[A].reply(2)
    assert readings.read({A: START, B: START}, 2, PATIENCE_S) == {A.encode(): first}
    other = links[B].reply(1)
    assert readings.read({A: first[-1].position, B: START}, 2, PATIENCE_S) == {B.encode(): other}
    leaves_more = [readings.leaves_more]
    links[A].reply(0)
    assert readings.read({A: first[-1].position, B: other[-1].position}, 2, 0.01) == {}
    leaves_more.append(readings.leaves_more)
    assert leaves_more == [True, False], "the reply for the rest of A was on its way, and brought nothing"
    readings.close()


def test_a_reading_is_cut_short_by_what_was_asked_when_it_began() -> None:
    links = {A: Scripted()}
    readings = StreamReadings(lambda keys: [links[key] for key in keys])  # type: ignore[misc]
    assert readings.read({A: START}, 2, 0.01) == {}
    links[A].reply(2)
    assert readings.read({A: START}, 4, PATIENCE_S)
    assert readings.leaves_more
    readings.close()


def test_a_connection_that_takes_long_leaves_time_to_wait(redis: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("gochat.cluster.stream_readings.monotonic", lambda: clock[0])

    def connect(keys: Sequence[str]) -> list[ServerLink]:
        clock[0] += PATIENCE_S
        return [connected(redis) for _ in keys]

    def add_later() -> None:
        wait_blocked(redis, 1)
        add(redis, A, Position(1, 1), b"late")

    readings = StreamReadings(connect)
    thread = threading.Thread(target=add_later)
    thread.start()
    found = readings.read({A: START}, 10, PATIENCE_S)
    thread.join()
    assert found == {A.encode(): [Element(Position(1, 1), b"late")]}
    readings.close()


def test_an_error_of_one_is_an_error_of_all(redis: RealServer, readings: StreamReadings) -> None:
    redis.command("SET", B, "no stream")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        readings.read({A: START, B: START}, 10, PATIENCE_S)


def test_a_server_that_is_silent_is_an_error(
    redis: RealServer, readings: StreamReadings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.monotonic()]
    monkeypatch.setattr("gochat.cluster.stream_readings.monotonic", lambda: clock[0])
    assert readings.read({A: START}, 10, 0.0) == {}
    redis.pause()
    try:
        clock[0] += PATIENCE_S
        assert readings.read({A: START}, 10, 0.0) == {}, "it has time yet"
        clock[0] += 1
        with pytest.raises(TimeoutError):
            readings.read({A: START}, 10, 0.0)
    finally:
        redis.resume()


def test_a_reading_that_is_broken_off_ends(redis: RealServer) -> None:
    links: list[ServerLink] = []

    def connect(keys: Sequence[str]) -> list[ServerLink]:
        links.extend(connected(redis) for _ in keys)
        return links

    readings = StreamReadings(connect)

    def interrupt() -> None:
        wait_blocked(redis, 2)
        links[1].interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    with pytest.raises(ConnectionError):
        readings.read({A: START, B: START}, 10, PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S
    thread.join()
    readings.close()
