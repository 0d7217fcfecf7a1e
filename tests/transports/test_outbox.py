"""The outbox over real socket pairs: order, bounds, and no task while nothing waits."""

from __future__ import annotations

import random
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest
import trio
import trio.testing

from gochat.transports.outbox import WRITE_BYTES, Outbox, WaitingBytes
from tests.waiting import until

BUFFER = 8 * 1024


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    with ours, theirs:
        yield ours, theirs


class Spawned:
    """Starts writers in a nursery and counts them."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.count = 0

    def __call__(self, task: Callable[[], Awaitable[None]]) -> None:
        self.count += 1
        self._nursery.start_soon(task)


async def read(end: socket.socket, count: int) -> bytes:
    data = b""
    with trio.fail_after(60):
        while len(data) < count:
            await trio.lowlevel.wait_readable(end)
            data += end.recv(4096)
    return data


def make(ours: socket.socket, nursery: trio.Nursery, limit: int = 1 << 20) -> tuple[Outbox, Spawned]:
    spawned = Spawned(nursery)
    stream = trio.testing.memory_stream_pair()[0]
    return Outbox(limit, spawned, socket=ours, stream=stream), spawned


def fill(outbox: Outbox) -> None:
    """Until the kernel takes no more."""
    while not outbox.writing:
        outbox.try_send(b"x" * 4096)


async def test_what_the_kernel_takes_needs_no_task(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    outbox, spawned = make(pair[0], nursery)
    assert outbox.try_send(b"one")
    outbox.put(b"two")
    outbox.put(b"three")
    assert outbox.size == 8
    assert outbox.try_send(b"four"), "what was put goes before what is pushed"
    assert await read(pair[1], 15) == b"onetwothreefour"
    assert (outbox.size, outbox.sent, spawned.count) == (0, 15, 0)


async def test_what_the_kernel_does_not_take_waits_in_order(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    outbox, spawned = make(pair[0], nursery)
    chunks = [bytes([number]) * random.Random(number).randint(1, 5000) for number in range(100)]
    for number, chunk in enumerate(chunks):
        if number % 3:
            assert outbox.try_send(chunk)
        else:
            outbox.put(chunk)
            outbox.flush()
    assert outbox.size > 0
    whole = b"".join(chunks)
    assert await read(pair[1], len(whole)) == whole
    with trio.fail_after(60):
        await outbox.flushed()
    assert (outbox.size, outbox.sent) == (0, len(whole))
    assert spawned.count == 1


async def test_full_takes_nothing(pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery) -> None:
    outbox, _ = make(pair[0], nursery, limit=20_000)
    space: list[int] = []
    outbox.when_space(lambda: space.append(outbox.size))
    taken = b""
    frame = 0
    while outbox.try_send(data := bytes([frame % 256]) * 1000):
        taken += data
        frame += 1
    assert outbox.size <= 20_000
    refused = outbox.size
    assert not outbox.try_send(b"x" * 1000) and outbox.size == refused
    outbox.put(b"reply")
    assert outbox.size == refused + 5, "a reply is queued all the same"
    assert not space
    assert await read(pair[1], len(taken) + 5) == taken + b"reply"
    with trio.fail_after(60):
        await outbox.flushed()
    assert space and max(space) <= 10_000, "told when half is free"
    assert outbox.try_send(b"again")


async def test_what_is_offered_waits_and_leaves_with_what_comes_next(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    outbox, spawned = make(pair[0], nursery, limit=10)
    assert outbox.offer(b"one")
    assert (outbox.size, outbox.sent, outbox.writing) == (3, 0, False)
    assert outbox.offer(b"two") and outbox.offer(b"four")
    assert (outbox.size, outbox.sent) == (10, 0)
    outbox.flush()
    assert (outbox.size, outbox.sent) == (0, 10)
    assert outbox.offer(b"more than the limit"), "the first is taken, whatever its size"
    outbox.put(b"reply")
    with trio.fail_after(60):
        await outbox.flushed()
    assert await read(pair[1], outbox.sent) == b"onetwofourmore than the limitreply"
    assert spawned.count == 0


async def test_full_is_only_who_lets_the_kernel_be_full(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    outbox, _ = make(pair[0], nursery, limit=10)
    assert outbox.offer(b"0123456789")
    assert outbox.offer(b"x"), "what merely waited has left"
    assert (outbox.size, outbox.sent) == (1, 10)
    assert outbox.try_send(b"0123456789")
    assert (outbox.size, outbox.sent) == (0, 21)
    fill(outbox)
    assert not outbox.offer(b"x") and not outbox.try_send(b"x"), "now it is"


async def test_what_is_offered_while_a_writer_ends_keeps_nobody_waiting(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    """A task that waits for all to leave does not wait for a second writer that never comes."""
    outbox, spawned = make(pair[0], nursery)
    fill(outbox)

    async def offer() -> None:
        await until(lambda: not outbox.size)
        outbox.offer(b"fact")
        await trio.lowlevel.checkpoint()
        outbox.flush()

    nursery.start_soon(offer)
    nursery.start_soon(read, pair[1], outbox.sent + outbox.size + 4)
    with trio.fail_after(60):
        await outbox.flushed()
    assert (outbox.size, spawned.count) == (0, 1)


async def test_nothing_follows_a_frame_that_was_cut_off(pair: tuple[socket.socket, socket.socket]) -> None:
    async with trio.open_nursery() as nursery:
        outbox, _ = make(pair[0], nursery)
        fill(outbox)
        await trio.testing.wait_all_tasks_blocked()
        outbox.offer(b"more")
        nursery.cancel_scope.cancel()
    sent = outbox.sent
    with trio.fail_after(60):
        await outbox.flushed()
    assert outbox.broken
    assert len(await read(pair[1], sent)) == sent
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)


async def test_who_waits_for_space_is_told_by_what_is_flushed(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    outbox, _ = make(pair[0], nursery, limit=10)
    space: list[int] = []
    outbox.when_space(lambda: space.append(outbox.size))
    outbox.offer(b"five!")
    outbox.flush()
    assert not space, "it was never over half full"
    outbox.offer(b"sixsix")
    outbox.flush()
    assert space == [0]
    outbox.offer(b"sixsix")
    assert outbox.try_send(b"four")
    assert space == [0, 0]


async def test_a_broken_peer_costs_nothing_more(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    outbox, _ = make(pair[0], nursery)
    fill(outbox)
    pair[1].close()
    with trio.fail_after(60):
        await outbox.flushed()
    assert outbox.broken
    assert outbox.try_send(b"more"), "who is gone does not lag"
    outbox.put(b"more")
    assert outbox.size == 0


async def test_discarding_wakes_who_waits(pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery) -> None:
    outbox, _ = make(pair[0], nursery)
    fill(outbox)
    with trio.fail_after(60):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(outbox.flushed)
            await trio.testing.wait_all_tasks_blocked()
            outbox.discard()
    nursery.cancel_scope.cancel()


async def test_through_a_stream_that_is_no_socket(nursery: trio.Nursery) -> None:
    near, far = trio.testing.memory_stream_pair()
    outbox = Outbox(1 << 20, Spawned(nursery), socket=None, stream=near)
    outbox.try_send(b"one")
    outbox.put(b"two")
    outbox.flush()
    outbox.try_send(b"three")
    data = b""
    with trio.fail_after(60):
        while len(data) < 11:
            data += await far.receive_some()
    assert data == b"onetwothree"


async def test_through_a_stream_much_leaves_in_pieces_and_each_is_progress(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A slow line is not one that stands still."""
    pieces: list[tuple[float, int]] = []

    class Slow:
        async def send_all(self, data: bytes) -> None:
            await trio.sleep(10)
            pieces.append((outbox.progress_at, len(data)))

    outbox = Outbox(1 << 20, Spawned(nursery), socket=None, stream=Slow())  # type: ignore[arg-type]
    began = trio.current_time()
    for _ in range(100):
        assert outbox.offer(b"x" * 10_000)
    await outbox.flushed()
    assert sum(size for _, size in pieces) == 1_000_000
    assert max(size for _, size in pieces) < WRITE_BYTES + 10_000
    assert [at - began for at, _ in pieces] == [10.0 * number for number in range(len(pieces))]


