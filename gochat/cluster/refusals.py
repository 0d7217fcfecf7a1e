"""Writes that the server refuses, such as one that has no memory left: for how long, why, and when to try again.

It answers all questions meanwhile, and the log is in order: nothing else tells that no message is taken.
"""

from __future__ import annotations

import logging
from typing import Final, Literal, TypeAlias

import trio

log = logging.getLogger(__name__)

#: After so long it is told. A server that is replaced refuses writes for a moment.
REFUSED_S: Final = 2.0

Source: TypeAlias = int | Literal["beats"]
"""A partition, whose entries are refused; or the node's signs of life."""


class Refusals:
    """The refusals that one node meets."""

    def __init__(self) -> None:
        self._since: dict[Source, float] = {}
        """When the first of those in a row came; on trio's clock."""
        self._lasting: dict[Source, str] = {}
        """The latest of those that have lasted for REFUSED_S."""
        self._told: set[str] = set()
        """All that was logged of them."""

    @property
    def problem(self) -> str | None:
        """Why nothing is written, where that has lasted."""
        why = next(iter(self._lasting.values()), None)
        return None if why is None else f"the cluster's server takes no writes: {why}"

    def add(self, source: Source, why: str) -> None:
        """A write was refused, be it for the first time or once more."""
        since = self._since.setdefault(source, trio.current_time())
        if trio.current_time() - since < REFUSED_S:
            return
        self._lasting[source] = why
        if why not in self._told:
            self._told.add(why)
            log.error("the cluster's server takes no writes: %s", why)

    def end(self, source: Source) -> None:
        """A write was taken, or there is none any more."""
        if self._since.pop(source, None) is None:
            return
        if self._lasting.pop(source, None) is not None and not self._lasting:
            self._told.clear()
            log.info("the cluster's server takes writes again")


class Backoff:
    """The pauses between attempts: each twice as long as the one before."""

    __slots__ = ("_least_s", "_most_s", "_next_s")

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._next_s = least_s

    def pause_s(self) -> float:
        """How long to wait before the next attempt."""
        found, self._next_s = self._next_s, min(2 * self._next_s, self._most_s)
        return found

    def reset(self) -> None:
        """An attempt succeeded."""
        self._next_s = self._least_s
