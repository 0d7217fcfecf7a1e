"""The things of a cluster that one node is given: its log, its bulletin, and who the node is in it."""

from __future__ import annotations

from typing import NamedTuple

from gochat.cluster.identity import Identity
from gochat.cluster.ports import Bulletin, Log


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
