from __future__ import annotations

import pytest
import trio
import trio.testing

from gochat.actors.mailbox import Mailbox
from gochat.errors import Full


async def test_a_reader_gets_everything_that_waits_in_order() -> None:
    box: Mailbox[int] = Mailbox("ann", 10)
    for number in range(3):
        box.put(number)
    with trio.fail_after(1):
        await box.wait()
    assert box.take_nowait() == [0, 1, 2]
    assert box.take_nowait() == []


async def test_what_comes_within_a_tick_is_one_batch(autojump_clock: object) -> None:
    box: Mailbox[int] = Mailbox("ann", 10)
    batches: list[list[int]] = []

    async def read() -> None:
        while True:
            await box.wait()
            batches.append(box.take_nowait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        box.put(1)
        box.put(2)
        await trio.testing.wait_all_tasks_blocked()
        box.put(3)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert batches == [[1, 2], [3]]


def test_full_takes_nothing_and_is_counted() -> None:
    box: Mailbox[int] = Mailbox("ann", 2)
    box.put(1)
    box.put(2)
    with pytest.raises(Full, match="ann"):
        box.put(3)
    assert box.take_nowait() == [1, 2]
    assert box.statistics() == (0, 2, 2, 2, 1)
    box.put(4)


def test_mail_that_is_put_back_goes_first_and_never_finds_it_full() -> None:
    box: Mailbox[int] = Mailbox("ann", 2)
    box.put(1)
    box.put(2)
    mail = box.take_nowait()
    box.put(3)
    box.put(4)
    box.put_back(mail)
    assert box.take_nowait() == [1, 2, 3, 4]


async def test_a_wake_without_mail(autojump_clock: object) -> None:
    box: Mailbox[int] = Mailbox("ann", 2)
    box.wake()
    with trio.fail_after(1):
        await box.wait()
    with trio.move_on_after(1) as scope:
        await box.wait()
    assert scope.cancelled_caught, "a wake counts once"
    box.put(1)
    with trio.fail_after(1):
        await box.wait()


async def test_one_reader_only(autojump_clock: object) -> None:
    box: Mailbox[int] = Mailbox("ann", 2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(box.wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await box.wait()
        box.wake()
