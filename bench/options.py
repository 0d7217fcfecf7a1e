"""Options that commands share, handed over as one value each."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from bench.load.outcome import Length

_FULL, _QUICK = 5.0, 2.0  # Seconds of load a stretch.
_FILE = click.Path(dir_okay=False, path_type=Path)
TRANSPORTS = ("tcp", "ws", "rest", "nng")


class Common(NamedTuple):
    """Options of every command that measures."""

    turns: int | None
    transport: str
    processes: int
    rules: str
    data: Path
    program: str
    url: str
    http: str
    secret: str
    tokens: Path | None
    pid: int
    count_syscalls: bool
    thresholds: tuple[str, ...]
    as_json: bool
    out: Path | None
    html: Path | None
    hdr: Path | None
    against: Path | None

    def turns_or(self, usual: int, *, quick: bool = False) -> int:
        return self.turns or (1 if quick else usual)


class Timed(NamedTuple):
    """Options of commands that send for a while."""

    seconds: float | None
    messages: int | None
    body: int
    quick: bool

    def length(self, usual: float = _FULL) -> Length:
        return Length(self.seconds or (min(_QUICK, usual) if self.quick else usual), self.messages)


class Sending(NamedTuple):
    """Options of the loads that have yardsticks."""

    rate: float
    keys: bool
    yardsticks: bool


def _gathered(name: str, kind: Any, *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a command these options, handed over as one argument `name` of that kind."""

    def decorate(command: Callable[..., None]) -> Any:
        @wraps(command)
        def gather(**values: Any) -> None:
            values[name] = kind(**{field: values.pop(field) for field in kind._fields})
            command(**values)

        decorated: Any = gather
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


common = _gathered(
    "common",
    Common,
    click.option("--turns", type=click.IntRange(1), help="Times each server is measured, in turn."),
    click.option(
        "--transport",
        type=click.Choice(TRANSPORTS),
        default="ws",
        show_default=True,
        help="rest: messages go by POST /v1/messages, and are heard over WebSocket; dm only. nng: dm and fanout only.",
    ),
    click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Of the load."),
    click.option(
        "--rules",
        type=click.Choice(["default", "full", "off"]),
        default="default",
        show_default=True,
        help="full: words, links and scripts in the bodies, in turn with a server that checks nothing.",
    ),
    click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".build/bench"),
        show_default=True,
        help="Folder for the servers' data; on a real disk.",
    ),
    click.option(
        "--program",
        default="-m gochat serve",
        show_default=True,
        help="What Python is started with to serve; --data, --http and --tcp are added.",
    ),
    click.option(
        "--url",
        default="",
        help="Measure a server that runs already: ws://HOST:PORT, tcp://HOST:PORT or nng+tcp://HOST:PORT.",
    ),
    click.option("--http", default="", help="Its http://HOST:PORT, where that is not the WebSocket's."),
    click.option(
        "--secret",
        default="",
        envvar="GOCHAT_BENCH_SECRET",
        help="Its secret; better in GOCHAT_BENCH_SECRET, which no list of processes shows.",
    ),
    click.option("--tokens", type=_FILE, help="Or tokens of users: lines of a user id and a token."),
    click.option("--pid", type=click.IntRange(0), default=0, help="Its process, where that is on this machine."),
    click.option("--count-syscalls", is_flag=True, help="In a further stretch, by perf or strace if one may look."),
    click.option(
        "--threshold",
        "thresholds",
        multiple=True,
        metavar="FIGURE<LIMIT",
        help="Fail unless it holds, such as deliver.p99<50ms; may be repeated.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
    click.option("--out", type=_FILE, help="Also write the JSON to this file."),
    click.option("--html", type=_FILE, help="Also write a report with curves to this file."),
    click.option("--hdr", type=_FILE, help="Also write a HdrHistogram log to this file."),
    click.option(
        "--against",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="CHECKOUT",
        help="Take turns with the server of another checkout, a folder with a .venv of its own, and compare "
        "CPU time or memory; dm, fanout, idle and connect only.",
    ),
)
timed = _gathered(
    "timed",
    Timed,
    click.option("--seconds", type=click.FloatRange(0.1), help="How long each stretch sends."),
    click.option("--messages", type=click.IntRange(1), help="Send so many messages in each stretch instead."),
    click.option("--body", type=click.IntRange(16, 3000), default=100, show_default=True, help="Characters a body."),
    click.option("--quick", is_flag=True, help="Shorter, for a first look."),
)
sending = _gathered(
    "sending",
    Sending,
    click.option("--rate", type=click.FloatRange(0), default=0.0, help="Open loop: so many messages a second."),
    click.option("--keys/--no-keys", default=True, show_default=True, help="Send idempotency keys, as clients do."),
    click.option("--yardsticks/--no-yardsticks", default=True, show_default=True, help="Measure the limits too."),
)
