"""Signs of life: a node that stops in order leaves none behind, and nobody else may give any."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from gochat.cluster.journal import joined
from gochat.cluster.memory import MemoryBulletin
from tests.cluster.joining import caught_up, inline, joined_store, journal_of, new_log, shared


class LateReply:
    """A bulletin that is told at once that the node stops, and whose reply takes its time."""

    def __init__(self, inner: MemoryBulletin) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def leave(self, instance: str, boot: str) -> None:
        await self._inner.leave(instance, boot)
        await trio.sleep(1)


async def test_a_node_that_has_said_that_it_stops_beats_no_more(autojump_clock: MockClock) -> None:
    server = await new_log()
    for waits in (True, False):
        own = shared(server, "north")
        bulletin: Any = LateReply(MemoryBulletin(server, "north"))
        async with inline() as store, joined(store.replica, own._replace(bulletin=bulletin)) as journal:
            journal.listen(lambda batch: None)
            if waits:
                await caught_up(journal)
            else:
                await trio.lowlevel.checkpoint()  # As a node that can't listen at its port.
        assert await MemoryBulletin(server, "south").members() == []


async def test_signs_of_life_that_no_node_gave_are_not_remembered(autojump_clock: MockClock) -> None:
    """Whoever can log in to the server may give as many as they please, each under another name."""
    server = await new_log()
    async with joined_store(server, "north", inline()) as (store, _):
        for number in range(5):
            server.primary.nodes[f"x{number}"] = "b", server.primary.now_ms(), b"nobody signed this"
            await trio.sleep(1)
            del server.primary.nodes[f"x{number}"]
        assert journal_of(store).registry._sighted.keys() == {"north"}
