"""The suite of `connections.Connection`: bytes come whole, in order and in bounds, and an end is told to both sides.

Given: a fixture `wire` with a connection that is being served, the session that hears it (`Heard`), and its peer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import trio
import trio.testing

from gochat.connections import Connection
from gochat.protocol.codec import Codec
from gochat.protocol.replies import Error, Pong
from gochat.transports.outbox import WaitingBytes

SOON = 60.0
OUTBOX_BYTES, FRAME_BYTES = 64 * 1024, 1024


class Heard:
    """A session that keeps what it is told; with `pauses` it has to be let go on after each frame."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.burst_left = 0
        self.waiting = False
        self.frames: list[Any] = []
        self.calls: list[str] = []
        self.pauses = False
        self.last_words: bytes | None = None
        """To be said when everything is answered."""
        self.go_on = trio.Event()
        self.over = trio.Event()

    def receive(self, payload: bytes) -> None:
        assert self.burst_left > 0
        self.frames.append(msgspec.json.decode(payload))
        self.waiting = self.pauses

    async def wait_readable(self) -> None:
        await self.go_on.wait()
        self.go_on, self.waiting = trio.Event(), False

    async def wait_settled(self) -> None:
        """Nothing that it receives takes time."""

    def wake(self) -> None:
        self.calls.append("wake")

    async def wait_answered(self) -> None:
        self.calls.append("answered")
        if self.last_words is not None:
            self.connection.outbox.put(self.last_words)
            self.connection.outbox.flush()

    def too_large(self) -> None:
        self.calls.append("too_large")
        self.connection.finish(4504, "too large")

    def invalid_text(self) -> None:
        self.calls.append("invalid_text")
        self.connection.finish(1007, "no UTF-8")

    def violated(self, problem: str) -> None:
        self.calls.append("violated")
        self.connection.finish(4501, "violated")

    def ended(self) -> None:
        if self.calls[-1:] != ["ended"]:
            self.calls.append("ended")
        self.over.set()


class Peer(Protocol):
    """The other end. It reads nothing but in `receive`."""

    pinged: int
    """Pings that have come so far."""
    close_code: int | None
    """How the transport itself said that it was closed."""

    async def send(self, payload: bytes) -> None:
        """One frame."""

    async def receive(self) -> Any:
        """The next frame, decoded; None at the end."""

    async def stop_sending(self) -> None:
        """Say that nothing more comes; be able to receive all the same, if the transport has a way."""

    async def leave(self) -> None:
        """Be gone without a word."""


