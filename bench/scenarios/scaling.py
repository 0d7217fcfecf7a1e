"""The cost of one more: marginal CPU time a delivery, by the size of the room; a message and a page, by the number of
stored messages; and the others' acks while a message goes to a very big room.

Marginal: n messages, then 4n in the same room; (cost(4n) - cost(n)) / 3n deliveries leaves out the costs that do not
grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench import procfs
from bench.load.beside import Beside
from bench.load.client import signed_in
from bench.load.fanout import Fanout
from bench.load.fleet import Part
from bench.load.frames import Log
from bench.load.loop import Load
from bench.load.outcome import Length
from bench.load.sender import Sender
from bench.load.shared import Board
from bench.load.tape import Tape
from bench.results import Drawn, Measure, milliseconds
from bench.scenarios import dm, history
from bench.scenarios.fanout import made_group
from bench.scenarios.stage import Server, Stage
from bench.scenarios.stored import filled
from bench.server import Running


class Options(NamedTuple):
    length: Length
    members: Sequence[int] = (100, 1000, 10_000)
    messages: int = 256
    """n."""
    stored: Sequence[int] = (10**3, 10**4, 10**5, 10**6, 10**7)
    big: int = 10_000
    """Members of the room beside which others write; 0: not measured."""
    pairs: int = 10
    rate: float = 2.0
    """Messages a second to the big room."""
    window: int = 64
    body: int = 100
    turns: int = 1


def run(stage: Stage, options: Options) -> Drawn:
    stage.own("scaling")
    measures: list[Measure] = []
    for turn in range(1, options.turns + 1):
        measures += [_marginal(stage, options, members, turn) for members in options.members]
        for messages in options.stored:
            measures += _stored(stage, options, messages, turn)
        if options.big:
            measures += _side_records(stage, options, turn)
    return Drawn(measures, [])


def _marginal(stage: Stage, options: Options, members: int, turn: int) -> Measure:
    with stage.server() as server, server.run() as running:
        names = server.names("u", members)
        base = made_group(running, server, "bench", names)
        board = Board()

        @contextmanager
        def make(part: Part) -> Iterator[Load]:
            with _fanout(stage, server, running, names, base, board, part, options) as load:
                yield load

        with stage.rig(running, make, f"scaling, {members} members, turn {turn}") as rig:
            few = options.length._replace(messages=options.messages, window=options.window, whole=True)
            rig.drives.drive(few)
            before = procfs.cpu_s(running.pid)
            rig.plain(few)
            between = procfs.cpu_s(running.pid)
            stretch = rig.plain(few._replace(messages=4 * options.messages))
            after = procfs.cpu_s(running.pid)
    deliveries = stretch.outcome.messages * members
    return stretch.measure(
        load=f"scaling fanout {members:,} members",
        target="gochat",
        turn=turn,
        value=((after - between) - (between - before)) * 1e6 / (3 * options.messages * members),
        unit="us/delivery",
        deliveries=deliveries,
        latency="last",
    )


@contextmanager
def _fanout(
    stage: Stage,
    server: Server,
    running: Running,
    names: Sequence[str],
    base: int,
    board: Board,
    part: Part,
    options: Options,
) -> Iterator[Fanout]:
    room, bodies = "group:bench", stage.bodies(options.body)
    with signed_in(running.address, server.issuer, names[part.index :: part.count]) as signed:
        clients = [client for client, _ in signed]
        log = Log(room, names[0], base, bodies)
        sender = Sender(clients[0], room, log, bodies, keys=True) if part.index == 0 else None
        tape = Tape(running.address.wire.split, Log(room, names[0], base, bodies))
        yield Fanout(sender, clients[1:] if sender else clients, tape, options.window, board)


def _stored(stage: Stage, options: Options, messages: int, turn: int) -> list[Measure]:
    pages = history.Options(options.length, messages=messages)
    with filled(stage, "default", pages.clients, messages, index=False) as stored:
        page = history.ask(stage, stored, pages, turn, "gochat")
        writers, readers = stored.server.names("a", options.pairs), stored.server.names("b", options.pairs)
        talk = dm.Options(options.length, pairs=options.pairs)

        @contextmanager
        def make(part: Part) -> Iterator[Load]:
            mine = slice(part.index, None, part.count)
            with dm.make_pairs(stage, stored.server, stored.running, writers[mine], readers[mine], talk) as pairs:
                yield pairs

        with stage.rig(stored.running, make, f"scaling, dm, {messages:,} stored, turn {turn}") as rig:
            stretch = rig.measure(options.length)
    common = {"target": "gochat", "turn": turn, "unit": "us/message"}
    sent = stretch.measure(
        load=f"scaling dm {messages:,} stored",
        value=stretch.cpu_us(stretch.outcome.messages),
        deliveries=stretch.outcome.messages,
        latency="settled",
        **common,
    )
    page.load, page.unit, page.value = f"scaling page {messages:,} stored", "us/page", page.server_cpu_us_per_message
    return [sent, page]


def _side_records(stage: Stage, options: Options, turn: int) -> list[Measure]:
    """With several processes the first has the pairs and the sender, and the others all who listen."""
    with stage.server() as server, server.run() as running:
        names = server.names("u", options.big)
        base = made_group(running, server, "bench", names)
        board = Board()
        writers, readers = server.names("a", options.pairs), server.names("b", options.pairs)
        talk = dm.Options(options.length, pairs=options.pairs)

        @contextmanager
        def make(part: Part) -> Iterator[Load]:
            with _fanout(stage, server, running, names, base, board, part, options) as fanout:
                if part.index:
                    yield fanout
                else:
                    with dm.make_pairs(stage, server, running, writers, readers, talk) as pairs:
                        yield Beside(fanout, pairs)

        with stage.rig(running, make, f"scaling, beside {options.big}, turn {turn}") as rig:
            stretch = rig.measure(options.length._replace(rate=options.rate, whole=True))
    measures = []
    for latency, load in (("ack, others", "quiet"), ("ack, meanwhile", f"a message to {options.big:,}")):
        found = stretch.outcome.book[latency].buckets()
        measure = stretch.measure(
            load=f"scaling others' acks, {load}",
            target="gochat",
            turn=turn,
            value=milliseconds([found]).get("p99", 0.0),
            unit="ms at p99",
            deliveries=stretch.outcome.messages * options.big,
            latency=latency,
        )
        [other] = {"ack, others", "ack, meanwhile"} - {latency}
        measure.latencies.pop(other, None)
        measure.hdr.pop(other, None)
        measures.append(measure)
    return measures
