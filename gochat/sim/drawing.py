"""Draws plans from seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final

from msgspec.structs import replace

from gochat.cluster import faults
from gochat.sim.plan import (
    AnyStep,
    AnyTrouble,
    Blackout,
    ClientPlan,
    Clock,
    Contact,
    Delete,
    Edit,
    Failing,
    Forget,
    Group,
    Guess,
    Join,
    Kill,
    Leave,
    Look,
    Loss,
    Pause,
    Plan,
    React,
    Reconnect,
    Rollback,
    Send,
    Server,
    Sever,
    Stall,
    Stop,
    dm,
)
from gochat.sim.server import FAULTS
from gochat.sim.situations import draw_situation

#: While troubles come, in milliseconds.
TROUBLE_MS: Final = 6_000
#: One in so many plans for a cluster is a situation.
EACH_SITUATION: Final = 3
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
    plan = Plan(
        seed=seed,
        nodes=names,
        groups=groups,
        clients=clients,
        troubles=_draw_troubles(chance, names, [name for name, _ in devices]),
        merge_at=chance.choice((0, 0, 5, 30)),
        outbox_bytes=chance.choice((4_000, 1 << 20)),
    )
    if nodes == 1:
        return plan
    if seed % EACH_SITUATION == 2:
        return draw_situation(chance, plan, seed // EACH_SITUATION)
    return _with_churn(chance, plan)


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


# ---------------------------------------------------------------------------------------------- a cluster's nodes

#: The machine that is none of the cluster's at the begin.
SPARE: Final = "n4"
#: Faults after which the server knows nothing any more of a node that is down. A folder that is rolled back then passes
#: for what it was.
_FORGETTING: Final = (faults.EverythingLost, faults.Dumped, faults.Restored, faults.Flipped)


def _with_churn(chance: Random, plan: Plan) -> Plan:
    """The plan with what only several nodes can meet."""
    clients = [replace(client, steps=_with_more(chance, client, plan)) for client in plan.clients]
    if chance.random() < 0.6:
        clients = _with_a_race(chance, clients, plan)
    troubles = list(plan.troubles)
    if chance.random() < 0.15:
        troubles.append(_draw_blackout(chance, plan.nodes))
    if chance.random() < 0.5:
        troubles += [_draw_churn(chance, plan.nodes) for _ in range(chance.randint(1, 2))]
    if any(isinstance(trouble, Rollback) for trouble in troubles):
        troubles = [each for each in troubles if not isinstance(getattr(each, "what", None), _FORGETTING)]
    return replace(
        plan,
        clients=clients,
        troubles=sorted(troubles, key=lambda trouble: trouble.at_ms),
        spares=[SPARE] if any(isinstance(trouble, Join) for trouble in troubles) else [],
        window=chance.choice((0, 0, 0, 0, 10, 30)),
    )


def _with_more(chance: Random, client: ClientPlan, plan: Plan) -> list[AnyStep]:
    steps = list(client.steps)
    rooms = [f"group:{group}" for group in plan.groups]
    rooms += [dm(client.user, other) for other in plan.users if other != client.user]
    owned = [group for group, members in plan.groups.items() if members[0] == client.user]
    for _ in range(chance.choice((0, 0, 1, 2))):
        steps.insert(chance.randint(0, len(steps)), Guess(room=chance.choice(rooms)))
    for _ in range(chance.choice((0, 2, 5))):
        after_ms = int(chance.expovariate(1 / 300))
        steps.insert(chance.randint(0, len(steps)), Send(after_ms=after_ms, room=chance.choice(rooms), keyed=False))
    if owned:
        for _ in range(chance.choice((0, 1, 2, 3))):
            step = Group(
                after_ms=int(chance.expovariate(1 / 300)),
                group=chance.choice(owned),
                action=chance.choice(("mute", "mute", "unmute")),
                user=chance.choice(plan.users),
            )
            steps.insert(chance.randint(0, len(steps)), step)
    return steps


def _with_a_race(chance: Random, clients: Sequence[ClientPlan], plan: Plan) -> list[ClientPlan]:
    """The clients with a race at their begin, of two on different nodes: one writes, the other one changes what that
    depends on."""
    groups = [group for group, members in plan.groups.items() if len(members) > 1]
    kind = chance.choice(("member", "mute", "block", "guess", "delete") if groups else ("block", "guess", "delete"))
    group = chance.choice(groups) if kind in ("member", "mute") else ""
    owner = plan.groups[group][0] if group else chance.choice(plan.users)
    writer = chance.choice([user for user in (plan.groups[group] if group else plan.users) if user != owner])
    room = f"group:{group}" if group else dm(owner, writer)
    node, other = chance.sample(plan.nodes, 2)

    def after() -> int:
        return chance.choice((0, 5, int(chance.expovariate(1 / 30))))

    writes: list[AnyStep] = [Look(room=room)]
    changes: list[AnyStep] = [Look(room=room)]
    for _ in range(chance.randint(5, 25)):
        writes.append(Guess(room=room) if kind == "guess" else Send(after_ms=chance.choice((0, 0, 5)), room=room))
        if kind == "delete":
            writes.append(Delete(after_ms=after(), back=0))
            changes.append(React(after_ms=after(), room=room, seq=99, on=True))
        elif kind == "guess":
            changes.append(Send(after_ms=after(), room=room))
    for _ in range(3):
        if kind == "block":
            changes += [Contact(after_ms=after(), user=writer, action=action) for action in ("block", "unblock")]
        elif kind == "member":
            changes += [Group(after_ms=after(), group=group, action=act, user=writer) for act in ("remove", "add")]
        elif kind == "mute":
            changes += [Group(after_ms=after(), group=group, action=act, user=writer) for act in ("mute", "unmute")]
    begins = {writer: (node, writes), owner: (other, changes)}
    return [
        replace(client, node=begins[client.name][0], steps=[*begins[client.name][1], *client.steps])
        if client.name in begins
        else client
        for client in clients
    ]


def _draw_blackout(chance: Random, nodes: Sequence[str]) -> Blackout:
    lost = chance.choice(("tail lost", "restarted empty", "much lost", "promoted", "old dump"))
    return Blackout(
        at_ms=int(chance.random() * TROUBLE_MS),
        down_ms=int(chance.expovariate(1 / 500)),
        keep=chance.random() < 0.3,
        what=FAULTS[lost](chance, nodes),
    )


def _draw_churn(chance: Random, nodes: Sequence[str]) -> AnyTrouble:
    at_ms, node = int(chance.random() * TROUBLE_MS), chance.choice(nodes)
    back_ms = int(chance.expovariate(1 / 1500))
    kind = chance.choice(("leave", "loss", "loss", "forget", "forget", "rollback", "join"))
    if kind == "leave":
        return Leave(at_ms=at_ms, node=node, back_ms=chance.choice((None, back_ms, back_ms)))
    if kind == "loss":
        return Loss(at_ms=at_ms, node=node, back_ms=back_ms, empty=chance.random() < 0.3)
    if kind == "forget":
        return Forget(at_ms=at_ms, node=node, cut_off=chance.random() < 0.5, back_ms=back_ms)
    if kind == "rollback":
        return Rollback(at_ms=at_ms, node=node, down_ms=back_ms)
    return Join(at_ms=at_ms, node=SPARE, empty=chance.random() < 0.3)
