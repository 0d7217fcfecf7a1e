"""Whether a node can serve, as named checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias


class Check(NamedTuple):
    """One thing that must be well for the node to serve."""

    name: str
    problem: str | None = None
    """The problem, in a few words; None when all is well."""


#: Asked for at each probe, so it must not wait. A node that drains gives a check that is not well.
Readiness: TypeAlias = Callable[[], Iterable[Check]]
