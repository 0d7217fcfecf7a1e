"""The effect of members who stop reading on the others: a group at a planned rate, first with all reading, then with
some who read nothing. The frames that the slow members find when they look are checked too: all up to some message,
then `lag`, or the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.faults import Fault, Gone
from bench.load.client import Client, signed_in
from bench.load.fanout import Fanout
from bench.load.fleet import Part
from bench.load.frames import Log, Seen, decode, describe
from bench.load.outcome import Length
from bench.load.sender import Sender
from bench.load.shared import Board, shared
from bench.load.tape import Tape
from bench.results import Drawn, Measure
from bench.scenarios.dm import against_off
from bench.scenarios.fanout import made_group
from bench.scenarios.stage import Server, Stage
from bench.server import Running

_BUFFER = 65_536  # Bytes that a slow reader's kernel takes for it.
_WAKE_S = 40.0  # The server's kernel may wait so long before it tries again to send to one that took nothing.
#: The ends that members who did not read may find: everything, or `lag` after some messages, or the end of the
#: connection.
ENDS = ("level", "lag", "closed")


class Options(NamedTuple):
    length: Length
    members: int = 100
    slow: int = 10
    rate: float = 200.0
    body: int = 1000
    turns: int = 3


def run(stage: Stage, options: Options) -> Drawn:
    measures: list[Measure] = []
    for turn in range(1, options.turns + 1):
        for target, rules in stage.targets():
            with stage.server(rules) as server, server.run() as running:
                names, group = server.names("u", options.members), server.group("bench")
                base = made_group(running, server, group, names)
                for slow in (0, options.slow):
                    measure = _stretch(
                        stage, server, running, names, f"group:{group}", base, slow, options, turn, target
                    )
                    measures.append(measure)
                    base += _sent(measure)
    return Drawn(measures, against_off(stage, measures))


def _sent(measure: Measure) -> int:
    """In the warm-up too."""
    return measure.counts["sent"]


def _stretch(
    stage: Stage,
    server: Server,
    running: Running,
    names: Sequence[str],
    room: str,
    base: int,
    slow: int,
    options: Options,
    turn: int,
    target: str,
) -> Measure:
    bodies, board, ends = stage.bodies(options.body), Board(), shared(stage.processes * len(ENDS))
    reading = names[: len(names) - slow]
    lazy = names[len(reading) :]

    @contextmanager
    def make(part: Part) -> Iterator[Fanout]:
        mine, theirs = (group[part.index :: part.count] for group in (reading, lazy))
        with (
            signed_in(running.address, server.issuer, mine) as quick,
            signed_in(running.address, server.issuer, theirs, _BUFFER) as tired,
        ):
            awake, asleep = ([client for client, _ in signed] for signed in (quick, tired))
            log = Log(room, names[0], base, bodies)
            sender = Sender(awake[0], room, log, bodies, keys=True, series=f"{slow}-") if part.index == 0 else None
            tape = Tape(running.address.wire.split, Log(room, names[0], base, bodies))
            load = Fanout(sender, awake[1:] if sender else awake, tape, 64, board)
            yield load
            for client in asleep:
                end = check_sleeper(client, Log(room, names[0], base, bodies), tape.messages)
                ends[part.index * len(ENDS) + ENDS.index(end)] += 1

    label = f"slow-readers, {slow} of {len(names)} asleep, {target}, turn {turn}"
    with stage.rig(running, make, label) as rig:
        stretch = rig.measure(options.length._replace(rate=options.rate, whole=True))
        sent = board.finished(0) or 0
    deliveries = stretch.outcome.messages * len(reading)
    load = f"slow-readers {slow} of {len(names)} {options.rate:g}/s"
    measure = stretch.throughput(deliveries, "deliveries/s", "deliver", load=load, target=target, turn=turn)
    found = {f"slow: {end}": sum(ends[number :: len(ENDS)]) for number, end in enumerate(ENDS)}
    measure.counts = {**measure.counts, **found, "sent": sent}
    if slow:
        measure.remarks = [", ".join(f"{count} {end}" for end, count in found.items() if count)]
    return measure


def check_sleeper(client: Client, log: Log, messages: int) -> str:
    """The end that a member who read nothing finds: one of ENDS. Raises Fault for anything but a prefix of the
    others' messages, and then one of these ends."""
    client.sock.setblocking(True)
    client.sock.settimeout(_WAKE_S)
    try:
        while log.seen < messages:
            frame: Seen = decode(client.payload(), client.name)
            if frame.type == "lag" and frame.room == log.room:
                return "lag"
            if frame.type in ("error", "goaway"):
                return _ended(describe(frame), client)
            log.check(frame, client.name)
    except Gone:
        return "closed"
    except Fault as fault:
        return _ended(str(fault), client)
    return "level"


def _ended(said: str, client: Client) -> str:
    """Only for being slow, or silent for long."""
    if not any(word in said for word in ("4001", "4002", "slow")):
        raise Fault(f"{client.name}: {said}")
    return "closed"
