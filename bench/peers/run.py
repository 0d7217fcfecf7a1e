"""Runs gochat and its peers in turn, and gathers what was measured. Loads of one name are the same for all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.faults import Broken, Fault
from bench.load.outcome import Length
from bench.load.wire import WEBSOCKET
from bench.peers import gochat
from bench.peers.base import BODY, Peer
from bench.peers.client import members
from bench.peers.load import Pairs, Room
from bench.peers.loop import Stretch, driven
from bench.results import Bound, Measure, ratio
from bench.scenarios import dm, fanout
from bench.scenarios.stage import Stage
from bench.server import Cores, data_folder

FANOUT, SINGLE, DM_1, DM_16 = "fanout", "fanout-1", "dm W=1", "dm W=16"
#: The loads in which gochat and its peers are compared. gochat checks no words and links in its pairs there: no peer
#: does.
LOADS = (FANOUT, SINGLE, DM_1, DM_16)
_DM = {DM_1: 1, DM_16: 16}
#: The pairs of gochat with complete lists of words and links, by the load of the peers that they stand beside.
LISTS = {DM_1: f"{DM_1}, lists", DM_16: f"{DM_16}, lists"}
_ROOM = "bench"
#: In flight while a room warms up: a slow server takes half a minute for 64 messages to 1,000 members.
_GENTLE = 8
_LAST, _SETTLED = "send to last member", "send to acked and delivered"

#: The ratios that are wanted of gochat against a peer.
BOUNDS = (
    Bound(load=FANOUT, target="gochat", against="nats", at_least=2),
    Bound(load=FANOUT, target="gochat", against="socketio-node", at_least=20),
    Bound(load=FANOUT, target="gochat", against="ejabberd", at_least=50),
    Bound(load=SINGLE, target="gochat", against="socketio-node", at_most=1),
    Bound(load=DM_1, target="gochat", against="ejabberd", at_least=1),
    Bound(load=DM_1, target="gochat", against="python-socketio", at_least=2),
    Bound(load=DM_16, target="gochat", against="socketio-node", at_least=1),
    Bound(load=DM_16, target="gochat", against="ejabberd", at_least=3),
)


class Options(NamedTuple):
    length: Length
    turns: int = 3
    members: int = 1000
    window: int = 64
    pairs: int = 100


class Found(NamedTuple):
    """The findings of a run."""

    measures: list[Measure]
    failed: dict[str, str]
    """Why a server gave no figure in some turn, by its name; it has no further turns."""


def run(peers: Sequence[Peer], data: Path, cores: Cores, options: Options, say: Callable[[str], None]) -> Found:
    """`say` hears of the progress. A server that fails ends its own turns, not the run."""
    turns: dict[str, Callable[[int], Iterator[Measure]]] = {
        gochat.NAME: lambda turn: gochat_turn(data, cores, options, turn)
    }
    for peer in peers:
        turns[peer.name] = lambda turn, peer=peer: peer_turn(peer, data, cores, options, turn)  # type: ignore[misc]
    found = Found([], {})
    for turn in range(1, options.turns + 1):
        for name, measured in turns.items():
            if name in found.failed:
                continue
            try:
                for figure in measured(turn):
                    found.measures.append(figure)
                    say(f"turn {turn}  {name:16} {figure.load:15} {figure.value:14,.2f} {figure.unit}")
            except (Fault, Broken, OSError) as error:
                found.failed[name] = "\n".join([str(error), *getattr(error, "__notes__", [])])
                say(f"turn {turn}  {name:16} no figure: {found.failed[name]}")
    return found


def ratio_to(measures: Sequence[Measure], load: str, peer: str) -> float | None:
    """gochat's value by the peer's: the median of the ratios within a turn."""
    return ratio(of(measures, load, gochat.NAME), of(measures, _of_peers(load), peer))


def cpu_ratio_to(measures: Sequence[Measure], load: str, peer: str) -> float | None:
    """The server's CPU time a message: the peer's by gochat's, the median within a turn. More is better for gochat."""
    spent = [
        [msgspec.structs.replace(m, value=m.server_cpu_us_per_message) for m in of(measures, of_load, target)]
        for of_load, target in ((_of_peers(load), peer), (load, gochat.NAME))
    ]
    return ratio(*spent)


def _of_peers(load: str) -> str:
    """The peers' load that one of gochat's stands beside."""
    return next((plain for plain, lists in LISTS.items() if lists == load), load)


