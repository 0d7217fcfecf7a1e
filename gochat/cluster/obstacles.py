"""Why a node can't do its part in a repair, and the way out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import trio

from gochat.cluster.ports import Position

log = logging.getLogger(__name__)

#: How long the server's end stays where this node can't go on from it until that is told: another node may keep more.
GAP_S: Final = 2.0


class _Gap(NamedTuple):
    """The server has too little for this node to go on from."""

    there: Position
    kept_from: Position
    since: float
    """The loop's time."""


class Obstacles:
    """Those of one repair, by partition."""

    def __init__(self) -> None:
        self.problem: str | None = None
        """Of all of them, as they were last told."""
        self._gaps: dict[int, _Gap] = {}
        """Where this node can't put back because it keeps too little."""
        self._unreadable: dict[int, str] = {}
        """Where this node's own entries could not be read in the last round, and why."""

    def begin_round(self) -> None:
        self._unreadable.clear()

    def add_unreadable(self, partition: int, error: str) -> None:
        self._unreadable[partition] = error

    def add_gap(self, partition: int, there: Position, kept_from: Position) -> None:
        """The server ends there, and this node keeps its entries from a later place on."""
        known = self._gaps.get(partition)
        if known is None or known.there != there:
            self._gaps[partition] = _Gap(there, kept_from, trio.current_time())

    def clear(self) -> None:
        self._gaps, self.problem = {}, None

    def end_round(self, ends: Mapping[int, Position]) -> None:
        """Say, once, where this node's own entries can't be read, or the server has older data than this node can go on
        from. Its entries are not dropped for that: no node knows whether another one keeps what comes between."""
        self._gaps = {p: gap for p, gap in self._gaps.items() if ends.get(p) == gap.there}
        lasting = [p for p, gap in sorted(self._gaps.items()) if trio.current_time() - gap.since >= GAP_S]
        if self._unreadable:
            partition, error = next(iter(self._unreadable.items()))
            self._tell(f"this node can't read its own entries of partition {partition}: {error}", [*self._unreadable])
            return
        if not lasting:
            self.problem = None
            return
        gap = self._gaps[lasting[0]]
        problem = (
            f"the server has older data than this node can go on from: partition {lasting[0]} ends there at "
            f"{gap.there.n}, and this node keeps its entries from {gap.kept_from.n} on. Unless another node that keeps "
            "more is started, empty the server (FLUSHDB of this database): the nodes put back what they have"
        )
        self._tell(problem, lasting)

    def _tell(self, problem: str, partitions: Sequence[int]) -> None:
        if self.problem != problem:
            log.error("%s", problem, extra={"partitions": partitions})
        self.problem = problem
