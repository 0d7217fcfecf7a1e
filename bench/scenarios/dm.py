"""Pairs of users, one of each writes to the other; messages a second that were acked and delivered.

The yardstick is a naive trio-websocket echo (bench/limit/echo.py): one connection a pair, the same frames, the same
number in flight.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import NamedTuple

from bench.load.acquaint import befriend, head, room_of, settle
from bench.load.client import Address, Client, connected, signed_in
from bench.load.fleet import Part
from bench.load.frames import Log
from bench.load.outcome import Length
from bench.load.pairs import Pairs, Receiver
from bench.load.requests import RequestSocket
from bench.load.rest import HttpClient, RestSender
from bench.load.sender import Sender
from bench.results import Bound, Drawn, Measure
from bench.scenarios.stage import Rig, Server, Stage
from bench.server import Running, data_folder, limit_echo

#: The least ratio of gochat's messages a second to the echo's, by the number in flight.
_WANTED = {1: 0.45, 16: 2.0}

#: Until what was acknowledged on one node is told on all of a cluster, with everybody's contacts made at once.
_TOLD_ELSEWHERE_S = 2.0


class Options(NamedTuple):
    length: Length
    pairs: int = 100
    windows: Sequence[int] = (1, 16)
    body: int = 100
    turns: int = 3
    keys: bool = True
    yardsticks: bool = True
    rate: float = 0.0
    """Open loop: messages a second, over all pairs. 0: closed loop."""

    @property
    def plan(self) -> Length:
        return self.length._replace(rate=self.rate)


def run(stage: Stage, options: Options) -> Drawn:
    measures: list[Measure] = []
    yardsticks = options.yardsticks and stage.place is None and not options.rate and stage.rules == "default"
    for turn in range(1, options.turns + 1):
        for target, rules in stage.targets():
            measures += _gochat(stage, options, turn, target, rules)
        if yardsticks:
            measures += _echo(stage, options, turn)
    return Drawn(measures, _bounds(stage, options, measures) if yardsticks else against_off(stage, measures))


def against_off(stage: Stage, measures: Sequence[Measure]) -> list[Bound]:
    """With `--rules full`: the ratio to the server that checks nothing."""
    if stage.rules != "full":
        return []
    (first, _), (second, _) = stage.targets()
    loads = dict.fromkeys(measure.load for measure in measures)
    return [Bound(load=load, target=first, against=second) for load in loads]


def _bounds(stage: Stage, options: Options, measures: Sequence[Measure]) -> list[Bound]:
    return [
        Bound(load=_load(stage, options, window), target=measures[0].target, against="echo", at_least=_WANTED[window])
        for window in options.windows
        if window in _WANTED and not stage.rest
    ]


def _load(stage: Stage, options: Options, window: int) -> str:
    how = f"{options.rate:g}/s" if options.rate else f"W={window}"
    return f"dm {options.pairs} pairs {how}{' REST' if stage.rest else ''}"


def _gochat(stage: Stage, options: Options, turn: int, target: str, rules: str) -> list[Measure]:
    # A kept connection that only posts has not signed in, as far as the server's door is concerned.
    doors = {"limits__unauthenticated": "100000", "limits__unauthenticated_per_address": "100000"} if stage.rest else {}
    with (
        stage.server(rules, **doors) as server,
        server.run() as running,
        chatting(stage, server, running, options, f"dm, {target}, turn {turn}") as rig,
    ):
        return list(_drive(stage, rig, options, target, turn))


@contextmanager
def chatting(stage: Stage, server: Server, running: Running, options: Options, label: str) -> Iterator[Rig]:
    """The pairs of a server, each driven by one of the load's processes."""
    writers, readers = server.names("a", options.pairs), server.names("b", options.pairs)

    @contextmanager
    def make(part: Part) -> Iterator[Pairs]:
        mine = slice(part.index, None, part.count)
        with make_pairs(stage, server, running, writers[mine], readers[mine], options) as pairs:
            yield pairs

    with stage.rig(running, make, label) as rig:
        yield rig


@contextmanager
def make_pairs(
    stage: Stage,
    server: Server,
    running: Running,
    writers: Sequence[str],
    readers: Sequence[str],
    options: Options,
    reading: Address | None = None,
) -> Iterator[Pairs]:
    """The pairs, connected, and contacts of each other. `reading`: where the readers connect, if not to `running`."""
    bodies = stage.bodies(options.body)
    with ExitStack() as stack:
        signed = stack.enter_context(signed_in(reading or running.address, server.issuer, readers))
        listening = [client for client, _ in signed]
        talking_stack = stack.enter_context(ExitStack())
        signed = talking_stack.enter_context(signed_in(running.address, server.issuer, writers))
        talking = [client for client, _ in signed]
        for client in talking:
            if isinstance(client.sock, RequestSocket):
                client.sock.polls = False  # The replies to a writer's messages bring all that it is owed.
        befriend(list(zip(talking, listening, strict=True)))
        if reading is not None:
            time.sleep(_TOLD_ELSEWHERE_S)
        settle([*talking, *listening])
        pairs: list[tuple[Sender | RestSender, Receiver | None]] = []
        for client, peer in zip(talking, listening, strict=True):
            room = room_of(client.name, peer.name)
            # Only where others may have been before.
            base = head(client, room) if stage.place is not None else 0
            mine, theirs = (Log(room, client.name, base, bodies) for _ in range(2))
            sender: Sender | RestSender
            to = f"user:{peer.name}"
            if stage.rest:
                door = stack.enter_context(closing(HttpClient(*running.http, client.name)))
                token = server.issuer.token(client.name)
                sender = RestSender(
                    door, f"user:{peer.name}", mine, bodies, token=token, keys=options.keys, series=server.series
                )
            else:
                sender = Sender(client, to, mine, bodies, keys=options.keys, series=server.series)
            pairs.append((sender, Receiver(peer, theirs)))
        if stage.rest:
            talking_stack.close()
        yield Pairs(pairs, 1)


def _echo(stage: Stage, options: Options, turn: int) -> list[Measure]:
    with data_folder(stage.data) as folder, limit_echo(folder, stage.cores) as running:
        names = [f"a{number:04d}" for number in range(options.pairs)]

        @contextmanager
        def make(part: Part) -> Iterator[Pairs]:
            with connected(running.address, names[part.index :: part.count]) as clients:
                yield Pairs([(_echoed(stage, options, client), None) for client in clients], 1)

        with stage._replace(syscalls=False).rig(running, make, f"dm, echo, turn {turn}") as rig:
            return list(_drive(stage, rig, options, "echo", turn))


def _echoed(stage: Stage, options: Options, client: Client) -> Sender:
    bodies = stage.bodies(options.body)
    return Sender(client, f"user:b{client.name[1:]}", Log("", "", 0, bodies), bodies, keys=options.keys)


def _drive(stage: Stage, rig: Rig, options: Options, target: str, turn: int) -> Iterator[Measure]:
    for window in (1,) if options.rate else options.windows:
        stretch = rig.measure(options.plan._replace(window=window))
        load = _load(stage, options, window)
        yield stretch.throughput(stretch.outcome.messages, "messages/s", "settled", load=load, target=target, turn=turn)
