"""One-for-one supervision: a child that crashes is started again, not too often; one that can't be helped is given up.

More than `intensity` crashes of one child within `period_s` seconds, and the child is given up. The consequence is
in the child's spec: a `permanent` child ends its supervisor (which ends the node), a `temporary` one is only reported.
Children stop in the reverse of the order they were started in, each within its own grace.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

import trio

from gochat.errors import GochatError

log = logging.getLogger(__name__)

Restart: TypeAlias = Literal["permanent", "temporary"]


class GaveUp(GochatError):
    """A child crashed too often."""


class Spec(NamedTuple):
    """How one child is kept."""

    name: str
    run: Callable[[], Awaitable[None]]
    """Runs until its work is done; returning is not a crash."""
    restart: Restart = "permanent"
    given_up: Callable[[], None] | None = None
    """Called, once, when a temporary child is given up."""
    grace_s: float = 5.0
    """How long the child may take to stop when it is cancelled; then it is left behind and said so."""


class SupervisedTask:
    """A child, with the history of this start of it."""

    __slots__ = ("crashes", "done", "pausing", "restarts", "scope", "since", "spec")

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self.crashes: deque[float] = deque()
        """The latest, within the period; trio clock."""
        self.since = trio.current_time()
        """When it was started, the last time; trio clock."""
        self.restarts = 0
        self.pausing = False
        """Whether it has crashed and waits to be started again."""


class Crash(NamedTuple):
    """The crash of a child: its name, when on the trio clock, and the name of the error's type."""

    name: str
    at: float
    error: str


#: Crashes that a supervisor remembers, for people who look on.
REMEMBERED: Final = 20


class Intensity(NamedTuple):
    crashes: int = 5
    period_s: float = 10.0
    backoff_s: float = 0.05
    """Pause before the first restart; doubled for each crash within the period, with jitter."""


class Supervisor:
    """Use as `async with Supervisor("name") as s: s.start(spec)`. Leaving the block stops the children."""

    def __init__(self, name: str, intensity: Intensity = Intensity(), total: Intensity = Intensity(200, 60.0)) -> None:
        self.name = name
        self.crashes = 0
        self.given_up = 0
        """Children that crashed too often and were not started again."""
        self.latest: deque[Crash] = deque(maxlen=REMEMBERED)
        self._intensity = intensity
        self._total = total
        self._recent: deque[float] = deque()
        self._children: dict[SupervisedTask, None] = {}
        self._manager = trio.open_nursery(strict_exception_groups=True)
        self._nursery: trio.Nursery | None = None
        self._stopping = False

    async def __aenter__(self) -> Supervisor:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        # `stop` shields itself and bounds each child; a nursery is left as any other is.
        if exc[0] is None:
            await self.stop()  # noqa: ASYNC102
        return await self._manager.__aexit__(*exc)  # type: ignore[arg-type]  # noqa: ASYNC102

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[SupervisedTask]:
        """The children that are kept now, the first started first."""
        return iter(self._children)

    def start(self, spec: Spec) -> None:
        """Start a child. Never waits; the child runs from the next tick on. Does nothing once the supervisor stops:
        nobody would end the child."""
        if self._nursery is None:
            raise RuntimeError(f"supervisor {self.name} is not running")
        if self._stopping:
            return
        child = SupervisedTask(spec)
        self._children[child] = None
        self._nursery.start_soon(self._keep, child, name=spec.name)

    async def stop(self) -> None:
        """Stop the children, the last started first, each within its grace."""
        self._stopping = True
        with trio.CancelScope(shield=True):
            for child in reversed(list(self._children)):
                spec = child.spec
                child.scope.cancel()
                with trio.move_on_after(spec.grace_s) as grace:
                    await child.done.wait()
                if grace.cancelled_caught:
                    log.error("%s: %s did not stop within %.1f s", self.name, spec.name, spec.grace_s)

    async def _keep(self, child: SupervisedTask) -> None:
        spec = child.spec
        try:
            with child.scope:
                while True:
                    try:
                        await spec.run()
                        return
                    except Exception as error:
                        self.crashes += 1
                        self.latest.append(Crash(spec.name, trio.current_time(), type(error).__name__))
                        log.exception("%s: %s crashed", self.name, spec.name)
                    if not await self._pause(child):
                        return
        finally:
            del self._children[child]
            child.done.set()

    async def _pause(self, child: SupervisedTask) -> bool:
        """Wait before the next start; False if there is none."""
        spec, crashes, now = child.spec, child.crashes, trio.current_time()
        if _too_many(self._recent, now, self._total):
            raise GaveUp(f"{self.name}: more than {self._total.crashes} crashes in {self._total.period_s:.0f} s")
        if _too_many(crashes, now, self._intensity):
            if spec.restart == "permanent":
                raise GaveUp(f"{self.name}: {spec.name} crashed more than {self._intensity.crashes} times")
            self.given_up += 1
            log.error("%s: %s is given up", self.name, spec.name)
            if spec.given_up is not None:
                spec.given_up()
            return False
        child.pausing = True
        await trio.sleep(self._intensity.backoff_s * 2 ** (len(crashes) - 1) * random.uniform(0.5, 1.5))
        child.pausing = False
        child.restarts += 1
        child.since = trio.current_time()
        return True


def _too_many(crashes: deque[float], now: float, intensity: Intensity) -> bool:
    crashes.append(now)
    while crashes and crashes[0] <= now - intensity.period_s:
        crashes.popleft()
    return len(crashes) > intensity.crashes
