"""Whether a node of a cluster may serve: it has caught up, it counts, it has heard of the log lately, and it can read
all of it and is not the one that differs."""

from __future__ import annotations

from typing import Final

import trio

from gochat.cluster.barrier import Barriers
from gochat.cluster.entry import SITE
from gochat.errors import StoreError

#: After so long without the log a node signs nobody in: suspensions and revocations do not come to it, either. Longer
#: than a Redis takes to start again or to be replaced by its Sentinels, so that these sign nobody out.
AWAY_S: Final = 30.0
#: A node that has not had all of the log for so long is not ready: new clients are better sent to another one.
LAG_S: Final = 5.0
#: How often it is looked whether the node has everything.
LOOK_S: Final = 1.0
CATCHING_UP: Final = "the node has not caught up with the cluster yet"
PUT_OUT: Final = (
    "the node was put out of the cluster: run `gochat cluster leave`, which makes its folder a chat of its own, or "
    "`gochat cluster join` in an empty folder, from a backup of another node"
)
NEWER: Final = "install on this node the release that the other nodes have"
DIVERGED: Final = (
    "stop it, and make its folder anew from a backup of another node: `gochat cluster join --from BACKUP`; please "
    "report it, since a fault in gochat did it, or in the machine"
)


class Serving:
    """`run` must be running."""

    def __init__(self, barriers: Barriers) -> None:
        self._barriers = barriers
        self._problem: str | None = CATCHING_UP
        self.newer: str | None = None
        """Why this release can't read the log any further."""
        self.diverged: str | None = None
        """Why this node's history is the one that is wrong."""
        self._current_at = float("-inf")
        """When the node last had all that the log had; on trio's clock."""
        self._begun_at = float("-inf")
        self.begun = trio.Event()

    @property
    def problem(self) -> str | None:
        """Why the node may not serve now."""
        halted = self.newer or self.diverged
        if halted is not None:
            return halted
        if self.is_cut_off:
            return f"the node has been away from the cluster's log for {AWAY_S:.0f} s"
        return self._problem

    @property
    def is_cut_off(self) -> bool:
        """Whether the node, which was part of the cluster, has not heard of the log for AWAY_S."""
        return self._problem is None and trio.current_time() - self._current_at > AWAY_S

    @property
    def lag(self) -> str | None:
        """Why new clients should go to other nodes: this one may refuse them, as it does where it knows that it is
        behind, be it in a single partition."""
        if self._problem is not None:
            return None
        now = trio.current_time()
        if now - self._current_at > LAG_S:
            return f"the node has not had all of the cluster's log for {LAG_S:.0f} s"
        if self._barriers.not_current_at > max(self._begun_at, now - LAG_S):
            return "the node is behind the cluster's log: it has just refused clients for that"
        return None

    @property
    def behind_s(self) -> float:
        """Since the node last had all that the log had; 0 before it first had."""
        return 0.0 if self._current_at == float("-inf") else trio.current_time() - self._current_at

    @property
    def is_part(self) -> bool:
        """Whether the node has caught up once, and was not put out since."""
        return self._problem is None

    @property
    def is_put_out(self) -> bool:
        return self._problem == PUT_OUT

    def begin(self) -> None:
        self._problem, self._current_at = None, trio.current_time()
        self._begun_at = self._current_at
        self.begun.set()

    def wait(self, problem: str) -> None:
        """The node waits for something before it can begin."""
        if not self.is_put_out:
            self._problem = problem

    def fail(self, problem: str) -> None:
        """The node can't take part, until it is started anew."""
        self._problem = problem

    def put_out(self) -> None:
        """For good."""
        self._problem = PUT_OUT

    async def run(self) -> None:
        """Look whether the node has everything, for ever."""
        while True:
            try:
                await self._barriers.wait([SITE])
                self._current_at = trio.current_time()
            except StoreError:
                pass  # `problem` tells, once that has lasted.
            await trio.sleep(LOOK_S)
