"""Work that one node of a cluster does, and another one when that is gone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from gochat.cluster.ports import Bulletin, ServerAway

log = logging.getLogger(__name__)

#: How long a lease lasts if it is not kept: after so long another node does the work of one that died.
LIFE_S: Final = 10.0
#: How often it is kept, and asked for while another node has it.
AGAIN_S: Final = 3.0
#: How often it is looked whether a node may have it that may not.
LOOK_S: Final = 0.25
#: The work is cancelled so long before the lease ends, by this node's clock: it takes a moment to stop.
MARGIN_S: Final = 1.0


class Lease:
    """One node's claim to the work of that name."""

    def __init__(self, bulletin: Bulletin, name: str, holder: str, is_fit: Callable[[], bool] = lambda: True) -> None:
        """`holder`: the node's instance. A node that is started again has the lease of its earlier boot at once.
        `is_fit`: whether the node may do the work now; while it may not, others have the lease. That is looked at
        every AGAIN_S while the lease is held: work that must not go on for so long asks by itself."""
        self._bulletin = bulletin
        self._name = name
        self._holder = holder
        self.is_fit = is_fit
        self._until = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether no other node has it now, as long as the server does not forget."""
        return trio.current_time() < self._until

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have `work` run while this node has the lease, for ever, or until it returns. It is cancelled where the lease
        can't be kept, and started anew when the node has it again."""
        while True:
            await self._hold()
            if self.is_held and await self._tenure(work):
                return
            await trio.sleep(AGAIN_S if self.is_fit() else LOOK_S)

    async def _hold(self) -> None:
        asked_at = trio.current_time()
        if not self.is_fit():
            if self.is_held:
                await self._release()
            self._until = float("-inf")
            return
        try:
            if await self._bulletin.hold(self._name, self._holder, LIFE_S):
                self._until = asked_at + LIFE_S - MARGIN_S
            else:
                self._until = float("-inf")
        except ServerAway:
            pass  # It may have been kept or not: it ends when it would have ended.

    async def _tenure(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether the work is done."""
        log.info("this node does the work of %s", self._name)
        done = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep, nursery.cancel_scope)
                await work()
                done = True
                nursery.cancel_scope.cancel()
        finally:
            # Whether it ended in order, crashed or was cancelled: others need not wait for the end of the lease.
            if self.is_held:
                self._until = float("-inf")
                with trio.move_on_after(MARGIN_S, shield=True):
                    await self._release()
        return done

    async def _keep(self, scope: trio.CancelScope) -> None:
        scope.deadline = self._until
        while True:
            await trio.sleep(AGAIN_S)
            await self._hold()
            scope.deadline = self._until
            if not self.is_held:
                log.warning("this node does not do the work of %s any more", self._name)
                scope.cancel()

    async def _release(self) -> None:
        try:
            await self._bulletin.release(self._name, self._holder)
        except ServerAway:
            pass  # It ends by itself, in some seconds.
