"""A whole community, and users beside whom others have to live."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench.commands.running import alone
from bench.finish import finish
from bench.load.outcome import Length
from bench.options import Common, Timed, common, timed
from bench.scenarios import flood, knee, mixed, notify, slow

_users = click.option("--users", type=click.IntRange(4), default=500, show_default=True)
_rooms = click.option(
    "--rooms",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Groups; everybody is in the first, half of all in the second, a third in the next.",
)


def _community(soak: bool) -> click.Command:
    name = "soak" if soak else "mixed"
    usual = 600.0 if soak else 30.0

    @click.command(name, help=_COMMUNITY_HELP[name])
    @_users
    @_rooms
    @click.option("--rate", type=click.FloatRange(0.1), default=200.0, show_default=True, help="Actions a second.")
    @timed
    @common
    def command(users: int, rooms: int, rate: float, timed: Timed, common: Common) -> None:
        length = timed.length(usual)
        options = mixed.Options(length, users, rooms, rate, timed.body, common.turns_or(1), soak)
        alone(common)
        finish(users, common, lambda stage: mixed.run(stage, options))

    return command


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


@click.command("knee")
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

    \b
    python -m bench knee
    python -m bench knee --threshold '*70%*:deliver.p99<100ms'
    python -m bench knee --rate 500 --rate 1000 --rate 2000 --rate 4000 --processes 4
    """
    if len(set(rates)) < knee.LEAST:
        raise click.UsageError(f"--rate: the knee is found among {knee.LEAST} rates at least")
    options = knee.Options(
        mixed.Options(timed.length(8.0), users, rooms, body=timed.body), sorted(set(rates)), common.turns_or(3)
    )
    alone(common)
    finish(users, common, lambda stage: knee.run(stage, options))


@click.command("slow-readers")
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
    alone(common)
    finish(members, common, lambda stage: slow.run(stage, options))


@click.command("flood")
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
    alone(common)
    finish(3 * pairs + sessions, common, lambda stage: flood.run(stage, options))


@click.command("notify")
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
    alone(common)
    finish(3 * pairs + 1, common, lambda stage: notify.run(stage, options))


COMMANDS = (
    _community(soak=False),
    _community(soak=True),
    knee_command,
    slow_command,
    flood_command,
    notify_command,
)
