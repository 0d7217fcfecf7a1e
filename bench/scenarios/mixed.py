"""A day of a community, compressed into the time of the run: deliveries a second at a planned rate, and latencies.

`soak` is the same at an even rate and for long; what is wanted of it is that the server's memory does not grow.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.load.acquaint import befriend, settle
from bench.load.client import signed_in
from bench.load.community import Community
from bench.load.fleet import Part
from bench.load.ledger import Ledger
from bench.load.mixed import ACTIONS, Mixed
from bench.load.outcome import Length
from bench.load.person import Person
from bench.load.totals import Totals, rooms_here
from bench.results import Drawn, Measure
from bench.scenarios.dm import against_off
from bench.scenarios.fanout import make_group
from bench.scenarios.stage import Rig, Server, Stage, Stretch
from bench.server import Running

_WAVE = 25


class Options(NamedTuple):
    length: Length
    users: int = 500
    rooms: int = 100
    rate: float = 200.0
    """Actions a second, over all users."""
    body: int = 100
    turns: int = 1
    soak: bool = False
    actions: Mapping[str, int] = ACTIONS


def run(stage: Stage, options: Options) -> Drawn:
    measures: list[Measure] = []
    for turn in range(1, options.turns + 1):
        for target, rules in stage.targets():
            with stage.server(rules) as server:
                measures += _gochat(stage, server, options, turn, target)
    return Drawn(measures, against_off(stage, measures))


def _gochat(stage: Stage, server: Server, options: Options, turn: int, target: str) -> list[Measure]:
    name = "soak" if options.soak else "mixed"
    length = options.length._replace(rate=options.rate, shape="poisson" if options.soak else "day", seed=turn)
    with community(stage, server, options, f"{name}, {target}, turn {turn}") as rig:
        stretch = rig.measure(length)
    load = f"{name} {options.users} users {options.rate:g}/s"
    found = measured(stretch, load, target, turn)
    return [found, *_growth(stretch, load, target, turn)] if options.soak else [found]


@contextmanager
def community(stage: Stage, server: Server, options: Options, label: str) -> Iterator[Rig]:
    """The load of a community that is connected; at the end all must have had the same."""
    with server.run() as running:
        groups = [server.group(f"room{number:03d}") for number in range(options.rooms)]
        people = Community.make(server.names("p", options.users), groups)
        make_rooms(running, server, people)
        members = people.members()
        totals = Totals(stage.processes, len(members))

        @contextmanager
        def make(part: Part) -> Iterator[Mixed]:
            with _people(running, server, people, members, part) as mine:
                ledger = Ledger(rooms_here(members, [person.name for person in mine]), stage.bodies(options.body))
                bodies = stage.bodies(options.body)
                yield Mixed(mine, ledger, bodies, running.address, totals, part, server.series, options.actions)

        with stage.rig(running, make, label) as rig:
            yield rig
        totals.check(list(members))


def measured(stretch: Stretch, load: str, target: str, turn: int) -> Measure:
    deliveries = stretch.outcome.deliveries
    return stretch.throughput(deliveries, "deliveries/s", "deliver", load=load, target=target, turn=turn)


def _growth(stretch: Stretch, load: str, target: str, turn: int) -> list[Measure]:
    """Megabytes an hour: the slope of the memory after the first third, in which caches fill."""
    points = [point for point in stretch.memory if point[0] > stretch.outcome.seconds / 3]
    if len(points) < 3:
        return []
    slope, _ = statistics.linear_regression(*zip(*points, strict=True))
    return [
        Measure(
            load=f"{load}, memory",
            target=target,
            turn=turn,
            value=slope * 3600,
            unit="MB/hour",
            seconds=stretch.outcome.seconds,
            server_rss_mb=points[-1][1],
            memory=list(stretch.memory),
        )
    ]


def make_rooms(running: Running, server: Server, community: Community) -> None:
    """Have the owners make their groups, and the pairs become contacts."""
    rooms, users = list(community.rooms.items()), list(community.users)
    for start in range(0, len(rooms), _WAVE):
        wave = rooms[start : start + _WAVE]
        owners = list(dict.fromkeys(members[0] for _, members in wave))
        with signed_in(running.address, server.issuer, owners) as signed:
            clients = {client.name: client for client, _ in signed}
            for name, members in wave:
                make_group(clients[members[0]], name, members[1:])
    with signed_in(running.address, server.issuer, users) as signed:
        clients = {client.name: client for client, _ in signed}
        befriend([(clients[one], clients[other]) for one, other in community.pairs])


@contextmanager
def _people(
    running: Running, server: Server, community: Community, members: dict[str, list[str]], part: Part
) -> Iterator[Sequence[Person]]:
    """This process' share of the users, signed in."""
    mine: dict[str, list[str]] = {user: [] for user in list(community.users)[part.index :: part.count]}
    for room, users in members.items():
        for user in users:
            if user in mine:
                mine[user].append(room)
    with signed_in(running.address, server.issuer, list(mine)) as signed:
        settle([client for client, _ in signed])
        yield [
            Person(
                client,
                welcome,
                server.issuer.token(client.name),
                [room for room in mine[client.name] if room.startswith("group:")],
                [room for room in mine[client.name] if room.startswith("dm:")],
            )
            for client, welcome in signed
        ]
