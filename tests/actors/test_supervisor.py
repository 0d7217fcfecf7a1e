from __future__ import annotations

import logging

import pytest
import trio

from gochat.actors.supervisor import GaveUp, Intensity, Spec, Supervisor


async def test_a_crashed_child_runs_again(autojump_clock: object) -> None:
    runs = 0

    async def child() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise RuntimeError("planted")

    with trio.fail_after(60):
        async with Supervisor("s") as supervisor:
            supervisor.start(Spec("child", child))
            while len(supervisor):
                await trio.sleep(0.1)
    assert runs == 3
    assert supervisor.crashes == 2


async def test_a_permanent_child_that_crashes_too_often_ends_the_supervisor(autojump_clock: object) -> None:
    runs = 0

    async def child() -> None:
        nonlocal runs
        runs += 1
        raise RuntimeError("planted")

    async def supervise() -> None:
        async with Supervisor("s", Intensity(3, 10)) as supervisor:
            supervisor.start(Spec("child", child))
            await trio.sleep_forever()

    with trio.fail_after(60), pytest.raises(ExceptionGroup) as raised:
        await supervise()
    assert raised.group_contains(GaveUp)
    assert runs == 4


async def test_a_temporary_child_is_given_up_and_the_others_go_on(autojump_clock: object) -> None:
    given_up: list[str] = []
    other_runs = trio.Event()

    async def crash() -> None:
        raise RuntimeError("planted")

    async def other() -> None:
        await trio.sleep(30)
        other_runs.set()

    with trio.fail_after(60):
        async with Supervisor("s", Intensity(3, 10)) as supervisor:
            supervisor.start(Spec("crash", crash, "temporary", lambda: given_up.append("crash")))
            supervisor.start(Spec("other", other))
            await other_runs.wait()
    assert given_up == ["crash"]


async def test_crashes_that_are_far_apart_do_not_count(autojump_clock: object) -> None:
    runs = 0

    async def child() -> None:
        nonlocal runs
        runs += 1
        if runs < 20:
            await trio.sleep(11)
            raise RuntimeError("planted")

    with trio.fail_after(1000):
        async with Supervisor("s", Intensity(1, 10)) as supervisor:
            supervisor.start(Spec("child", child))
            while len(supervisor):
                await trio.sleep(1)
    assert runs == 20


async def test_children_stop_in_reverse_order(autojump_clock: object) -> None:
    stopped: list[int] = []

    def child(number: int) -> Spec:
        async def run() -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.5 * (3 - number))  # the first is the slowest to stop by itself
                stopped.append(number)

        return Spec(str(number), run)

    with trio.fail_after(60):
        async with Supervisor("s") as supervisor:
            for number in range(3):
                supervisor.start(child(number))
            await trio.sleep(1)
    assert stopped == [2, 1, 0]


async def test_a_child_that_does_not_stop_in_time_is_told_of(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(30)

    with trio.fail_after(60), caplog.at_level(logging.ERROR):
        async with Supervisor("s") as supervisor:
            supervisor.start(Spec("stubborn", stubborn, grace_s=2))
            await trio.sleep(1)
    assert "stubborn did not stop" in caplog.text


async def test_nothing_is_started_once_it_stops(autojump_clock: object) -> None:
    """A batch that can't be recorded, for example, ends then, and may ask for a child that nobody would end."""
    ran: list[str] = []
    supervisor = Supervisor("s")

    async def late() -> None:
        ran.append("late")

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            supervisor.start(Spec("while it stops", late))

    with trio.fail_after(60):
        async with supervisor:
            supervisor.start(Spec("child", child))
            await trio.sleep(1)
        supervisor.start(Spec("afterwards", late))
    assert ran == []
    assert len(supervisor) == 0