def of(measures: Iterable[Measure], load: str, target: str) -> list[Measure]:
    return [measure for measure in measures if (measure.load, measure.target) == (load, target)]


def gochat_turn(data: Path, cores: Cores, options: Options, turn: int) -> Iterator[Measure]:
    stage = Stage(data, cores, WEBSOCKET, gochat.PROGRAM)
    # Two servers, one with the lists and one without, and the same sentences for both.
    both = stage._replace(rules="full")
    pairs = dm.Options(
        options.length, pairs=options.pairs, windows=tuple(_DM.values()), body=BODY, turns=1, yardsticks=False
    )
    loads = [load if rules == "off" else LISTS[load] for _, rules in both.targets() for load in _DM]
    for load, figure in zip(loads, dm.run(both, pairs).measures, strict=True):
        yield msgspec.structs.replace(figure, load=load, target=gochat.NAME, turn=turn)
    many = fanout.Options(
        options.length, members=options.members, window=options.window, body=BODY, turns=1, yardsticks=False
    )
    [figure] = fanout.run(stage, many).measures
    yield msgspec.structs.replace(figure, load=FANOUT, target=gochat.NAME, turn=turn)
    users = _users("u", options.members)
    with data_folder(data) as folder, gochat.room(folder, cores, users) as (server, found):
        room = Room(found, gochat.to_room, acks=True, copy=True, window=1)
        room.strict = True
        with driven(room, server.pid) as loop:
            loop.warm_up(options.length)
            yield _single(loop.measure(options.length), gochat.NAME, turn)


def peer_turn(peer: Peer, data: Path, cores: Cores, options: Options, turn: int) -> Iterator[Measure]:
    """The pairs come first: they leave less behind in the server than 1,000 members do."""
    with data_folder(data) as folder, peer.serve(folder, cores) as server:
        writers, readers = _users("a", options.pairs), _users("b", options.pairs)
        with members(peer, server.port, writers + readers, None) as found:
            both = list(zip(found[: options.pairs], found[options.pairs :], strict=True))
            pairs = Pairs(both, peer.to_user, acks=peer.direct_acks)
            with driven(pairs, server.pid) as loop:
                for load, pairs.window in _DM.items():
                    loop.warm_up(options.length)
                    yield _dm(loop.measure(options.length), load, peer.name, turn)
        with members(peer, server.port, _users("u", options.members), _ROOM) as found:
            room = Room(
                found,
                lambda number: peer.to_room(_ROOM, number),
                acks=peer.room_acks,
                copy=peer.room_copy,
                window=min(_GENTLE, options.window),
            )
            with driven(room, server.pid) as loop:
                loop.warm_up(options.length)
                room.window = options.window
                yield _fanout(loop.measure(options.length), room.receivers, peer.name, turn)
                room.window, room.strict = 1, True
                loop.warm_up(options.length)
                yield _single(loop.measure(options.length), peer.name, turn)


def _users(letter: str, count: int) -> list[str]:
    return [f"{letter}{number:04d}" for number in range(count)]


def _fanout(stretch: Stretch, receivers: int, target: str, turn: int) -> Measure:
    value = stretch.messages * receivers / stretch.seconds
    return _figure(stretch, FANOUT, target, turn, value, "deliveries/s", _LAST)


def _dm(stretch: Stretch, load: str, target: str, turn: int) -> Measure:
    return _figure(stretch, load, target, turn, stretch.messages / stretch.seconds, "messages/s", _SETTLED)


def _single(stretch: Stretch, target: str, turn: int) -> Measure:
    return _figure(stretch, SINGLE, target, turn, stretch.latency.percentile(50) / 1e6, "ms", _LAST)


def _figure(stretch: Stretch, load: str, target: str, turn: int, value: float, unit: str, latency_of: str) -> Measure:
    return Measure(
        load=load,
        target=target,
        turn=turn,
        value=value,
        unit=unit,
        messages=stretch.messages,
        seconds=stretch.seconds,
        latency_of=latency_of,
        latency_ns=stretch.latency.buckets(),
        generator_cpu=stretch.generator_cpu,
        server_cpu_us_per_message=stretch.server_cpu_us,
        server_rss_mb=stretch.server_rss_mb,
    )


def median(measures: Sequence[Measure], field: str) -> float:
    return float(statistics.median(getattr(measure, field) for measure in measures))
