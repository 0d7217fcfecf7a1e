"""The poller: who has something to read is called, until they have enough."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio
import trio.testing

from gochat.transports.poller import SLICE, Poller
from tests.waiting import until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        yield near, far


@pytest.fixture(params=[True, False], ids=["epoll", "without"])
async def poller(request: pytest.FixtureRequest) -> AsyncIterator[Poller]:
    poller = Poller(epoll=request.param)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            yield poller
            nursery.cancel_scope.cancel()


class Calling:
    """A source that a function is."""

    def __init__(self, ready: Callable[[float], bool]) -> None:
        self.ready = ready


class Reader:
    """Reads what comes, as long as there is less than `most`."""

    def __init__(self, handle: socket.socket, most: int) -> None:
        self.handle = handle
        self.most = most
        self.got = b""
        self.calls = 0
        self.ended = False
        self.at = -1.0

    def ready(self, now: float) -> bool:
        self.calls += 1
        self.at = now
        data = self.handle.recv(4)
        self.got += data
        self.ended = not data
        return self.ended or len(self.got) >= self.most


async def test_called_until_it_is_enough(poller: Poller, pair: Pair) -> None:
    near, far = pair
    reader = Reader(near, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.watch, near, reader)
        await trio.testing.wait_all_tasks_blocked()
        assert reader.calls == 0
        far.send(b"abcdefg")  # Two readings: what is left is told again.
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert reader.got == b"abcdefg"
        assert 0 <= trio.current_time() - reader.at < 5
        far.send(b"hijklm")
    assert (reader.got, reader.calls) == (b"abcdefghijk", 3)
    await poller.watch(near, reader)  # The bytes that were left then are told to the next watch.
    assert reader.got == b"abcdefghijklm"
    assert not len(poller)


async def test_an_idle_socket_costs_no_call(poller: Poller, pair: Pair) -> None:
    near, _ = pair
    reader = Reader(near, 1)
    other, end = socket.socketpair()
    with other, end:
        other.setblocking(False)
        busy = Reader(other, 1000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.watch, near, reader)
            nursery.start_soon(poller.watch, other, busy)
            end.send(bytes(1000))
            await until(lambda: len(busy.got) >= 1000)
            assert reader.calls == 0
            nursery.cancel_scope.cancel()


async def test_the_end_is_told(poller: Poller, pair: Pair) -> None:
    near, far = pair
    far.close()
    reader = Reader(near, 1)
    await poller.watch(near, reader)
    assert reader.ended


async def test_what_it_raises_is_raised_to_who_watches(poller: Poller, pair: Pair) -> None:
    near, far = pair
    far.send(b"x")

    def crash(now: float) -> bool:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        await poller.watch(near, Calling(crash))
    reader = Reader(near, 1)
    await poller.watch(near, reader)
    assert reader.got == b"x"


async def test_cancelled_it_is_called_no_more(poller: Poller, pair: Pair) -> None:
    near, far = pair
    reader = Reader(near, 1)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.watch, near, reader)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    far.send(b"x")
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert reader.calls == 0
    assert not len(poller)


async def test_one_that_ends_another_in_the_same_round(pair: Pair) -> None:
    poller = Poller()
    near, far = pair
    other, end = socket.socketpair()
    ended: list[socket.socket] = []
    scopes = {near: trio.CancelScope(), other: trio.CancelScope()}

    async def watch(mine: socket.socket, theirs: socket.socket) -> None:
        def ready(now: float) -> bool:
            ended.append(mine)
            scopes[theirs].cancel()
            return True

        with scopes[mine]:
            await poller.watch(mine, Calling(ready))

    with other, end, trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, near, other)
            nursery.start_soon(watch, other, near)
            await trio.testing.wait_all_tasks_blocked()
            far.send(b"x")
            end.send(b"x")
            async with trio.open_nursery() as inner:
                inner.start_soon(poller.run)
                while len(poller):
                    await trio.lowlevel.checkpoint()
                inner.cancel_scope.cancel()
    assert len(ended) == 1


async def test_others_get_a_turn_between_slices() -> None:
    """However many have something to read."""
    poller = Poller()
    pairs = [socket.socketpair() for _ in range(2 * SLICE + 1)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    before: list[int] = []
    async with trio.open_nursery() as nursery:
        for near, far in pairs:
            near.setblocking(False)
            far.send(b"x")

            def ready(now: float, near: socket.socket = near) -> bool:
                before.append(turns)
                return bool(near.recv(1))

            nursery.start_soon(poller.watch, near, Calling(ready))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(poller.run)
        nursery.start_soon(count)
        await until(lambda: len(before) >= len(pairs))
        nursery.cancel_scope.cancel()
    for near, far in pairs:
        near.close()
        far.close()
    assert max(before) > min(before)
