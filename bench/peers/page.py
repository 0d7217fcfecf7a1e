"""The results as a page of Markdown: what was measured, the ratios, what was wanted, and under which settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bench.peers import gochat
from bench.peers.base import Peer
from bench.peers.run import BOUNDS, LISTS, LOADS, SINGLE, Found, Options, cpu_ratio_to, median, of, ratio_to
from bench.results import Measure

#: Above this share of its core the load itself may be what limits the figure.
_BUSY = 0.9
#: Above this load average before the run, the two cores are not the run's own.
_FREE = 0.5
#: The columns of the ratios: gochat's pairs with lists stand by the peers' pairs.
_COMPARED = (*LOADS, *LISTS.values())


def page(
    started: str,
    environment: Mapping[str, str | float | bool],
    versions: Mapping[str, str],
    peers: Mapping[str, Peer],
    left_out: Mapping[str, str],
    found: Found,
    options: Options,
) -> str:
    """`versions` of the servers that ran, gochat's too; `left_out`: why the others did not."""
    names = list(versions)
    others = [name for name in names if name != gochat.NAME]
    length = options.length
    turns = "1 turn" if options.turns == 1 else f"{options.turns} turns"
    stretch = f"{length.seconds:g} s each" if length.messages is None else f"{length.messages} messages each"
    parts = [
        "# gochat beside other servers",
        "",
        "Written by `python -m bench.peers`; [the guide](../../docs/howto/peers.md) says what is measured and how.",
        f"{started}; {turns}, {stretch}. Every server ran on the same core, the load on the "
        "other one. Figures of one run on one machine: compare within the table, not with other tables.",
        "",
        ", ".join(f"{name} {value}" for name, value in environment.items()) + ".",
        "",
        *_busy(environment),
        "## Figures",
        "",
        f"Medians over turns. `fanout`: {options.members:,} members, {options.window} messages in flight, "
        "deliveries/s from the first send until the last member has everything. "
        f"`fanout-1`: one message at a time to {options.members:,} members, ms from the send to the last member. "
        f"`dm`: {options.pairs} pairs, messages/s; gochat's row has them without lists of words and links, which no "
        "peer has, the row `gochat, lists` with complete ones. "
        "Behind each: the server's CPU time in us a message.",
        "",
        *_table(["server", "version", *LOADS], _rows(versions, found)),
        "",
        *_notes(found.measures),
        "## gochat by each",
        "",
        "Medians of the ratios within a turn. In `fanout-1` less is better, elsewhere more.",
        "",
        *_table(["peer", *_COMPARED], [_ratios(ratio_to, name, found.measures) for name in others]),
        "",
        "The same in CPU time of the server, a message: how many times as much the peer takes. Other programs on the "
        "machine touch it less.",
        "",
        *_table(["peer", *_COMPARED], [_ratios(cpu_ratio_to, name, found.measures) for name in others]),
        "",
        "## What is wanted",
        "",
        *_table(["load", "against", "wanted", "measured", ""], _wanted(found.measures)),
        "",
        "## Settings",
        "",
        "gochat is the only one that has a message on disk before it says so.",
        "",
        *_table(
            ["server", "stored", "settled in a room by", "set up"],
            [
                (gochat.NAME, *gochat.SETTINGS),
                *((name, *peers[name].settings) for name in names if name in peers),
            ],
        ),
    ]
    if left_out or found.failed:
        parts += ["", "## Left out", ""]
        parts += [f"- {name}: {reason}." for name, reason in left_out.items()]
        parts += [f"- {name}: no figure: {reason.splitlines()[0]}." for name, reason in found.failed.items()]
    return "\n".join(parts) + "\n"


def _rows(versions: Mapping[str, str], found: Found) -> Iterator[tuple[str, ...]]:
    """A row a server; after gochat's one with lists, where the loads that are the same for both have no figure."""
    for name, version in versions.items():
        yield (name, version, *(_figure(of(found.measures, load, name)) for load in LOADS))
        if name == gochat.NAME:
            lists = (_figure(of(found.measures, LISTS[load], name)) if load in LISTS else "" for load in LOADS)
            yield (f"{name}, lists", version, *lists)


def _figure(group: Sequence[Measure]) -> str:
    if not group:
        return "no figure"
    value, cpu = median(group, "value"), median(group, "server_cpu_us_per_message")
    # A load that takes longer to look than the server to deliver makes a latency longer, not shorter.
    busy = median(group, "generator_cpu") >= _BUSY
    bound = ("at most " if group[0].load == SINGLE else "at least ") if busy else ""
    return f"{bound}{_number(value)} ({_number(cpu)} us)"


def _busy(environment: Mapping[str, str | float | bool]) -> list[str]:
    load = float(environment.get("load_average", 0))
    if load <= _FREE:
        return []
    return [f"**Only indicative**: the machine had other work when the run began (load average {load:g}).", ""]


def _notes(measures: Sequence[Measure]) -> list[str]:
    if any(measure.generator_cpu >= _BUSY for measure in measures):
        return [f"At least, at most: the load took {_BUSY:.0%} of its core or more; the server may be better.", ""]
    return []


def _ratios(
    by: Callable[[Sequence[Measure], str, str], float | None], name: str, measures: Sequence[Measure]
) -> tuple[str, ...]:
    return (name, *(_ratio(by(measures, load, name)) for load in _COMPARED))


def _wanted(measures: Sequence[Measure]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for bound in BOUNDS:
        value = ratio_to(measures, bound.load, bound.against)
        said = "not measured" if value is None else "holds" if bound.holds(value) else "DOES NOT HOLD"
        rows.append((bound.load, bound.against, str(bound), _ratio(value), said))
    return rows


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
