"""Loads of one kind each, and a quick look at three of them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench.commands.running import alone, finish_or_compare, not_rest, stream_only
from bench.finish import finish
from bench.load.outcome import Length
from bench.options import Common, Sending, Timed, common, sending, timed
from bench.results import Drawn
from bench.scenarios import connect, dm, fanout, idle, nng
from bench.scenarios.stage import Stage

_QUICK_S, _QUICK_USERS = 2.0, 1000


@click.command("fanout")
@click.option("--members", type=click.IntRange(2), default=1000, show_default=True)
@click.option("--window", type=click.IntRange(1, 128), default=64, show_default=True, help="Messages in flight.")
@sending
@timed
@common
def fanout_command(members: int, window: int, sending: Sending, timed: Timed, common: Common) -> None:
    """One member writes, all members of the group listen.

    \b
    python -m bench fanout
    python -m bench fanout --transport tcp --members 200 --messages 20000
    python -m bench fanout --rate 500                 latencies at a planned rate
    python -m bench fanout --rules full --turns 5     what rules for words and links cost
    """
    options = fanout.Options(
        timed.length(),
        members,
        window,
        timed.body,
        common.turns_or(3, quick=timed.quick),
        sending.keys,
        sending.yardsticks,
        sending.rate,
    )
    not_rest(common)
    once = options._replace(turns=1, yardsticks=False)
    finish_or_compare(
        members, common, options.turns, lambda stage: fanout.run(stage, options), lambda stage: fanout.run(stage, once)
    )


@click.command("dm")
@click.option("--pairs", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "--window",
    "windows",
    type=click.IntRange(1, 128),
    multiple=True,
    default=(1, 16),
    show_default=True,
    help="Messages in flight in each pair; may be repeated.",
)
@sending
@timed
@common
def dm_command(pairs: int, windows: Sequence[int], sending: Sending, timed: Timed, common: Common) -> None:
    """Pairs of users, one of each writes to the other.

    \b
    python -m bench dm
    python -m bench dm --pairs 10 --window 4 --turns 5
    python -m bench dm --transport rest --window 1    sent by POST /v1/messages
    """
    options = dm.Options(
        timed.length(),
        pairs,
        windows,
        timed.body,
        common.turns_or(3, quick=timed.quick),
        sending.keys,
        sending.yardsticks,
        sending.rate,
    )
    if common.transport == "rest":
        options = options._replace(windows=(1,), yardsticks=False)  # One request at a time on a connection.
    once = options._replace(turns=1, yardsticks=False)
    finish_or_compare(
        3 * pairs, common, options.turns, lambda stage: dm.run(stage, options), lambda stage: dm.run(stage, once)
    )


@click.command("connect")
@click.option("--users", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--places", type=click.IntRange(1, 199), default=64, show_default=True, help="Sign-ins in flight.")
@click.option(
    "--missed",
    type=click.IntRange(1, 500),
    default=10,
    show_default=True,
    help="Messages that one who resumes has missed.",
)
@timed
@common
def connect_command(users: int, places: int, missed: int, timed: Timed, common: Common) -> None:
    """A storm of sign-ins, new ones, then ones that resume: connect, authenticate (HS256), welcome, replay.

    \b
    python -m bench connect
    python -m bench connect --places 16 --missed 100 --transport tcp
    """
    turns = common.turns_or(3, quick=timed.quick)
    options = connect.Options(timed.length(), users, places, missed, timed.body, turns)
    stream_only(common)
    once = options._replace(turns=1)
    finish_or_compare(
        places, common, options.turns, lambda stage: connect.run(stage, options), lambda stage: connect.run(stage, once)
    )


@click.command("idle")
@click.option("--users", type=click.IntRange(4), help="A multiple of 4.  [4000; quick 1000]")
@click.option("--quick", is_flag=True, help="Fewer users, for a first look.")
@common
def idle_command(users: int | None, quick: bool, common: Common) -> None:
    """Users who are signed in and do nothing: memory for each.

    \b
    python -m bench idle
    python -m bench idle --users 10000
    """
    options = idle.Options(users or (_QUICK_USERS if quick else 4000), common.turns or 1)
    stream_only(common)
    once = options._replace(turns=1)
    finish_or_compare(
        options.users,
        common,
        options.turns,
        lambda stage: idle.run(stage, options),
        lambda stage: idle.run(stage, once),
    )


@click.command("nng")
@click.option(
    "--clients",
    type=click.IntRange(1, 1000),
    multiple=True,
    default=(1, 16),
    show_default=True,
    help="Each with one request in flight; may be repeated.",
)
@timed
@common
def nng_command(clients: Sequence[int], timed: Timed, common: Common) -> None:
    """The server's CPU time for a request over nng, beside that of a bare pynng echo of the same size.

    \b
    python -m bench nng
    python -m bench nng --turns 5 --threshold '*ping*:value<200'
    """
    options = nng.Options(timed.length(), clients, timed.body, common.turns_or(3, quick=timed.quick))
    if common.url or common.against:
        raise click.UsageError("--url, --against: nng is measured beside the echo that the harness starts")
    not_rest(common)
    finish(max(clients), common, lambda stage: nng.run(stage, options))


@click.command("quick")
@common
def quick_command(common: Common) -> None:
    """A short fanout, dm and idle in one table; under a minute with one turn.

    \b
    python -m bench quick
    python -m bench quick --turns 3 --out run.json
    """
    length, turns = Length(_QUICK_S), common.turns or 1
    alone(common)

    def run(stage: Stage) -> Drawn:
        parts = (
            fanout.run(stage, fanout.Options(length, turns=turns)),
            dm.run(stage, dm.Options(length, turns=turns)),
            idle.run(stage, idle.Options(_QUICK_USERS, turns)),
        )
        return Drawn([m for part in parts for m in part.measures], [b for part in parts for b in part.bounds])

    finish(_QUICK_USERS, common, run)


COMMANDS = (fanout_command, dm_command, connect_command, idle_command, nng_command, quick_command)
