"""The cost of an end of a membership, and the presence that is told while it is in doubt who sees whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio
import trio.testing

from gochat.actors.fact_batch import FactBatch
from gochat.actors.live import Live
from gochat.actors.presence import PAIRS, refresh_stale
from gochat.actors.subscriber import send_best_effort
from gochat.domain.facts import Member
from gochat.errors import StoreError
from gochat.protocol.codec import LINE_JSON
from gochat.protocol.entries import PresenceEntry
from gochat.protocol.replies import Presence

TEA = "group:tea"


class Looker:
    """A session that watches; what it is told."""

    codec = LINE_JSON

    def __init__(self, live: Live, user: str, *watched: str) -> None:
        self.user = user
        self.watching: tuple[str, ...] = ()
        self.told: list[bytes] = []
        live.users.setdefault(user, {})[self] = None  # type: ignore[index]
        live.presence.came(user)
        live.watches.replace(self, watched, oversees=False)  # type: ignore[arg-type]
        self.watching = watched

    def send_best_effort(self, data: bytes) -> None:
        self.told.append(data)

    def left(self, fact_batch: FactBatch) -> None:
        pass


class Store:
    """Whom it lets see whom: nobody."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.failing = False
        self.seen: set[str] = set()

    async def __call__(self, user: str, others: Sequence[str]) -> set[str]:
        await trio.lowlevel.checkpoint()
        if self.failing:
            raise StoreError("not now")
        self.asked.append(len(others))
        return self.seen & set(others)


def removal(user: str) -> FactBatch:
    fact = Member(room=TEA, seq=2, ts=0, sender="ann", users=[user], change="removed")
    return FactBatch(TEA, 2, [fact], removed=[user])


def offline(user: str) -> bytes:
    return LINE_JSON.encode(Presence(users=[PresenceEntry(user=user, online=False)]))


async def settled(live: Live, nursery: trio.Nursery, acquainted: Store, onlookers: Store) -> None:
    nursery.start_soon(refresh_stale, live.watches, live.presence, acquainted, onlookers)
    while live.watches.stale:
        await trio.testing.wait_all_tasks_blocked()


async def test_one_removal_costs_its_own_watches(autojump_clock: Any, nursery: trio.Nursery) -> None:
    live, acquainted, onlookers = Live(), Store(), Store()
    others = [Looker(live, f"u{n}", f"u{n + 1}") for n in range(20_000)]
    watchers = [Looker(live, f"w{n}", "bob") for n in range(3 * PAIRS)]
    bob = Looker(live, "bob", "u1", "u2")
    live.end(removal("bob"))
    assert list(live.watches.stale) == ["bob"]
    await settled(live, nursery, acquainted, onlookers)
    assert acquainted.asked == [2] and onlookers.asked == [PAIRS] * 3, "no pair but those that are watched"
    assert all(each.told == [offline("bob")] for each in watchers)
    assert bob.told == [offline("u1"), offline("u2")]
    assert not any(each.told for each in others)


async def test_nothing_is_told_while_it_is_in_doubt(autojump_clock: Any, nursery: trio.Nursery) -> None:
    live, store = Live(), Store()
    ann, bob = Looker(live, "ann", "bob"), Looker(live, "bob", "ann")
    store.failing = True
    live.end(removal("bob"))
    nursery.start_soon(refresh_stale, live.watches, live.presence, store, store)
    await trio.testing.wait_all_tasks_blocked()
    for user in ("ann", "bob"):
        send_best_effort(live.watches.onlookers(user), Presence(users=[PresenceEntry(user=user, online=True)]))
    assert not ann.told and not bob.told, "neither who is in doubt, nor to whom"
    store.failing, store.seen = False, {"ann", "bob"}
    await trio.sleep(2)
    assert not live.watches.stale
    assert ann.told == [LINE_JSON.encode(Presence(users=[PresenceEntry(user="bob", online=True)]))]
    assert bob.told == [LINE_JSON.encode(Presence(users=[PresenceEntry(user="ann", online=True)]))]
