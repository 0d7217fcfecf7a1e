"""A `resume` in the moment between a membership that is recorded and the delivery that tells the session of it."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import trio

from gochat.actors.fact_batch import FactBatch
from gochat.session.replay import MEMBERSHIP_S
from tests.actors.house import TEA, run
from tests.actors.test_live import Peer, Town, fact, in_town


async def removed_but_not_told(town: Town, *, told: bool) -> None:
    """Bob is a member by what he was told, and was removed by what the store says."""
    await town.house.tea("bob")
    bob = Peer(town, "bob")
    await town.house.settled()
    head = len(town.house.journal.log[TEA])
    read = town.house.archive.welcome
    looks: list[float] = []

    async def removed(*asked: Any, **more: Any) -> Any:
        looks.append(trio.current_time())
        return msgspec.structs.replace(await read(*asked, **more), former={TEA: head + 1}, heads={})

    town.house.archive.welcome = removed  # type: ignore[method-assign]
    before = len(bob.wire.frames)
    bob.ask(type="resume", room=TEA, seq=head + 1, id="r")
    await trio.sleep(MEMBERSHIP_S / 2)
    assert len(bob.wire.frames) == before and len(looks) == 1, "it waits, and does not look again and again"
    if told:
        bob.session.left(FactBatch(TEA, bob.session.since + 1, [fact(head + 1, "removed")]))
        await trio.sleep(MEMBERSHIP_S / 4)
        assert len(looks) == 2
        assert (bob.wire.frames[before]["type"], bob.wire.frames[before]["head"]) == ("ok", head + 1)
    else:
        await trio.sleep(MEMBERSHIP_S)
        assert bob.wire.frames[before]["code"] == "unavailable" and len(looks) == 1


def test_it_waits_until_the_session_is_told() -> None:
    run(partial(in_town, 1, partial(removed_but_not_told, told=True)))


def test_a_client_is_asked_to_come_again_where_that_takes_too_long() -> None:
    run(partial(in_town, 1, partial(removed_but_not_told, told=False)))


async def read_slowly(town: Town) -> None:
    """The disk is busy: the reading takes longer than a membership may take to be delivered."""
    await town.house.tea("bob")
    bob = Peer(town, "bob")
    await town.house.settled()
    head = len(town.house.journal.log[TEA])
    read = town.house.archive.welcome

    async def slowly(*asked: Any, **more: Any) -> Any:
        await trio.sleep(3 * MEMBERSHIP_S)
        return await read(*asked, **more)

    town.house.archive.welcome = slowly  # type: ignore[method-assign]
    before = len(bob.wire.frames)
    bob.ask(type="resume", room=TEA, seq=head, id="r")
    await trio.sleep(4 * MEMBERSHIP_S)
    assert (bob.wire.frames[before]["type"], bob.wire.frames[before]["head"]) == ("ok", head)


def test_a_slow_reading_is_not_taken_for_a_membership_that_changes() -> None:
    run(partial(in_town, 1, read_slowly))
