"""Asks all other nodes one question for a user, within a short bound, and says which of them did not answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import msgspec
import trio

from gochat.cluster.registry import NodeRegistry
from gochat.cluster.shared import Query
from gochat.errors import GochatError

log = logging.getLogger(__name__)

#: A node that did not answer is not asked again for so long.
REST_S: Final = 3.0
#: A node is asked so many questions at once; others wait for their turn. So users who ask a node that answers nothing
#: leave connections for the questions to other nodes (peers.py).
AT_ONCE: Final = 8

T = TypeVar("T")


class OtherNodes:
    """For the questions of users: see `gateway.OtherNodes`."""

    def __init__(self, registry: NodeRegistry, query: Query) -> None:
        self._registry = registry
        self._query = query
        self._resting: dict[str, float] = {}
        """Until when a node is left alone, by instance, on trio's clock."""
        self._turns: dict[str, trio.CapacityLimiter] = {}
        """By instance."""

    async def ask_all(
        self,
        path: str,
        question: bytes,
        decode: Callable[[bytes], T],
        *,
        within_s: float,
        enough: Callable[[T], bool] | None = None,
    ) -> tuple[list[T], list[str]]:
        answers: list[T] = []
        silent: set[str] = set()

        async def ask_one(instance: str, name: str, url: str) -> None:
            turns = self._turns.setdefault(instance, trio.CapacityLimiter(AT_ONCE))
            try:
                with trio.fail_after(within_s):
                    async with turns:
                        if self._rests(instance):
                            silent.add(name)
                            return
                        answer = decode(await self._query(url, path, question))
            except (GochatError, msgspec.MsgspecError, trio.TooSlowError) as error:
                log.warning("node %s does not answer %s: %s", name, path, str(error) or f"not within {within_s:g} s")
                silent.add(name)
                self._resting[instance] = trio.current_time() + REST_S
            else:
                answers.append(answer)
                if enough is not None and enough(answer):
                    nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for instance, name, url in self._registry.others:
                if self._rests(instance):
                    silent.add(name)
                else:
                    nursery.start_soon(partial(ask_one, instance, name, url))
        return answers, sorted(silent)

    def _rests(self, instance: str) -> bool:
        """Whether the node was silent a moment ago."""
        return self._resting.get(instance, 0.0) > trio.current_time()
