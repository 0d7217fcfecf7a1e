"""A run as data: the clients with all that they will try to do, and the faults with their times.

A plan is drawn from a seed, can be written as JSON and read again, and is made smaller by leaving parts of it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final, Literal, TypeAlias

import msgspec

from gochat.cluster.faults import AnyFault
from gochat.sim.server import FAULTS

# ---------------------------------------------------------------------------------------------- what clients do


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag=str.lower):
    """A client does it so many milliseconds after the step before it was begun or, where the client waits for replies,
    done."""

    after_ms: int = 0


class Send(Step, frozen=True, kw_only=True):
    room: str


class Edit(Step, frozen=True, kw_only=True):
    """Of one of its own messages that were acked: the last, the one before, ..., as far as there are so many."""

    back: int


class Delete(Step, frozen=True, kw_only=True):
    """As Edit."""

    back: int


class React(Step, frozen=True, kw_only=True):
    """To the message of that seq, or the last below it that the client knows."""

    room: str
    seq: int
    on: bool


class Group(Step, frozen=True, kw_only=True):
    group: str
    action: Literal["add", "remove", "leave"]
    user: str


class Contact(Step, frozen=True, kw_only=True):
    user: str
    action: Literal["block", "unblock"]


class Look(Step, frozen=True, kw_only=True):
    """Reads the newest page of a room."""

    room: str


class Reconnect(Step, frozen=True, kw_only=True):
    """Closes its connection and makes another one."""


class Pause(Step, frozen=True, kw_only=True):
    """Reads nothing for so long."""

    for_ms: int


AnyStep: TypeAlias = Send | Edit | Delete | React | Group | Contact | Look | Reconnect | Pause


class ClientPlan(msgspec.Struct, frozen=True):
    name: str
    """Of the device; unique."""
    user: str
    node: str
    """The machine that it connects to first; when that fails, the others in turn."""
    steps: list[AnyStep]


# ---------------------------------------------------------------------------------------------- what befalls them


class Trouble(msgspec.Struct, frozen=True, kw_only=True, tag_field="fault", tag=str.lower):
    at_ms: int


class Kill(Trouble, frozen=True, kw_only=True):
    """The machine loses power, and has some again after `down_ms`. `keep`: writes that were not synced survive by luck.
    `silent`: its clients are not told that their connections are gone."""

    node: str
    down_ms: int
    keep: bool
    silent: bool


class Stop(Trouble, frozen=True, kw_only=True):
    """The node is stopped in order, and started again."""

    node: str
    down_ms: int


class Stall(Trouble, frozen=True, kw_only=True):
    """The disk does nothing for so long."""

    node: str
    for_ms: int


class Failing(Trouble, frozen=True, kw_only=True):
    """The next commits fail."""

    node: str
    how: list[Literal["lost", "kept", "full"]]


class Sever(Trouble, frozen=True, kw_only=True):
    """A client's connection breaks, with what is on its way. `silent`: the node is not told."""

    client: str
    silent: bool


class Clock(Trouble, frozen=True, kw_only=True):
    """The machine's wall clock is set."""

    node: str
    skew_ms: int


class Server(Trouble, frozen=True, kw_only=True):
    """Something befalls the server that holds a cluster's log, or the way to it."""

    what: AnyFault


AnyTrouble: TypeAlias = Kill | Stop | Stall | Failing | Sever | Clock | Server


class Plan(msgspec.Struct, frozen=True):
    seed: int
    """Of the scheduler, and of all that takes its time."""
    nodes: list[str]
    groups: dict[str, list[str]]
    """By name the users who are in it from the begin; the first owns it."""
    clients: list[ClientPlan]
    troubles: list[AnyTrouble]
    merge_at: int = 0
    """Messages that wait in the write buffer before they are merged; 0: none wait."""
    outbox_bytes: int = 1 << 20

    @property
    def users(self) -> list[str]:
        """All who take part, and all to whom somebody writes."""
        users = {client.user for client in self.clients} | {user for each in self.groups.values() for user in each}
        rooms = {getattr(step, "room", "") for client in self.clients for step in client.steps}
        return sorted(users.union(*(room.split(":")[1:] for room in rooms if room.startswith("dm:"))))

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @staticmethod
    def from_json(data: bytes) -> Plan:
        """Raises msgspec.ValidationError."""
        return msgspec.json.decode(data, type=Plan)


def dm(one: str, other: str) -> str:
    return "dm:" + ":".join(sorted((one, other)))


# ---------------------------------------------------------------------------------------------- drawing

#: While troubles come, in milliseconds.
TROUBLE_MS: Final = 6_000
USERS: Final = ("ann", "bob", "cyn", "dan", "eve")
GROUPS: Final = ("oak", "tea")


