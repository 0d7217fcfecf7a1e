"""Keeps the signs of life, and what else the bulletin tells, at the server at which the log goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

import trio

from gochat.cluster.ports import Bulletin
from gochat.cluster.refusals import Backoff

log = logging.getLogger(__name__)

#: The pause before the bulletin's connections are made anew once more. It doubles: the server's name may lead elsewhere
#: for as long as the log's connections last. Up to so much, since in a Redis Cluster it may never help: all partitions
#: may have been moved to one primary, and the bulletin be at another.
AGAIN_S: Final = 3.0
MOST_AGAIN_S: Final = 600.0


class Alignment:
    """A primary that lives on after another took its place tells nobody so, and goes on taking beats. Nodes whose log
    has moved would not be found by those that start afterwards."""

    def __init__(self, bulletin: Bulletin, servers: Callable[[], Collection[str]]) -> None:
        """`servers`: those at which the log's partitions are in order, as of now; none where that is not known."""
        self._bulletin = bulletin
        self._servers = servers
        self._backoff = Backoff(AGAIN_S, MOST_AGAIN_S)
        self._again_at = -float("inf")

    def look(self) -> None:
        """Have the bulletin's connections made anew where they lead to another server than the log's. To be called when
        the bulletin has told its members.

        Where partitions have several servers the signs of life may be at one more. An old primary takes no beats
        there."""
        servers, found = self._servers(), self._bulletin.server
        if len(servers) != 1 or found is None:
            return
        if found in servers:
            self._backoff.reset()
            self._again_at = -float("inf")
        elif trio.current_time() >= self._again_at:
            self._again_at = trio.current_time() + self._backoff.pause_s()
            log.info("the log goes on at another server than the signs of life, which are told there from now on")
            self._bulletin.renew()