class Wire:
    """The parts that a suite is given."""

    half_closes = True
    """Whether a peer that has stopped sending can still receive."""

    def __init__(self, connection: Connection, codec: Codec, peer: Peer, waiting: WaitingBytes, session: Heard) -> None:
        self.connection = connection
        self.codec = codec
        self.peer = peer
        self.waiting = waiting
        """Counts for the connection's outbox, and for no other."""
        self.session = session

    def frame(self, number: int) -> bytes:
        return self.codec.encode(Pong(id=number))

    def large_frame(self, number: int = 0) -> bytes:
        return self.codec.encode(Error(id=number, code="internal", message="x" * 4000, temporary=False))

    def fill(self) -> int:
        """Send until nothing more is taken; how many frames were."""
        count = 0
        while self.connection.outbox.try_send(self.large_frame(count)):
            count += 1
            assert count < 10_000
        return count

    async def until(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(SOON):
            while not condition():
                await trio.testing.wait_all_tasks_blocked(0.001)

    async def received(self, count: int) -> list[int]:
        """The numbers of the next frames that the peer gets."""
        with trio.fail_after(SOON):
            return [(await self.peer.receive())["id"] for _ in range(count)]

    async def at_the_end(self) -> list[int]:
        """The numbers of all further frames, up to the end."""
        numbers = []
        with trio.fail_after(SOON):
            while (frame := await self.peer.receive()) is not None:
                numbers.append(frame["id"])
        return numbers


class ConnectionContract:
    # ------------------------------------------------------------------------------------------ in

    async def test_frames_come_in_whole_and_in_order(self, wire: Wire) -> None:
        for number in range(300):
            await wire.peer.send(b'{"n":%d}' % number)
        await wire.until(lambda: len(wire.session.frames) == 300)
        assert [frame["n"] for frame in wire.session.frames] == list(range(300))

    async def test_nothing_is_read_for_a_session_that_waits(self, wire: Wire) -> None:
        wire.session.pauses = True
        await wire.peer.send(b'{"n":1}')
        await wire.until(lambda: wire.session.waiting)
        await wire.peer.send(b'{"n":2}')
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert wire.session.frames == [{"n": 1}]
        wire.session.go_on.set()
        await wire.until(lambda: len(wire.session.frames) == 2)

    async def test_a_frame_over_the_limit_is_told_to_the_session(self, wire: Wire) -> None:
        await wire.peer.send(b'{"n":"%s"}' % (b"x" * FRAME_BYTES))
        await wire.until(lambda: wire.session.over.is_set())
        assert wire.session.calls == ["too_large", "ended"]
        assert wire.session.frames == []

    async def test_what_comes_is_a_sign_of_life(self, wire: Wire) -> None:
        before = wire.connection.heard
        await wire.until(lambda: trio.current_time() > before)
        await wire.peer.send(b'{"n":1}')
        await wire.until(lambda: wire.session.frames)
        assert before < wire.connection.heard <= trio.current_time()

    async def test_a_peer_that_can_be_pinged_is(self, wire: Wire) -> None:
        wire.connection.ping(wire.codec)
        wire.connection.outbox.try_send(wire.frame(1))
        assert await wire.received(1) == [1]
        assert wire.peer.pinged == (wire.connection.max_silence_s is None)

    # ------------------------------------------------------------------------------------------ out

    async def test_frames_go_out_whole_and_in_order_however_they_are_sent(self, wire: Wire) -> None:
        outbox = wire.connection.outbox
        ways = (outbox.try_send, outbox.offer, outbox.put)
        for number in range(99):
            assert ways[number % 3](wire.frame(number)) in (True, None)
        outbox.flush()
        assert await wire.received(99) == list(range(99))
        assert outbox.size == 0

    async def test_replies_come_in_order(self, wire: Wire) -> None:
        for number in range(20):
            wire.connection.outbox.reply(wire.frame(number))
        wire.connection.outbox.flush()
        assert await wire.received(20) == list(range(20))

    async def test_what_is_only_queued_does_not_leave(self, wire: Wire) -> None:
        outbox = wire.connection.outbox
        outbox.put(wire.frame(1))
        assert outbox.size == len(wire.frame(1))
        assert outbox.offer(wire.frame(2))
        outbox.flush()
        assert await wire.received(2) == [1, 2]

    async def test_a_full_outbox_takes_nothing_and_says_when_there_is_space(self, wire: Wire) -> None:
        outbox = wire.connection.outbox
        sizes: list[int] = []
        outbox.when_space(lambda: sizes.append(outbox.size))
        count = wire.fill()
        size = outbox.size
        assert outbox.writing and OUTBOX_BYTES // 2 < size <= OUTBOX_BYTES
        assert not outbox.try_send(wire.large_frame()) and not outbox.offer(wire.large_frame())
        assert outbox.size == size and sizes == []
        assert await wire.received(count) == list(range(count))
        await wire.until(lambda: outbox.size == 0)
        assert sizes and max(sizes) * 2 <= outbox.limit
        assert not outbox.writing
        assert outbox.try_send(wire.frame(7)) and await wire.received(1) == [7]

    async def test_what_must_arrive_is_taken_whatever_the_limit(self, wire: Wire) -> None:
        count = wire.fill()
        size = wire.connection.outbox.size
        wire.connection.outbox.put(wire.large_frame(1_001))
        wire.connection.outbox.reply(wire.large_frame(1_002))
        assert wire.connection.outbox.size == size + len(wire.large_frame(1_001)) + len(wire.large_frame(1_002))
        assert await wire.received(count + 2) == [*range(count), 1_001, 1_002]

    async def test_it_says_when_a_peer_stops_reading_and_when_it_last_read(self, wire: Wire) -> None:
        outbox = wire.connection.outbox
        blocked: list[float] = []
        outbox.when_blocked(lambda: blocked.append(trio.current_time()))
        count = wire.fill()
        assert len(blocked) == 1 and outbox.progress_at <= blocked[0]
        stood_still_at = outbox.progress_at
        await wire.until(lambda: trio.current_time() > blocked[0])
        await wire.received(count)
        await wire.until(lambda: outbox.size == 0)
        assert outbox.progress_at > stood_still_at

    async def test_what_waits_is_counted_among_all_that_waits(self, wire: Wire) -> None:
        assert wire.waiting.size == 0
        count = wire.fill()
        assert wire.waiting.size == wire.connection.outbox.size > 0
        wire.connection.outbox.put(wire.frame(1_000))
        assert wire.waiting.size == wire.connection.outbox.size
        await wire.received(count + 1)
        await wire.until(lambda: wire.connection.outbox.size == 0)
        assert wire.waiting.size == 0
        wire.fill()
        wire.connection.abort()
        assert wire.waiting.size == wire.connection.outbox.size == 0

    # ------------------------------------------------------------------------------------------ the end

    async def test_a_close_in_order_comes_behind_what_waits(self, wire: Wire) -> None:
        count = wire.fill()
        wire.connection.finish(4003, "the token has ended")
        wire.connection.finish(4002, "too late")
        assert await wire.at_the_end() == list(range(count))
        assert wire.connection.closing == (4003, "the token has ended")
        assert wire.peer.close_code == (4003 if wire.connection.tells_close else None)
        await wire.until(lambda: wire.session.over.is_set())
        assert wire.session.calls[-1] == "ended"

    async def test_what_comes_after_a_close_is_not_carried_out(self, wire: Wire) -> None:
        wire.connection.finish(4003, "the token has ended")
        await wire.until(lambda: wire.session.over.is_set())
        assert wire.session.calls == ["ended"]

    async def test_an_abort_drops_what_waits(self, wire: Wire) -> None:
        outbox = wire.connection.outbox
        spaces: list[bool] = []
        outbox.when_space(lambda: spaces.append(outbox.broken))
        count = wire.fill()
        wire.connection.abort()
        wire.connection.abort()
        assert outbox.broken and outbox.size == 0 and wire.connection.closing is not None
        assert spaces == [True], "nobody waits for the space of a peer that is gone"
        assert outbox.try_send(wire.frame(1)), "a peer that is gone does not lag"
        outbox.put(wire.frame(2))
        outbox.reply(wire.frame(3))
        assert outbox.size == 0
        await wire.until(lambda: wire.session.over.is_set())
        assert len(await wire.at_the_end()) < count
        assert wire.session.calls == ["ended"]

    async def test_a_peer_that_leaves_ends_the_session(self, wire: Wire) -> None:
        await wire.peer.send(b'{"n":1}')
        await wire.until(lambda: wire.session.frames)
        await wire.peer.leave()
        await wire.until(lambda: wire.session.over.is_set())
        assert wire.session.calls[-1] == "ended"
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert wire.session.calls.count("ended") == 1
        wire.connection.abort()
        wire.connection.finish(4003, "nobody is there")

    async def test_a_peer_that_stops_sending_is_answered(self, wire: Wire) -> None:
        wire.session.last_words = wire.frame(9)
        await wire.peer.send(b'{"n":1}')
        await wire.peer.stop_sending()
        if wire.half_closes:
            assert await wire.at_the_end() == [9]
        await wire.until(lambda: wire.session.over.is_set())
        assert wire.session.frames == [{"n": 1}]
        assert wire.session.calls == ["answered", "ended"]

    async def test_signing_in_may_be_told_again(self, wire: Wire) -> None:
        wire.connection.signed_in()
        wire.connection.signed_in()
        await wire.peer.send(b'{"n":1}')
        await wire.until(lambda: wire.session.frames)
