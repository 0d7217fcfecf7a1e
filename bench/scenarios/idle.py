"""Users who are signed in and do nothing: resident memory of the server for each.

The server is started again after the data was made, so that no memory left over from making it hides what the
sessions take. KB are 1,000 bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from bench import procfs
from bench.faults import Fault, Misused
from bench.load.acquaint import befriend
from bench.load.client import Address, signed_in
from bench.load.frames import Welcome
from bench.results import Bound, Drawn, Measure
from bench.scenarios.fanout import make_group
from bench.scenarios.stage import Stage
from bench.tokens import Issuer, TokenFile

_GROUP = 100  # Members of each group.
_CIRCLE = 4  # Users of whom each has a private room with each other: 3 rooms a user.
_SETTLE_MOST_S = 15.0
_WANTED_KB = 25.0
_WAVE = 50


class Options(NamedTuple):
    users: int = 4000
    turns: int = 1
    settle_s: float = 1.0


def run(stage: Stage, options: Options) -> Drawn:
    """Raises Broken unless `users` is a multiple of 4."""
    if options.users % _CIRCLE:
        raise Misused(f"--users must be a multiple of {_CIRCLE}: each four have a private room with each other")
    measures = [_gochat(stage, options, turn) for turn in range(1, options.turns + 1)]
    return Drawn(measures, [Bound(load=measures[0].load, target="gochat", at_most=_WANTED_KB)])


def _gochat(stage: Stage, options: Options, turn: int) -> Measure:
    stage.own("idle")
    names = [f"u{number:05d}" for number in range(options.users)]
    with stage.server() as server:
        with server.run() as running:
            _make_data(running.address, server.issuer, names)
        with server.run() as running:
            empty = _settled_rss(running.pid, options.settle_s)
            with signed_in(running.address, server.issuer, names) as signed:
                for client, welcome in signed:
                    _check(client.name, welcome)
                full = _settled_rss(running.pid, options.settle_s)
    return Measure(
        load=f"idle {options.users}",
        target="gochat",
        turn=turn,
        value=(full - empty) / options.users / 1000,
        unit="KB/user",
        server_rss_mb=full / 1e6,
    )


def _make_data(address: Address, issuer: Issuer | TokenFile, names: Sequence[str]) -> None:
    """Groups of 100, and in each four users every two of them with one message."""
    for number, start in enumerate(range(0, len(names), _GROUP)):
        owner_name, *others = names[start : start + _GROUP]
        with signed_in(address, issuer, [owner_name]) as [(owner, _)]:
            make_group(owner, f"g{number:04d}", others)
    circles = [names[start : start + _CIRCLE] for start in range(0, len(names), _CIRCLE)]
    peers = {circle[i]: circle[i + 1 :] for circle in circles for i in range(len(circle) - 1)}
    writers = list(peers)
    _befriend(address, issuer, circles)
    for start in range(0, len(writers), _WAVE):
        with signed_in(address, issuer, writers[start : start + _WAVE]) as signed:
            for client, _ in signed:
                for number, peer in enumerate(peers[client.name], 1):
                    client.write(type="send", id=number, to=f"user:{peer}", body=f"hello {peer}")
            for client, _ in signed:
                client.replies(len(peers[client.name]))


def _befriend(address: Address, issuer: Issuer | TokenFile, circles: Sequence[Sequence[str]]) -> None:
    """Every two of a circle."""
    step = _WAVE // _CIRCLE
    for start in range(0, len(circles), step):
        wave = [name for circle in circles[start : start + step] for name in circle]
        with signed_in(address, issuer, wave) as signed:
            clients = [client for client, _ in signed]
            groups = [clients[at : at + _CIRCLE] for at in range(0, len(clients), _CIRCLE)]
            befriend([pair for group in groups for pair in combinations(group, 2)])


def _check(user: str, welcome: Welcome) -> None:
    """Raises Fault unless the welcome tells of one group and three private rooms."""
    found = (len(welcome.rooms), len(welcome.contacts))
    if found != (1, _CIRCLE - 1):
        raise Fault(f"{user}: expected 1 group and {_CIRCLE - 1} private rooms, welcome told of {found}")


def _settled_rss(pid: int, settle_s: float) -> int:
    """The server's memory once it has not changed by more than 1/500 for `settle_s`, or after 15 s."""
    deadline = time.monotonic() + _SETTLE_MOST_S
    rss = procfs.rss_bytes(pid)
    while True:
        time.sleep(settle_s)
        before, rss = rss, procfs.rss_bytes(pid)
        if abs(rss - before) <= before / 500 or time.monotonic() > deadline:
            return rss
