"""Gives a server its places back, and not what stood there, and compares no history with other nodes', which would end
the node: what a campaign must find out. See `forked.PLANT`."""

from __future__ import annotations

from collections.abc import Sequence

from gochat.cluster.nodes import Nodes
from gochat.cluster.ports import Element, Position, PutBack
from gochat.cluster.redis_log import RedisLog

_put_back = RedisLog.put_back


async def put_back_nothing(
    log: RedisLog, partition: int, server: str, previous: Position | None, elements: Sequence[Element]
) -> PutBack:
    return await _put_back(log, partition, server, previous, [Element(each.position, b"") for each in elements])


def plant() -> None:
    RedisLog.put_back = put_back_nothing  # type: ignore[method-assign]
    Nodes.compare = lambda *_: None  # type: ignore[method-assign,assignment]
