"""The command line: the only place of the harness that prints and exits.

Exit status: 0 measured (whether or not what is wanted holds: the table says so), 1 no figure, because the server
broke the contract or could not be run, or because the load could not keep its plan, 2 wrong usage, 3 a threshold does
not hold, or a comparison found something worse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from bench import compare, versus
from bench.faults import Broken
from bench.finish import NOT_HELD, finish, no_figure
from bench.load.outcome import Length
from bench.options import Common, Sending, Timed, common, sending, timed
from bench.results import Drawn
from bench.scenarios import cluster, connect, dm, fanout, flood, history, idle, knee, mixed, nng, notify, scaling, slow
from bench.scenarios.stage import Stage
from bench.server import Checkout
from bench.trace.cli import trace_command

Run = Callable[[Stage], Drawn]

_QUICK_S, _QUICK_USERS = 2.0, 1000


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """Measure gochat, started by this command on a core of its own, or wherever it runs; check all that it says.

    \b
    python -m bench quick                               fanout, dm and idle, in under a minute
    python -m bench fanout --seconds 10 --turns 5
    python -m bench dm --window 1 --window 16 --out run.json
    python -m bench mixed --rate 400 --threshold 'deliver.p99<50ms' --html run.html
    GOCHAT_BENCH_SECRET=... python -m bench connect --url ws://chat.example:8080
    python -m bench compare before.json after.json --tolerance 0.1
    python -m bench dm --against ../before --turns 9 --threshold 'cost<=1.03'
    """


@main.command("fanout")
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
    _not_rest(common)
    once = options._replace(turns=1, yardsticks=False)
    _finish(
        members, common, options.turns, lambda stage: fanout.run(stage, options), lambda stage: fanout.run(stage, once)
    )


@main.command("dm")
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
    _finish(3 * pairs, common, options.turns, lambda stage: dm.run(stage, options), lambda stage: dm.run(stage, once))


main.add_command(trace_command)

_users = click.option("--users", type=click.IntRange(4), default=500, show_default=True)
_rooms = click.option(
    "--rooms",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Groups; everybody is in the first, half of all in the second, a third in the next.",
)


def _community(soak: bool) -> None:
    name = "soak" if soak else "mixed"
    usual = 600.0 if soak else 30.0

    @main.command(name, help=_COMMUNITY_HELP[name])
    @_users
    @_rooms
    @click.option("--rate", type=click.FloatRange(0.1), default=200.0, show_default=True, help="Actions a second.")
    @timed
    @common
    def command(users: int, rooms: int, rate: float, timed: Timed, common: Common) -> None:
        length = timed.length(usual)
        options = mixed.Options(length, users, rooms, rate, timed.body, common.turns_or(1), soak)
        _alone(common)
        finish(users, common, lambda stage: mixed.run(stage, options))


_COMMUNITY_HELP = {
    "mixed": """A day of a community, compressed into --seconds (30): groups by Zipf's law, messages, typing, reads,
    pages, connections that are lost and resumed. Open loop.

    \b
    python -m bench mixed
    python -m bench mixed --users 2000 --rate 1000 --processes 4 --html day.html
    """,
    "soak": """The same at an even rate and for long (--seconds 600); the growth of the server's memory is a row.

    \b
    python -m bench soak --seconds 3600 --html soak.html
    python -m bench soak --threshold 'soak*memory:value<5'
    """,
}
_community(soak=False)
_community(soak=True)


@main.command("knee")
@_users
@_rooms
@click.option(
    "--rate",
    "rates",
    type=click.FloatRange(0.1),
    multiple=True,
    default=knee.RATES,
    show_default=True,
    help="Actions a second; at least three.",
)
@timed
@common
def knee_command(users: int, rooms: int, rates: Sequence[float], timed: Timed, common: Common) -> None:
    """The community of `mixed` at one rate after the other: at which of them the knee is, the best of rate divided by
    the mean time of a delivery, and how long things take at 70 % of it. Some 6 minutes.

    
    python -m bench knee
    python -m bench knee --threshold '*70%*:deliver.p99<100ms'
    python -m bench knee --rate 500 --rate 1000 --rate 2000 --rate 4000 --processes 4
    """
    if len(set(rates)) < knee.LEAST:
        raise click.UsageError(f"--rate: the knee is found among {knee.LEAST} rates at least")
    options = knee.Options(
        mixed.Options(timed.length(8.0), users, rooms, body=timed.body), sorted(set(rates)), common.turns_or(3)
    )
    _alone(common)
    finish(users, common, lambda stage: knee.run(stage, options))


@main.command("connect")
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
    _stream(common)
    once = options._replace(turns=1)
    _finish(
        places, common, options.turns, lambda stage: connect.run(stage, options), lambda stage: connect.run(stage, once)
    )


def _queries(what: str, limit: int) -> None:
    @main.command(what, help=_QUERY_HELP[what])
    @click.option("--clients", type=click.IntRange(2), default=16, show_default=True, help="Who ask, one at a time.")
    @click.option(
        "--stored", type=click.IntRange(200), default=100_000, show_default=True, help="Messages in the room."
    )
    @click.option("--limit", type=click.IntRange(1, 200), default=limit, show_default=True, help="Entries a page.")
    @timed
    @common
    def command(clients: int, stored: int, limit: int, timed: Timed, common: Common) -> None:
        turns = common.turns_or(3, quick=timed.quick)
        options = history.Options(timed.length(), clients, stored, limit, turns, what)
        _alone(common)
        finish(clients, common, lambda stage: history.run(stage, options))


_QUERY_HELP = {
    "history": """Pages of history from random places of a room that holds --stored messages.

    \b
    python -m bench history
    python -m bench history --stored 1000000 --limit 200
    """,
    "search": """Searches for words of a room that holds --stored messages.

    \b
    python -m bench search
    python -m bench search --stored 1000000 --clients 4
    """,
}
_queries("history", 50)
_queries("search", 20)


@main.command("slow-readers")
@click.option("--members", type=click.IntRange(3), default=100, show_default=True)
@click.option("--slow", "asleep", type=click.IntRange(1), default=10, show_default=True, help="Who read nothing.")
@click.option("--rate", type=click.FloatRange(0.1), default=200.0, show_default=True, help="Messages a second.")
@click.option("--body", type=click.IntRange(16, 3000), default=1000, show_default=True, help="Characters a body.")
@click.option("--seconds", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Of each stretch.")
@common
def slow_command(members: int, asleep: int, rate: float, body: int, seconds: float, common: Common) -> None:
    """A group of which some stop reading; the others' latency, before and then. Open loop.

    \b
    python -m bench slow-readers
    python -m bench slow-readers --slow 50 --threshold 'slow-readers 50*:deliver.p99<50ms'
    """
    options = slow.Options(Length(seconds), members, asleep, rate, body, common.turns_or(3))
    if asleep > members - 2:
        raise click.UsageError("--slow: at least two members must read")
    _alone(common)
    finish(members, common, lambda stage: slow.run(stage, options))


@main.command("flood")
@click.option("--pairs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--sessions", type=click.IntRange(1, 20), default=20, show_default=True, help="Of the user who floods.")
@click.option("--rate", type=click.FloatRange(0.1), default=200.0, show_default=True, help="Messages a second.")
@click.option("--seconds", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Of each stretch.")
@common
def flood_command(pairs: int, sessions: int, rate: float, seconds: float, common: Common) -> None:
    """Pairs that chat, alone and then beside a user whose sessions send what is refused; the acks' latency. Open loop.

    \b
    python -m bench flood
    python -m bench flood --transport tcp --threshold '*20 sessions*:ack.p99<50ms'
    """
    options = flood.Options(Length(seconds), pairs, sessions, rate, common.turns_or(3))
    _alone(common)
    finish(3 * pairs + sessions, common, lambda stage: flood.run(stage, options))


@main.command("notify")
@click.option("--due", type=click.IntRange(100), default=100_000, show_default=True, help="Notifications at once.")
@click.option("--pairs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--rate", type=click.FloatRange(0.1), default=200.0, show_default=True, help="Messages a second.")
@click.option("--seconds", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Of each stretch.")
@common
def notify_command(due: int, pairs: int, rate: float, seconds: float, common: Common) -> None:
    """Pairs that chat, alone and then while --due notifications go out by a webhook; the acks' latency, and how many
    times as long they take. Open loop.

    \b
    python -m bench notify
    python -m bench notify --due 10000 --turns 1 --transport tcp
    """
    options = notify.Options(Length(seconds), due, pairs, rate, common.turns_or(3))
    _alone(common)
    finish(3 * pairs + 1, common, lambda stage: notify.run(stage, options))


@main.command("idle")
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
    _stream(common)
    once = options._replace(turns=1)
    _finish(
        options.users,
        common,
        options.turns,
        lambda stage: idle.run(stage, options),
        lambda stage: idle.run(stage, once),
    )


@main.command("nng")
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
    _not_rest(common)
    finish(max(clients), common, lambda stage: nng.run(stage, options))


@main.command("scaling")
@click.option("--members", type=click.IntRange(2), multiple=True, default=(100, 1000, 10_000), show_default=True)
@click.option("--few", type=click.IntRange(1), default=256, show_default=True, help="n of n and 4n messages.")
@click.option(
    "--stored",
    type=click.IntRange(200),
    multiple=True,
    show_default=True,
    default=tuple(10**power for power in range(3, 8)),
)
@click.option(
    "--big",
    type=click.IntRange(0),
    default=10_000,
    show_default=True,
    help="Members of the room beside which others write; 0 leaves that out.",
)
@timed
@common
def scaling_command(
    members: Sequence[int], few: int, stored: Sequence[int], big: int, timed: Timed, common: Common
) -> None:
    """The cost of one more: CPU a delivery for n and 4n messages, by members; a message and a page, by what is stored;
    the others' acks while a message goes to a big room. Minutes, and 2 GB of disk for 10^7 messages.

    \b
    python -m bench scaling
    python -m bench scaling --members 100 --members 400 --stored 1000 --stored 100000 --big 500
    """
    options = scaling.Options(timed.length(), members, few, stored, big, body=timed.body, turns=common.turns or 1)
    _alone(common)
    finish(max([*members, big]) + 40, common, lambda stage: scaling.run(stage, options))


@main.command("cluster")
@click.option("--pairs", type=click.IntRange(1), default=100, show_default=True)
@click.option("--members", type=click.IntRange(3), default=1_000, show_default=True, help="Of the group, on all nodes.")
@click.option("--rate", type=click.FloatRange(0.1), default=2_000.0, show_default=True, help="Messages a second.")
@timed
@common
def cluster_command(pairs: int, members: int, rate: float, timed: Timed, common: Common) -> None:
    """Three nodes and a Redis: the CPU time of each for a message between two of the nodes, and what it takes longer
    than on one; then a group whose members are on all three. Needs valkey-server or redis-server.

    \b
    python -m bench cluster
    python -m bench cluster --turns 1 --seconds 3 --rate 500
    """
    # Two turns of eight seconds: all of it within six minutes.
    turns = common.turns_or(2, quick=timed.quick)
    options = cluster.Options(timed.length(8.0), pairs, rate=rate, members=members, body=timed.body, turns=turns)
    _alone(common)
    finish(3 * pairs + members, common, lambda stage: cluster.run(stage, options))


@main.command("quick")
@common
def quick_command(common: Common) -> None:
    """A short fanout, dm and idle in one table; under a minute with one turn.

    \b
    python -m bench quick
    python -m bench quick --turns 3 --out run.json
    """
    length, turns = Length(_QUICK_S), common.turns or 1
    _alone(common)

    def run(stage: Stage) -> Drawn:
        parts = (
            fanout.run(stage, fanout.Options(length, turns=turns)),
            dm.run(stage, dm.Options(length, turns=turns)),
            idle.run(stage, idle.Options(_QUICK_USERS, turns)),
        )
        return Drawn([m for part in parts for m in part.measures], [b for part in parts for b in part.bounds])

    finish(_QUICK_USERS, common, run)


@main.command("compare")
@click.argument("before", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.1,
    show_default=True,
    help="How much worse a figure may be: 0.1 is a tenth.",
)
def compare_command(before: Path, after: Path, tolerance: float) -> None:
    """Two runs that --out wrote: ratios, and a verdict for each. Status 3 if anything is worse.

    \b
    python -m bench compare before.json after.json
    python -m bench compare before.json after.json --tolerance 0.3
    """
    try:
        comparison = compare.compare(compare.read(before), compare.read(after))
    except Broken as error:
        no_figure(error)
    click.echo(compare.table(comparison, tolerance))
    if not comparison.changes or any(change.verdict(tolerance) == "WORSE" for change in comparison.changes):
        sys.exit(NOT_HELD)


def _not_rest(common: Common) -> None:
    if common.transport == "rest":
        raise click.UsageError("--transport rest: only dm sends by REST")


def _stream(common: Common) -> None:
    """For loads that speak neither REST nor nng."""
    _not_rest(common)
    if common.transport == "nng":
        raise click.UsageError("--transport nng: only dm, fanout and nng speak it")


def _finish(connections: int, common: Common, turns: int, run: Run, once: versus.Once) -> None:
    """Run the scenario, or, with --against, `once` in turn with the other checkout."""
    if common.against is None:
        finish(connections, common, run)
        return
    try:
        rivals = versus.Rivals.of(Checkout.at(common.against))
    except Broken as error:
        raise click.UsageError(f"--against: {error}") from None
    if common.url:
        raise click.UsageError("--against needs servers that the harness starts: leave --url out")
    finish(connections, common, lambda stage: versus.run(stage, rivals, turns, once), rivals)


def _alone(common: Common) -> None:
    """For commands that neither speak REST or nng nor compare checkouts."""
    _stream(common)
    if common.against:
        raise click.UsageError("--against: only dm, fanout, idle and connect compare checkouts")
