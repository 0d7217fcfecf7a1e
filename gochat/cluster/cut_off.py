"""A node that has been cut off from the cluster's log sends its clients away, if another node has not been.

Suspensions, revocations and removals do not come to it: a user who was shut out would read on at this node. Where no
node hears of the log, there is no better place to go to, and nothing new that could be read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec
import trio

from gochat.cluster.answers import State
from gochat.cluster.registry import NodeRegistry
from gochat.cluster.serving import Serving
from gochat.cluster.shared import Query
from gochat.errors import GochatError
from gochat.looking import next_look

log = logging.getLogger(__name__)

#: How often it is looked whether the node is cut off, and the others are asked while it is.
LOOK_S: Final = 1.0

_decode = msgspec.json.Decoder(State).decode


class CutOff:
    """`run` must be running."""

    def __init__(
        self, serving: Serving, registry: NodeRegistry, query: Query, clients_leave: Callable[[], None]
    ) -> None:
        self._serving = serving
        self._registry = registry
        self._query = query
        self._clients_leave = clients_leave

    async def run(self) -> None:
        """Look, for ever."""
        sent_away = False
        while True:
            await trio.sleep_until(next_look(trio.current_time(), LOOK_S))
            if not self._serving.is_cut_off:
                sent_away = False
            elif not sent_away and await self._another_serves():
                sent_away = True
                log.warning("this node is cut off from the cluster's log, and others are not: its clients go to those")
                self._clients_leave()

    async def _another_serves(self) -> bool:
        """Whether a node that was known says that it takes messages."""
        for url in self._registry.urls:
            try:
                if _decode(await self._query(url, "/internal/state", b"")).problem is None:
                    return True
            except (GochatError, msgspec.MsgspecError) as error:
                log.debug("%s can't be asked: %s", url, error)
        return False
