"""One member of a group writes, all members listen; deliveries a second, over all members.

The yardstick is the barest loop that does the same (bench/limit/fanout.py), driven by the same load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from bench.load.client import Client, connected, signed_in
from bench.load.fanout import Fanout
from bench.load.fleet import Part
from bench.load.frames import Log
from bench.load.outcome import Length
from bench.load.sender import Sender
from bench.load.shared import Board
from bench.load.tape import Tape
from bench.results import Bound, Drawn, Measure
from bench.scenarios.dm import against_off
from bench.scenarios.stage import Server, Stage
from bench.server import Running, data_folder, limit_fanout

_ADD = 200  # Users in one `add`: the contract's limit.

Connect = Callable[[Sequence[str]], AbstractContextManager[list[Client]]]


class Options(NamedTuple):
    length: Length
    members: int = 1000
    window: int = 64
    body: int = 100
    turns: int = 3
    keys: bool = True
    yardsticks: bool = True
    rate: float = 0.0
    """Open loop: messages a second. 0: closed loop."""


def run(stage: Stage, options: Options) -> Drawn:
    measures = []
    yardsticks = options.yardsticks and stage.place is None and not options.rate and stage.rules == "default"
    for turn in range(1, options.turns + 1):
        for target, rules in stage.targets():
            with stage.server(rules) as server:
                measures.append(gochat(stage, server, options, turn, target))
        if yardsticks:
            measures += [_limit(stage, options, turn, single=single) for single in (False, True)]
    if not yardsticks:
        return Drawn(measures, against_off(stage, measures))
    load, target = measures[0].load, measures[0].target
    return Drawn(
        measures,
        [
            Bound(load=load, target=target, against="limit", at_least=0.5),
            Bound(load=load, target="limit, single sends", against="limit", at_most=0.2),
        ],
    )


def gochat(stage: Stage, server: Server, options: Options, turn: int, target: str) -> Measure:
    with server.run() as running:
        names, group = server.names("u", options.members), server.group("bench")
        base = made_group(running, server, group, names)

        @contextmanager
        def connect(mine: Sequence[str]) -> Iterator[list[Client]]:
            with signed_in(running.address, server.issuer, mine) as signed:
                yield [client for client, _ in signed]

        return _drive(stage, running, names, connect, f"group:{group}", base, options, target, turn)


def made_group(running: Running, server: Server, group: str, names: Sequence[str]) -> int:
    """Have the first of the users make a group with all of them; its head."""
    with signed_in(running.address, server.issuer, names[:1]) as [(owner, _)]:
        return make_group(owner, group, names[1:])


def make_group(owner: Client, name: str, users: Sequence[str]) -> int:
    """Create the group with all `users` in it; its head."""
    owner.write(type="group", id=1, name=name, action="create", users=users[:_ADD])
    [done] = owner.replies(1)
    for start in range(_ADD, len(users), _ADD):
        owner.write(type="group", id=start, name=name, action="add", users=users[start : start + _ADD])
        [done] = owner.replies(1)
    return done.seq


def _limit(stage: Stage, options: Options, turn: int, *, single: bool) -> Measure:
    names = [f"u{number:04d}" for number in range(options.members)]
    target = "limit, single sends" if single else "limit"
    with (
        data_folder(stage.data) as folder,
        limit_fanout(options.members, folder, stage.cores, single=single) as running,
    ):

        def connect(mine: Sequence[str]) -> AbstractContextManager[list[Client]]:
            return connected(running.address, mine)

        stage = stage._replace(syscalls=False)
        return _drive(stage, running, names, connect, "group:bench", 0, options, target, turn)


def _drive(
    stage: Stage,
    running: Running,
    names: Sequence[str],
    connect: Connect,
    room: str,
    base: int,
    options: Options,
    target: str,
    turn: int,
) -> Measure:
    bodies, board = stage.bodies(options.body), Board()

    def log() -> Log:
        return Log(room, names[0], base, bodies)

    @contextmanager
    def make(part: Part) -> Iterator[Fanout]:
        with connect(names[part.index :: part.count]) as clients:
            # The first process has the first user, who writes.
            sender = Sender(clients[0], room, log(), bodies, keys=options.keys) if part.index == 0 else None
            listeners = clients[1:] if sender else clients
            yield Fanout(sender, listeners, Tape(running.address.wire.split, log()), options.window, board)

    with stage.rig(running, make, f"fanout, {target}, turn {turn}") as rig:
        stretch = rig.measure(options.length._replace(rate=options.rate, window=options.window, whole=True))
    deliveries = stretch.outcome.messages * len(names)
    how = f"{options.rate:g}/s" if options.rate else f"W={options.window}"
    load = f"fanout {len(names)} {how}"
    return stretch.throughput(deliveries, "deliveries/s", "last", load=load, target=target, turn=turn)
