"""Pairs of users, one of each writes to the other; messages a second that were acked and delivered.

The yardstick is a naive trio-websocket echo (bench/limit/echo.py): one connection a pair, the same frames, the same
number in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import NamedTuple

from bench.faults import Broken
from bench.load.client import connected, signed_in
from bench.load.frames import Bodies, Log
from bench.load.loop import Driver
from bench.load.outcome import Length
from bench.load.pairs import Pairs, Receiver
from bench.load.sender import Sender
from bench.results import Bound, Drawn, Measure
from bench.scenarios.stage import Stage, measure
from bench.server import Gochat, Running, data_folder, limit_echo

_LATENCY = "send to acked and delivered"
#: What is wanted of gochat's messages a second against the echo's, by the number in flight.
_WANTED = {1: 0.45, 16: 2.0}


class Options(NamedTuple):
    length: Length
    pairs: int = 100
    windows: Sequence[int] = (1, 16)
    body: int = 100
    turns: int = 3
    keys: bool = True
    yardsticks: bool = True


def run(stage: Stage, options: Options) -> Drawn:
    measures: list[Measure] = []
    for turn in range(1, options.turns + 1):
        measures += _gochat(stage, options, turn)
        if options.yardsticks:
            measures += _echo(stage, options, turn)
    bounds = [
        Bound(load=_load(options, window), target="gochat", against="echo", at_least=_WANTED[window])
        for window in options.windows
        if options.yardsticks and window in _WANTED
    ]
    return Drawn(measures, bounds)


def _load(options: Options, window: int) -> str:
    return f"dm {options.pairs} pairs W={window}"


def _gochat(stage: Stage, options: Options, turn: int) -> list[Measure]:
    numbers = range(options.pairs)
    writers, readers = [f"a{number:04d}" for number in numbers], [f"b{number:04d}" for number in numbers]
    bodies = Bodies(options.body)
    with data_folder(stage.data) as folder:
        server = Gochat(stage.wire, folder, stage.cores, stage.program)
        with server.run() as running, signed_in(running.address, server.issuer, writers + readers) as signed:
            clients = [client for client, _ in signed]
            pairs: list[tuple[Sender, Receiver | None]] = []
            for writer, reader in zip(clients[: options.pairs], clients[options.pairs :], strict=True):
                room = f"dm:{writer.name}:{reader.name}"
                mine, theirs = (Log(room, writer.name, 0, bodies) for _ in range(2))
                sender = Sender(writer, f"user:{reader.name}", mine, bodies, keys=options.keys)
                pairs.append((sender, Receiver(reader, theirs)))
            return list(_drive(running, pairs, options, "gochat", turn))


def _echo(stage: Stage, options: Options, turn: int) -> list[Measure]:
    bodies = Bodies(options.body)
    with (
        data_folder(stage.data) as folder,
        limit_echo(folder, stage.cores) as running,
        connected(running.address, [f"a{number:04d}" for number in range(options.pairs)]) as clients,
    ):
        pairs: list[tuple[Sender, Receiver | None]] = []
        for number, client in enumerate(clients):
            sender = Sender(client, f"user:b{number:04d}", Log("", "", 0, bodies), bodies, keys=options.keys)
            pairs.append((sender, None))
        return list(_drive(running, pairs, options, "echo", turn))


def _drive(
    running: Running, pairs: Sequence[tuple[Sender, Receiver | None]], options: Options, target: str, turn: int
) -> Iterable[Measure]:
    load = Pairs(pairs, 1)
    with closing(Driver(load)) as driver:
        for window in options.windows:
            load.window = window
            stretch = measure(driver, running.pid, options.length)
            outcome = stretch.outcome
            if not outcome.messages:
                raise Broken("nothing was sent in the time given: give it more --seconds")
            yield Measure(
                load=_load(options, window),
                target=target,
                turn=turn,
                value=outcome.messages / outcome.seconds,
                unit="messages/s",
                messages=outcome.messages,
                seconds=outcome.seconds,
                latency_of=_LATENCY,
                latency_ns=outcome.latency.buckets(),
                generator_cpu=stretch.generator_cpu,
                server_cpu_us_per_message=stretch.cpu_us(outcome.messages),
                server_rss_mb=stretch.server_rss_mb,
            )