def draw(seed: int, nodes: int = 1) -> Plan:
    """The plan of a seed: always the same for the same release."""
    chance = Random(f"plan {seed} {nodes}")
    names = [f"n{number}" for number in range(1, nodes + 1)]
    users = list(USERS[: chance.randint(2, len(USERS))])
    groups = {group: users[: chance.randint(1, len(users))] for group in GROUPS[: chance.randint(0, 2)]}
    for members in groups.values():
        chance.shuffle(members)
    devices = [(user, user) for user in users]
    if chance.random() < 0.5:
        devices.append((f"{users[0]}2", users[0]))
    clients = [
        ClientPlan(name, user, chance.choice(names), _draw_steps(chance, user, users, groups)) for name, user in devices
    ]
    return Plan(
        seed=seed,
        nodes=names,
        groups=groups,
        clients=clients,
        troubles=_draw_troubles(chance, names, [name for name, _ in devices]),
        merge_at=chance.choice((0, 0, 5, 30)),
        outbox_bytes=chance.choice((4_000, 1 << 20)),
    )


def _draw_steps(chance: Random, user: str, users: Sequence[str], groups: dict[str, list[str]]) -> list[AnyStep]:
    rooms = [f"group:{group}" for group in groups] + [dm(user, other) for other in users if other != user]
    others = [other for other in users if other != user]

    def after() -> int:
        return chance.choice((0, 0, int(chance.expovariate(1 / 300))))

    kinds: list[tuple[float, Callable[[], AnyStep]]] = [
        (10, lambda: Send(after_ms=after(), room=chance.choice(rooms))),
        (1, lambda: Edit(after_ms=after(), back=chance.randrange(3))),
        (1, lambda: Delete(after_ms=after(), back=chance.randrange(3))),
        (
            1,
            lambda: React(
                after_ms=after(), room=chance.choice(rooms), seq=chance.randint(1, 20), on=chance.random() < 0.7
            ),
        ),
        (1.5, lambda: Look(after_ms=after(), room=chance.choice(rooms))),
        (0.7, lambda: Reconnect(after_ms=after())),
        (0.5, lambda: Pause(after_ms=after(), for_ms=int(chance.expovariate(1 / 1000)))),
        (
            0.5,
            lambda: Contact(after_ms=after(), user=chance.choice(others), action=chance.choice(("block", "unblock"))),
        ),
    ]
    if groups:
        kinds.append((1.5, lambda: _draw_group(chance, after(), user, users, groups)))
    weights = [weight for weight, _ in kinds]
    return [make() for _, make in chance.choices(kinds, weights, k=chance.randint(5, 25))]


def _draw_group(chance: Random, after_ms: int, user: str, users: Sequence[str], groups: dict[str, list[str]]) -> Group:
    """Mostly something that the user may do."""
    group = chance.choice(list(groups))
    if groups[group][0] != user and chance.random() < 0.8:
        return Group(after_ms=after_ms, group=group, action="leave", user=user)
    return Group(
        after_ms=after_ms, group=group, action=chance.choice(("add", "add", "remove")), user=chance.choice(users)
    )


def _draw_server(chance: Random, name: str, nodes: Sequence[str], at_ms: int) -> Server:
    return Server(at_ms=at_ms, what=FAULTS[name](chance, nodes))


def _draw_troubles(chance: Random, nodes: Sequence[str], clients: Sequence[str]) -> list[AnyTrouble]:
    def kill(at_ms: int) -> AnyTrouble:
        down_ms = int(chance.expovariate(1 / 500))
        return Kill(
            at_ms=at_ms,
            node=chance.choice(nodes),
            down_ms=down_ms,
            keep=chance.random() < 0.3,
            silent=chance.random() < 0.3,
        )

    kinds: list[Callable[[int], AnyTrouble]] = [
        kill,
        kill,
        lambda at_ms: Stop(at_ms=at_ms, node=chance.choice(nodes), down_ms=int(chance.expovariate(1 / 500))),
        lambda at_ms: Stall(at_ms=at_ms, node=chance.choice(nodes), for_ms=int(chance.expovariate(1 / 1500))),
        lambda at_ms: Failing(
            at_ms=at_ms,
            node=chance.choice(nodes),
            how=[chance.choice(("lost", "kept", "full")) for _ in range(chance.randint(1, 3))],
        ),
        lambda at_ms: Sever(at_ms=at_ms, client=chance.choice(clients), silent=chance.random() < 0.5),
        lambda at_ms: Sever(at_ms=at_ms, client=chance.choice(clients), silent=chance.random() < 0.5),
        lambda at_ms: Clock(
            at_ms=at_ms, node=chance.choice(nodes), skew_ms=int(chance.choice((-1, 1)) * chance.expovariate(1 / 60_000))
        ),
    ]
    some = chance.sample(kinds, chance.randint(1, 4))
    if len(nodes) > 1:
        for name in chance.sample(list(FAULTS), chance.randint(0, 4)):
            some.append(partial(_draw_server, chance, name, nodes))
    times = sorted(int(chance.random() * TROUBLE_MS) for _ in range(chance.randint(0, 6)))
    return [chance.choice(some)(at_ms) for at_ms in times]
