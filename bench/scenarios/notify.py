"""The cost of notifications for others: pairs that chat at a planned rate, first by themselves, then while very many
notifications are due at once and go out by a webhook."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from bench.faults import Broken
from bench.load.client import signed_in
from bench.load.outcome import Length
from bench.load.webhook import Receiver, receiving
from bench.results import Drawn, Measure
from bench.scenarios import beside, dm
from bench.scenarios.fanout import make_group
from bench.scenarios.stage import Server, Stage
from bench.server import Running

#: Members of each of the groups whose messages become due.
_MEMBERS = 10_000
#: How long the first notification may take once it is due.
_FIRST_S = 30.0
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Options(NamedTuple):
    length: Length
    due: int = 100_000
    pairs: int = 20
    rate: float = 200.0
    turns: int = 3
    after_s: float = 3.0
    """From the message to its notification."""


def run(stage: Stage, options: Options) -> Drawn:
    stage.own("notify")
    return beside.turns(stage, options.turns, partial(_turn, stage, options))


def _turn(stage: Stage, options: Options, turn: int, target: str, rules: str) -> Iterator[Measure]:
    chat = dm.Options(options.length, options.pairs, rate=options.rate)
    with (
        receiving() as receiver,
        stage.server(rules, **_settings(options, receiver)) as server,
        server.run() as running,
    ):
        groups = _groups(server, running, options.due)
        with dm.chatting(stage, server, running, chat, f"notify, {target}, turn {turn}") as rig:
            alone = (0.0, 0.0)
            for due in (0, options.due):
                if due:
                    _write(server, running, groups)
                    _wait_for_the_first(receiver, options.after_s)
                before = receiver.received
                measure, acks = beside.measured(rig, chat, f"{due:,} notifications due", target, turn)
                median, p99 = acks.percentile(50), acks.percentile(99)
                if due:
                    measure.remarks += _remarks(receiver, before, due, median / alone[0], p99 / alone[1])
                alone = median, p99
                yield measure


def _remarks(receiver: Receiver, before: int, due: int, median: float, p99: float) -> list[str]:
    told = receiver.received
    return [
        f"an ack takes {median:.2f} times as long as without notifications at p50, {p99:.2f} times at p99",
        f"{told - before:,} were told meanwhile"
        + (", which are all that there were: the stretch is longer than that" if told >= due else ""),
    ]


def _settings(options: Options, receiver: Receiver) -> dict[str, str]:
    return {
        "notify__after_minutes": str(options.after_s / 60),
        "notify__webhook_url": f"http://127.0.0.1:{receiver.port}/",
        "notify__webhook_secret": _SECRET,
        "notify__allow_private": "true",
        "notify__waiting": str(max(100, 2 * options.due)),
        "limits__group_members": str(_MEMBERS + 1),
    }


def _groups(server: Server, running: Running, due: int) -> list[str]:
    """Groups with so many members in all, besides the writer."""
    users = server.names("n", min(due, _MEMBERS))
    groups = [server.group(f"due{number}") for number in range(-(-due // _MEMBERS))]
    with signed_in(running.address, server.issuer, ["writer"]) as [(writer, _)]:
        for number, group in enumerate(groups):
            make_group(writer, group, users[: due - number * _MEMBERS])
    return groups


def _write(server: Server, running: Running, groups: list[str]) -> None:
    with signed_in(running.address, server.issuer, ["writer"]) as [(writer, _)]:
        for number, group in enumerate(groups):
            writer.write(type="send", id=number, to=f"group:{group}", body="hello")
            writer.replies(1)


def _wait_for_the_first(receiver: Receiver, after_s: float) -> None:
    """Raises Broken."""
    deadline = time.monotonic() + after_s + _FIRST_S
    while not receiver.received:
        if time.monotonic() > deadline:
            raise Broken("nobody was notified")
        time.sleep(0.01)