async def test_what_the_kernel_does_not_take_is_counted_together(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    waiting = WaitingBytes()
    stream, peer = trio.testing.lockstep_stream_pair()
    kernel = Outbox(1 << 20, Spawned(nursery), socket=pair[0], stream=stream, waiting=waiting)
    through = Outbox(1 << 20, Spawned(nursery), socket=None, stream=stream, waiting=waiting)

    def counted() -> bool:
        return waiting.size == sum(outbox.size for outbox in (kernel, through) if outbox.writing)

    kernel.put(b"quick")
    assert waiting.size == 0, "it waits for its turn, and not for the reader"
    fill(kernel)
    assert waiting.size == kernel.size > 0
    for outbox in (kernel, through):
        outbox.try_send(b"x" * 100_000)
        outbox.put(b"y" * 1_000)
        assert counted()
    assert await read(pair[1], kernel.sent + kernel.size // 2)
    assert counted()
    await peer.receive_some(30_000)
    await trio.testing.wait_all_tasks_blocked()
    assert counted()
    for outbox in (kernel, through):
        outbox.discard()
        outbox.put(b"nobody is there")
        assert counted()
    assert waiting.size == 0


async def test_who_is_crowded_is_told_at_the_send_that_crowds(
    pair: tuple[socket.socket, socket.socket], nursery: trio.Nursery
) -> None:
    waiting, told = WaitingBytes(), list[int]()
    outbox = Outbox(
        1 << 20, Spawned(nursery), socket=pair[0], stream=trio.testing.memory_stream_pair()[0], waiting=waiting
    )
    fill(outbox)
    waiting.mark, waiting.on_crowded = waiting.size + 1_000, lambda: told.append(waiting.size)
    outbox.try_send(b"x" * 1_000)
    assert told == []
    outbox.put(b"x")
    assert told == [waiting.size]
