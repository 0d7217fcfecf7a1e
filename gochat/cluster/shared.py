"""The things of a cluster that one node is given: its log, its bulletin, and who the node is in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias

from gochat.cluster.identity import Identity
from gochat.cluster.ports import Bulletin, Log

Query: TypeAlias = Callable[[str, str, bytes], Awaitable[bytes]]
"""Asks the node at a URL: path and body, and its answer. Raises GochatError."""


class ServerWatch:
    """The latest that is known of the cluster's server."""

    problem: str | None = None
    """Why it is not fit to carry the log, or belongs to another cluster."""


class Shared(NamedTuple):
    """Of one node: connections are nobody else's."""

    log: Log
    """All of its partitions exist."""
    bulletin: Bulletin
    identity: Identity
    name: str = ""
    """The node's, for people."""
    url: str = ""
    """Where other nodes reach this one's HTTP."""
    rules: str = ""
    """Names the rules and limits of its settings: nodes that have the same have the same name for them."""
    watch: ServerWatch | None = None
    """None: nobody looks."""
    query: Query | None = None
    """None: other nodes can't be asked."""
