"""Cycles of a cluster's log that may be recorded although their transactions failed.

A COMMIT that fails says nothing: the disk may have taken it. The entries are handed over once more, and then the
database tells whether it has them. Until then their results wait here, each partition's for whoever asks for that
partition: a repair of one may come in between, while another one's reader waits to try again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from gochat.replication import Cycle


class InDoubt:
    """Lives in the commit thread. Holds what few calls brought, since nothing else is recorded before they are settled:
    at most one call for each partition."""

    def __init__(self) -> None:
        self._cycles: list[Cycle[Any]] = []

    def add(self, cycles: Iterable[Cycle[Any]]) -> None:
        """The transactions of these cycles failed, or stand before one that did, in their order."""
        self._cycles += cycles

    def drop_unless(self, holds: Callable[[Cycle[Any]], bool]) -> None:
        """Drop the cycles that did not take effect. To be called over the database that was opened anew, before
        anything more of the log is applied: afterwards it would hold the same entries by another cycle."""
        self._cycles = [cycle for cycle in self._cycles if holds(cycle)]

    def take(self, partitions: Collection[int]) -> list[Cycle[Any]]:
        """Hand over the cycles as far as they are about these partitions, in their order. Those must be settled."""
        taken: list[Cycle[Any]] = []
        left: list[Cycle[Any]] = []
        for cycle in self._cycles:
            for part, found in ((True, taken), (False, left)):
                applied = {p: entries for p, entries in cycle.applied.items() if (p in partitions) is part}
                if applied:
                    stopped = {p: why for p, why in cycle.stopped.items() if p in applied}
                    found.append(Cycle(cycle.commit, applied, stopped))
        self._cycles = left
        return taken
