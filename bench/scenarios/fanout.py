"""One member of a group writes, all members listen; deliveries a second, over all members.

The yardstick is the barest loop that does the same (bench/limit/fanout.py), driven by the same load.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from bench.faults import Broken
from bench.load.client import Client, connected, signed_in
from bench.load.fanout import Fanout
from bench.load.frames import Bodies, Log
from bench.load.loop import Driver
from bench.load.outcome import Length
from bench.load.sender import Sender
from bench.load.tape import Tape
from bench.results import Bound, Drawn, Measure
from bench.scenarios.stage import Stage, measure
from bench.server import Gochat, Running, data_folder, limit_fanout

_ROOM = "group:bench"
_ADD = 200  # Users in one `add`: the contract's limit.
_LATENCY = "send to last member"


class Options(NamedTuple):
    length: Length
    members: int = 1000
    window: int = 64
    body: int = 100
    turns: int = 3
    keys: bool = True
    yardsticks: bool = True


def run(stage: Stage, options: Options) -> Drawn:
    measures = []
    for turn in range(1, options.turns + 1):
        measures.append(_gochat(stage, options, turn))
        if options.yardsticks:
            measures += [_limit(stage, options, turn, single=single) for single in (False, True)]
    load = measures[0].load
    bounds = [
        Bound(load=load, target="gochat", against="limit", at_least=0.5),
        Bound(load=load, target="limit, single sends", against="limit", at_most=0.2),
    ]
    return Drawn(measures, bounds if options.yardsticks else [])


def _gochat(stage: Stage, options: Options, turn: int) -> Measure:
    names = [f"u{number:04d}" for number in range(options.members)]
    with data_folder(stage.data) as folder:
        server = Gochat(stage.wire, folder, stage.cores, stage.program)
        with server.run() as running:
            with signed_in(running.address, server.issuer, names[:1]) as [(owner, _)]:
                base = make_group(owner, "bench", names[1:])
            with signed_in(running.address, server.issuer, names) as signed:
                return _drive(running, [client for client, _ in signed], base, options, "gochat", turn)


def make_group(owner: Client, name: str, users: Sequence[str]) -> int:
    """Create the group with all `users` in it; its head."""
    owner.write(type="group", id=1, name=name, action="create", users=users[:_ADD])
    [done] = owner.replies(1)
    for start in range(_ADD, len(users), _ADD):
        owner.write(type="group", id=start, name=name, action="add", users=users[start : start + _ADD])
        [done] = owner.replies(1)
    return done.seq


def _limit(stage: Stage, options: Options, turn: int, *, single: bool) -> Measure:
    with (
        data_folder(stage.data) as folder,
        limit_fanout(options.members, folder, stage.cores, single=single) as running,
        connected(running.address, [f"u{number:04d}" for number in range(options.members)]) as clients,
    ):
        return _drive(running, clients, 0, options, "limit, single sends" if single else "limit", turn)


def _drive(running: Running, clients: list[Client], base: int, options: Options, target: str, turn: int) -> Measure:
    bodies = Bodies(options.body)
    sender_client, *listeners = clients
    sender = Sender(sender_client, _ROOM, Log(_ROOM, sender_client.name, base, bodies), bodies, keys=options.keys)
    tape = Tape(running.address.wire.split, Log(_ROOM, sender_client.name, base, bodies))
    with closing(Driver(Fanout(sender, listeners, tape, options.window))) as driver:
        stretch = measure(driver, running.pid, options.length)
    outcome = stretch.outcome
    if not outcome.messages:
        raise Broken("nothing was sent in the time given: give it more --seconds")
    deliveries = outcome.messages * len(clients)
    return Measure(
        load=f"fanout {len(clients)} W={options.window}",
        target=target,
        turn=turn,
        value=deliveries / outcome.seconds,
        unit="deliveries/s",
        messages=outcome.messages,
        seconds=outcome.seconds,
        latency_of=_LATENCY,
        latency_ns=outcome.latency.buckets(),
        generator_cpu=stretch.generator_cpu,
        server_cpu_us_per_message=stretch.cpu_us(outcome.messages),
        server_cpu_us_per_delivery=stretch.cpu_us(deliveries),
        server_rss_mb=stretch.server_rss_mb,
    )
