"""The sessions in line: each once and in order, the short line beside the long one, nobody left by another's fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gochat.actors.broadcaster import Broadcaster, SendQueue
from tests.waiting import until

SLICE = 3


class Someone:
    """Somebody with something queued; notes in `sent` when it leaves."""

    def __init__(self, user: str, sent: list[str], *, faulty: bool = False) -> None:
        self.user = user
        self.send_queue: SendQueue | None = None
        self.aborted = False
        self._sent = sent
        self._faulty = faulty

    def flush(self) -> None:
        if self._faulty:
            raise RuntimeError("a fault of the session's")
        self._sent.append(self.user)

    def abort(self) -> None:
        self.aborted = True


def some(letters: str, sent: list[str]) -> list[Someone]:
    return [Someone(letter, sent) for letter in letters]


def stand(send_queue: SendQueue, sessions: Sequence[Someone]) -> None:
    for session in sessions:
        send_queue.add(session)


@pytest.fixture
async def broadcaster(nursery: trio.Nursery, autojump_clock: MockClock) -> AsyncIterator[Broadcaster]:
    broadcaster = Broadcaster(SLICE)
    nursery.start_soon(broadcaster.run)
    await wait_all_tasks_blocked()
    with trio.fail_after(10):
        yield broadcaster


async def test_all_leave_in_the_order_they_came_a_slice_at_a_time(broadcaster: Broadcaster) -> None:
    sent: list[str] = []
    stand(broadcaster.short, some("abcdefgh", sent))
    broadcaster.wake()
    reached: list[int] = []
    await until(lambda: len(sent) >= 8, lambda: reached.append(len(sent)))
    assert sent == list("abcdefgh")
    assert any(0 < count < 8 for count in reached), "others have their turn between the slices"


async def test_it_sleeps_until_it_is_woken_and_wakes_as_often_as_it_must(broadcaster: Broadcaster) -> None:
    sent: list[str] = []
    for letter in "abc":
        stand(broadcaster.short, some(letter, sent))
        await wait_all_tasks_blocked()
        assert letter not in sent
        broadcaster.wake()
        await wait_all_tasks_blocked()
    assert sent == list("abc")


async def test_the_long_line_does_not_hold_up_the_short_one(broadcaster: Broadcaster) -> None:
    sent: list[str] = []
    stand(broadcaster.long, some("0123456789" * 10, sent))
    broadcaster.wake()
    await trio.lowlevel.checkpoint()
    stand(broadcaster.short, some("abc", sent))
    await wait_all_tasks_blocked()
    assert sent.index("c") < 4 * SLICE
    assert len(sent) == 103


async def test_who_goes_over_to_the_short_line_leaves_once_and_sooner(broadcaster: Broadcaster) -> None:
    sent: list[str] = []
    sessions = some("abcdefghijkl", sent)
    stand(broadcaster.long, sessions)
    broadcaster.short.add(sessions[-1])
    broadcaster.wake()
    await wait_all_tasks_blocked()
    assert sent[:4] == list("labc")
    assert sorted(sent) == list("abcdefghijkl")
    broadcaster.long.add(sessions[-1])
    broadcaster.wake()
    await wait_all_tasks_blocked()
    assert sent[12:] == ["l"]


async def test_who_waits_for_the_line_is_told_when_all_have_left_that_stood_there(broadcaster: Broadcaster) -> None:
    sent: list[str] = []
    told: list[int] = []

    def tell() -> None:
        told.append(len(sent))

    broadcaster.short.on_drained(tell)
    assert told == [0], "nobody stands there"
    stand(broadcaster.short, some("abcd", sent))
    broadcaster.short.on_drained(tell)
    stand(broadcaster.short, some("efgh", sent))
    broadcaster.short.on_drained(tell)
    broadcaster.wake()
    await wait_all_tasks_blocked()
    assert told == [0, 6, 8], "after the slice with the last of them"


async def test_what_a_long_line_was_to_take_has_left_only_when_the_short_one_has(broadcaster: Broadcaster) -> None:
    """Sessions that stood in the short line already were not added to the long one."""
    sent: list[str] = []
    told: list[str] = []
    stand(broadcaster.short, some("abcdefg", sent))
    stand(broadcaster.long, some("01", sent))
    broadcaster.on_drained(broadcaster.long, lambda: told.append("".join(sent)))
    broadcaster.wake()
    await wait_all_tasks_blocked()
    assert told == ["abc01defg"]


async def test_a_fault_ends_its_own_session_alone(broadcaster: Broadcaster, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[str] = []
    told: list[bool] = []
    broken = Someone("x", sent, faulty=True)
    stand(broadcaster.short, [*some("ab", sent), broken, *some("cd", sent)])
    broadcaster.short.on_drained(lambda: told.append(True))
    broadcaster.wake()
    await wait_all_tasks_blocked()
    assert sent == list("abcd")
    assert broken.aborted
    assert told == [True]
    assert "could not be sent" in caplog.text
