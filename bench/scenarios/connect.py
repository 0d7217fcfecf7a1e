"""Sign-ins a second: of new sessions, and of ones that resume and have missed something. Closed loop from 64 places.

A sign-in is everything from the first packet: TCP, the upgrade, `hello` with an HS256 token, `welcome` with the user's
rooms; with `resume` also the replay of the missed messages, each of them checked. Then the client goes without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.load.client import signed_in
from bench.load.fleet import Part
from bench.load.frames import Log
from bench.load.ledger import AnyBodies
from bench.load.outcome import Length
from bench.load.storm import Guest, Storm
from bench.results import Drawn, Measure
from bench.scenarios.fanout import make_group
from bench.scenarios.stage import Server, Stage
from bench.server import Running

_GROUP = 100


class Options(NamedTuple):
    length: Length
    users: int = 1000
    places: int = 64
    missed: int = 10
    """Messages that a session which resumes has missed."""
    body: int = 100
    turns: int = 3


def run(stage: Stage, options: Options) -> Drawn:
    measures: list[Measure] = []
    for turn in range(1, options.turns + 1):
        for target, rules in stage.targets():
            with stage.server(rules) as server, server.run() as running:
                names = server.names("u", options.users)
                guests = _guests(running, server, names, stage.bodies(options.body), options.missed)
                measures += [
                    _storm(stage, running, guests[what], what, options, turn, target) for what in ("new", "resuming")
                ]
    return Drawn(measures, [])


def _storm(
    stage: Stage, running: Running, guests: Sequence[Guest], what: str, options: Options, turn: int, target: str
) -> Measure:
    latency = "connect" if what == "new" else "resume"

    @contextmanager
    def make(part: Part) -> Iterator[Storm]:
        places = options.places // part.count or 1
        yield Storm(guests[part.index :: part.count], running.address, places, latency)

    with stage.rig(running, make, f"connect, {what}, {target}, turn {turn}") as rig:
        stretch = rig.measure(options.length)
    load = f"connect {what} x{options.places}"
    return stretch.throughput(stretch.outcome.deliveries, "sign-ins/s", latency, load=load, target=target, turn=turn)


def _guests(
    running: Running, server: Server, names: Sequence[str], bodies: AnyBodies, missed: int
) -> dict[str, list[Guest]]:
    """Groups of 100, in each of which the owner wrote what the others will have missed. Tokens are made before."""
    new, resuming = [], []
    for number, start in enumerate(range(0, len(names), _GROUP)):
        members = names[start : start + _GROUP]
        group = server.group(f"g{number:04d}")
        room = f"group:{group}"
        with signed_in(running.address, server.issuer, members[:1]) as [(owner, _)]:
            base = make_group(owner, group, members[1:])
            for message in range(1, missed + 1):
                owner.write(type="send", id=message, to=room, body=bodies[message], key=str(message))
            owner.replies(missed)

        def log(room: str = room, owner_name: str = members[0], base: int = base) -> Log:
            return Log(room, owner_name, base, bodies)

        for name in members:
            token = server.issuer.token(name)
            new.append(Guest(name, token, 1, {}))
            resuming.append(Guest(name, token, 1, {room: {"seq": base}}, log, missed))
    return {"new": new, "resuming": resuming}
