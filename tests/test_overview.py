"""An operator is told of supervisors."""

from __future__ import annotations

from typing import Any

import trio

from gochat.actors.supervisor import Intensity, Spec, Supervisor
from gochat.overview import TOLD, supervisors


async def _forever() -> None:
    await trio.sleep_forever()


async def test_tasks_that_crashed_come_first_with_their_restarts(autojump_clock: Any) -> None:
    crashes = 0

    async def crash_twice() -> None:
        nonlocal crashes
        crashes += 1
        if crashes <= 2:
            raise KeyError("a text that somebody wrote")
        await trio.sleep_forever()

    async with Supervisor("s", Intensity(3, 10)) as supervisor:
        supervisor.start(Spec("steady", _forever))
        supervisor.start(Spec("shaky", crash_twice))
        await trio.sleep(60)
        (told,) = supervisors([supervisor])
        assert (told.name, told.crashes, told.given_up) == ("s", 2, 0)
        assert [(child.name, child.restarts, child.pausing) for child in told.children] == [
            ("shaky", 2, False),
            ("steady", 0, False),
        ]
        assert [(crash.name, crash.error) for crash in told.latest] == [("shaky", "KeyError")] * 2
        assert told.latest[0].ts >= told.latest[1].ts
        assert told.children[0].since > told.children[1].since
        assert "somebody wrote" not in str(told)
        for child in list(supervisor):
            child.scope.cancel()


async def test_a_task_that_pauses_and_one_that_is_given_up(autojump_clock: Any) -> None:
    async def crash() -> None:
        raise ValueError

    async with Supervisor("s", Intensity(2, 60, 10)) as supervisor:
        supervisor.start(Spec("dm:ann:bob", crash, "temporary"))
        await trio.sleep(1)
        (told,) = supervisors([supervisor])
        assert [(child.name, child.pausing) for child in told.children] == [("a private room", True)]
        assert told.latest[0].name == "a private room"
        await trio.sleep(300)
        (told,) = supervisors([supervisor])
        assert (told.children, told.given_up, told.crashes) == ([], 1, 3)


async def test_the_number_of_tasks_that_are_told_has_a_bound(autojump_clock: Any) -> None:
    async with Supervisor("s") as supervisor:
        for number in range(TOLD + 7):
            supervisor.start(Spec(f"task {number}", _forever))
        (told,) = supervisors([supervisor])
        assert (len(told.children), told.more) == (TOLD, 7)
