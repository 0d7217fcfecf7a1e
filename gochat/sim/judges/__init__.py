"""The judges: each holds the evidence against one promise, and names what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gochat.sim.evidence import Evidence

Judge = Callable[[Evidence], Iterator[str]]
