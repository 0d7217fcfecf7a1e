"""Requests over nng, one in flight a client; the server's CPU time for each.

The yardstick is a bare pynng echo (bench/limit/nng.py) of requests of the same size. The figure of the row `over echo`
is the difference, gochat's own cost. A `ping` is a request that asks for nothing; a `send` is durable when it is
answered, and most of its cost is that of any transport: the row `tcp` is the same load over TCP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import NamedTuple

from bench.load.asks import Asks
from bench.load.client import Client, connected, signed_in
from bench.load.fleet import Part
from bench.load.outcome import Length
from bench.load.requests import RequestSocket
from bench.load.wire import LINES, NNG
from bench.results import Bound, Drawn, Measure
from bench.scenarios.stage import Stage
from bench.server import Running, data_folder, limit_nng

#: The most that a request may cost the server over the echo, in microseconds of CPU time.
_WANTED_US = 60.0
#: The answer to each kind of request.
_ANSWERS = {"ping": "pong", "send": "ack"}
#: Bytes of the session's secret in a request, which the echo's have as well.
_SECRET = "x" * 57


class Options(NamedTuple):
    length: Length
    clients: Sequence[int] = (1, 16)
    body: int = 100
    turns: int = 3


def run(stage: Stage, options: Options) -> Drawn:
    stage = stage._replace(wire=NNG)
    measures: list[Measure] = []
    for turn in range(1, options.turns + 1):
        over_nng = _gochat(stage, options, turn, "gochat")
        over_tcp = _gochat(stage._replace(wire=LINES), options, turn, "tcp")
        for mine, tcp, echo in zip(over_nng, over_tcp, _echo(stage, options, turn), strict=True):
            over = Measure(load=mine.load, target="over echo", turn=turn, value=mine.value - echo.value, unit=mine.unit)
            measures += [mine, tcp, echo, over]
    bounds = [Bound(load=_load("ping", clients), target="over echo", at_most=_WANTED_US) for clients in options.clients]
    return Drawn(measures, bounds)


def _load(kind: str, clients: int) -> str:
    return f"nng {kind} {clients} client{'s' if clients > 1 else ''}"


def _requests(kind: str, body: int, pad: str = "") -> Callable[[Client, int], bytes]:
    text = "x" * body

    def ping(client: Client, number: int) -> bytes:
        return b'{"type":"ping","id":%d,"pad":"%b"}' % (number, (pad + text).encode())

    def send(client: Client, number: int) -> bytes:
        to, key = client.name, f"{client.name}-{number}"
        return f'{{"type":"send","id":{number},"to":"user:{to}","body":"{text}","key":"{key}{pad}"}}'.encode()

    return ping if kind == "ping" else send


def _gochat(stage: Stage, options: Options, turn: int, target: str) -> list[Measure]:
    with stage.server() as server, server.run() as running:
        names = server.names("u", max(options.clients))

        @contextmanager
        def make(part: Part, kind: str) -> Iterator[Asks]:
            with signed_in(running.address, server.issuer, names[part.index :: part.count]) as signed:
                clients = [client for client, _ in signed]
                for client in clients:
                    if isinstance(client.sock, RequestSocket):
                        client.sock.polls = False
                yield Asks(clients, _requests(kind, options.body), _ANSWERS[kind])

        return _drive(stage, running, make, options, turn, target)


def _echo(stage: Stage, options: Options, turn: int) -> list[Measure]:
    with data_folder(stage.data) as folder, limit_nng(folder, stage.cores) as running:
        names = [f"u{number:04d}" for number in range(max(options.clients))]

        @contextmanager
        def make(part: Part, kind: str) -> Iterator[Asks]:
            with connected(running.address, names[part.index :: part.count]) as clients:
                yield Asks(clients, _requests(kind, options.body, _SECRET), kind)

        return _drive(stage._replace(syscalls=False), running, make, options, turn, "echo")


def _drive(
    stage: Stage,
    running: Running,
    make: Callable[[Part, str], AbstractContextManager[Asks]],
    options: Options,
    turn: int,
    target: str,
) -> list[Measure]:
    measures: list[Measure] = []
    for kind in _ANSWERS:
        with stage.rig(running, partial(make, kind=kind), f"nng {kind}, {target}, turn {turn}") as rig:
            for clients in options.clients:
                stretch = rig.measure(options.length._replace(window=clients))
                measures.append(
                    stretch.measure(
                        load=_load(kind, clients),
                        target=target,
                        turn=turn,
                        value=stretch.cpu_us(stretch.outcome.messages),
                        unit="us/request",
                        deliveries=stretch.outcome.messages,
                        latency="ack",
                    )
                )
    return measures
