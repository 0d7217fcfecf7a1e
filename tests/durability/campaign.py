"""A crowd under way while its node is killed again and again; the evidence of what came of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NamedTuple

import trio

from gochat.sim.checker import Evidence
from tests.durability.crowd import Reader, Sender, create_groups, dm, history
from tests.durability.process import Served

SENDERS = 20
GROUPS = ("tea", "oak", "elm", "fir")
#: Name, user, transport: one of the users reads on two devices.
READERS = (("r1's phone", "r1", "tcp"), ("r1's desk", "r1", "ws"), ("r2", "r2", "tcp"), ("r3", "r3", "ws"))
#: A kill comes so many seconds after the first ack of a life.
LIFE_S = (0.02, 0.5)
#: For a whole life of a node, or for the readers to catch up: generous, since machines are shared.
WAIT_S = 60.0


class Crowd(NamedTuple):
    senders: list[Sender]
    readers: list[Reader]
    rooms: dict[str, list[str]]
    """Every room, by one user who may page it."""


class Outcome(NamedTuple):
    evidence: Evidence
    interrupted: int
    """Messages that were in flight when the node was killed, over all kills."""
    found_recorded: int
    """Those of them that turned out to be recorded: only the ack had not arrived."""
    lags: int


def gather(evidence: Evidence, rng: random.Random, *, pause_s: float = 0.0) -> Crowd:
    """Each sender writes to its group, to a reader and to its neighbour; each reader hears all groups and its DMs."""
    names = [f"s{number:02}" for number in range(SENDERS)]
    users = sorted({user for _, user, _ in READERS})
    rooms: dict[str, list[str]] = {"r1": [f"group:{group}" for group in GROUPS]}
    senders = []
    for number, name in enumerate(names):
        listener, neighbour = users[number % len(users)], names[(number + 1) % SENDERS]
        rooms.setdefault(listener, []).append(dm(name, listener))
        rooms.setdefault(name, []).append(dm(name, neighbour))
        mine = [f"group:{GROUPS[number % len(GROUPS)]}"] * 3 + [dm(name, listener), dm(name, neighbour)]
        transport = "ws" if number % 2 else "tcp"
        senders.append(Sender(name, transport, mine, evidence, random.Random(rng.random()), pause_s=pause_s))
    groups = [f"group:{group}" for group in GROUPS]
    readers = [
        Reader(name, user, transport, list({*groups, *rooms.get(user, ())}), evidence)
        for name, user, transport in READERS
    ]
    return Crowd(senders, readers, rooms)


async def campaign(
    served: Served, *, kills: int, seed: int, after_kill: Callable[[random.Random], None] = lambda _: None
) -> Outcome:
    """Kill `served` so many times under load, at seeded moments, and look at what is there after one more life."""
    rng = random.Random(seed)
    evidence = Evidence()
    crowd = gather(evidence, rng)
    users = sorted({user for _, user, _ in READERS})
    interrupted = 0
    async with AsyncExitStack() as stack:
        stack.push_async_callback(served.aclose)
        await served.start()
        await create_groups(
            served,
            {
                group: [*users, *(sender.user for sender in crowd.senders[number :: len(GROUPS)])]
                for number, group in enumerate(GROUPS)
            },
        )
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            for reader in crowd.readers:
                nursery.start_soon(reader.run, served)
                with trio.fail_after(WAIT_S):
                    await reader.welcomed.wait()
            async with trio.open_nursery() as senders:
                for sender in crowd.senders:
                    senders.start_soon(sender.run, served, stop)
                for _ in range(kills):
                    await first_ack(crowd)
                    await trio.sleep(rng.uniform(*LIFE_S))
                    await served.kill()
                    interrupted += sum(sender.unacked for sender in crowd.senders)
                    after_kill(rng)
                    await served.start()
                await first_ack(crowd)
                stop.set()
                senders.cancel_scope.deadline = trio.current_time() + WAIT_S
            for sender in crowd.senders:
                sender.give_up()
            for user, rooms in crowd.rooms.items():
                with trio.fail_after(WAIT_S):
                    evidence.history.update(await history(served, user, rooms))
            await caught_up(crowd, evidence)
            nursery.cancel_scope.cancel()
        assert await served.stop() == 0
    return Outcome(
        evidence,
        interrupted,
        sum(sender.found_recorded for sender in crowd.senders),
        sum(reader.lags for reader in crowd.readers),
    )


async def first_ack(crowd: Crowd) -> None:
    """Wait until half of the senders have been answered in this life."""
    for sender in crowd.senders:
        sender.acked = trio.Event()
    with trio.fail_after(WAIT_S):
        for sender in crowd.senders[::2]:
            await sender.acked.wait()


async def caught_up(crowd: Crowd, evidence: Evidence) -> None:
    """Give the readers time to hear all that there is. Facts that they do not get by then are missing."""
    heads = {room: len(facts) for room, facts in evidence.history.items()}
    with trio.move_on_after(WAIT_S / 4):
        while not all(reader.holds(heads) for reader in crowd.readers):
            await trio.sleep(0.02)
