"""How the one task of a tick sleeps while there is nothing to do: woken by a plain call, at the price of a flag."""

from __future__ import annotations

import trio
from outcome import Value


class Sleeper:
    """One task sleeps, anybody wakes it. An event would have to be made anew for each sleep."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None

    def wake(self) -> None:
        """Let the task go on with the next tick, if it sleeps."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task, Value(None))

    async def sleep(self) -> None:
        """Return after the next `wake`. Before it the caller looks, without a checkpoint, whether there is work."""
        self._task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
