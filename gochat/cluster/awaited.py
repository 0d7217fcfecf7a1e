"""The other nodes that a repair waits for: whether one of them lives, and the way out where none answers."""

from __future__ import annotations

from typing import Final

from gochat.cluster.nodes import Nodes
from gochat.cluster.registry import NodeRegistry

_NEW: Final = (
    "this node has never counted, and knows no other: start one that has, or the one in whose folder `gochat cluster "
    "create` was run; where all of them are lost, `gochat cluster leave` makes this folder a chat of its own"
)
_SILENT: Final = (
    "{} must answer: start it, see that all reach the same server, or, where it is lost, go on without it by `gochat "
    "cluster forget`"
)
_LIVING: Final = "{} must answer: where that does not come by itself, see what /readyz says there"


def others_live(nodes: Nodes, registry: NodeRegistry) -> bool:
    """Whether one of them gives signs of life."""
    awaited = nodes.awaited
    return len(registry.silent(awaited)) < len(awaited)


def way_out(nodes: Nodes, registry: NodeRegistry) -> str | None:
    """Says who must answer for a repair to go on, and what an operator can do; None where no other node must."""
    if nodes.knows_nobody:
        return _NEW
    awaited = nodes.awaited
    silent = registry.silent(awaited)
    if silent:
        return _SILENT.format(", ".join(silent))
    return _LIVING.format(", ".join(registry.called(awaited))) if awaited else None
