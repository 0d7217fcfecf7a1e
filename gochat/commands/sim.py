"""`gochat sim`: whole nodes on simulated machines, with faults drawn from seeds, judged by their clients."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from gochat.commands import EXIT_FAILED, EXIT_OK, EXIT_USAGE, CommandError
from gochat.commands.files import note, replacing
from gochat.domain.plurals import counted
from gochat.sim import Outcome, Plan, draw, play, shrink
from gochat.sim.shrink import TRIES

#: How often the progress is told.
_PROGRESS_S = 1.0


@click.command()
@click.option("--seeds", default=20, metavar="N", type=click.IntRange(1), help="How many seeds.  [default: 20]")
@click.option("--first", default=0, metavar="S", type=click.IntRange(0), help="The first of them.  [default: 0]")
@click.option("--seed", metavar="S", type=click.IntRange(0), help="This seed alone.")
@click.option("--nodes", type=click.Choice(["1", "3"]), default="1", help="Nodes of each run.  [default: 1]")
@click.option(
    "--plan", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="A plan from a file."
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the smaller plan that failed.",
)
@click.option("--trace", is_flag=True, help="Print everything that happened.")
@click.option(
    "--tries",
    default=TRIES,
    metavar="N",
    type=click.IntRange(0),
    help=f"How many smaller plans are tried when one fails.  [default: {TRIES}]",
)
@click.option("--json", "as_json", is_flag=True, help="Print an object a seed that failed, and one with the sum.")
def sim(
    seeds: int,
    first: int,
    seed: int | None,
    nodes: str,
    file: Path | None,
    save: Path | None,
    trace: bool,
    tries: int,
    as_json: bool,
) -> int:
    """Try to break gochat: whole nodes on simulated machines, with faults.

    Each seed draws clients with all that they do, and faults: power failures, disks that stall or fail, connections
    that break, clocks that are set. The run is judged by what the clients saw: nothing lost, doubled, moved, out of
    order, or shown to the wrong user, and everybody gets an answer once the faults have ended. The first seed that
    fails is made smaller and printed as a plan. The same seed gives the same run, byte for byte.

    \b
    Examples:
      gochat sim
      gochat sim --seeds 1000 --first 5000
      gochat sim --seed 17 --trace
      gochat sim --seed 17 --save broken.json; gochat sim --plan broken.json --trace

    Ends with 1 if a seed failed.
    """
    if save is not None and str(save) == "-":
        raise CommandError("--save writes a file, not standard output", hint="name one", code=EXIT_USAGE)
    plans: Iterable[Plan]
    if file is not None:
        plans = [_read(file)]
    else:
        wanted = range(first, first + seeds) if seed is None else [seed]
        plans = (draw(each, int(nodes)) for each in wanted)
    say = _say_json if as_json else _say
    count, acked = 0, 0
    failed: list[int] = []
    began = time.monotonic()
    for plan in _with_progress(plans, began):
        outcome = play(plan)
        count += 1
        acked += outcome.acked
        if trace and not as_json:
            click.echo("\n".join(outcome.trace))
        if outcome.violations:
            failed.append(plan.seed)
            smaller = None
            if len(failed) == 1:
                smaller = shrink(plan, lambda each: bool(play(each).violations), tries)
            try:
                say(plan.seed, outcome, smaller)  # It may have taken hours, and the disk be full.
            finally:
                if smaller is not None and save is not None:
                    _save(smaller, save)
        elif seed is not None or file is not None:
            say(plan.seed, outcome, None)
    _sum_up(count, acked, failed, time.monotonic() - began, as_json=as_json)
    return EXIT_FAILED if failed else EXIT_OK


def _save(plan: Plan, file: Path) -> None:
    data = plan.to_json() + b"\n"
    is_open = str(file.parent) in ("/dev", "/dev/fd") or file.is_relative_to("/proc")
    try:
        if is_open or (file.exists() and not file.is_file()):
            file.write_bytes(data)  # A device, a pipe, an open file: nothing that a new file may take the place of.
        else:
            with replacing(file.resolve()) as part:
                part.write_bytes(data)
    except (OSError, RuntimeError) as error:  # The latter for links in a circle.
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise CommandError(f"{file}: the plan can't be written: {reason}") from error


def _read(file: Path) -> Plan:
    try:
        return Plan.from_json(file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file}: {(error.strerror or 'can not be read').lower()}") from error
    except msgspec.MsgspecError as error:
        raise CommandError(f"{file} is no plan: {error}", hint="`--save FILE` writes one", code=EXIT_USAGE) from error


def _with_progress(plans: Iterable[Plan], began: float) -> Iterator[Plan]:
    told = began
    for number, plan in enumerate(plans):
        now = time.monotonic()
        if sys.stderr.isatty() and now - told >= _PROGRESS_S:
            told = now
            note(f"\r{counted(number, 'seed')} in {now - began:.0f} s", end="")
        yield plan
    if told != began:
        note("\r\x1b[K", end="")


Say = Callable[[int, Outcome, Plan | None], None]


def _say(seed: int, outcome: Outcome, smaller: Plan | None) -> None:
    if not outcome.violations:
        click.echo(f"seed {seed}: all is well (trace {outcome.digest})")
        return
    click.echo(f"seed {seed}: {counted(len(outcome.violations), 'broken promise')} (trace {outcome.digest})")
    for violation in outcome.violations:
        click.echo(f"  {violation}")
    if smaller is not None:
        click.echo(f"a smaller plan that fails, for --plan:\n{smaller.to_json().decode()}")


def _say_json(seed: int, outcome: Outcome, smaller: Plan | None) -> None:
    told: dict[str, Any] = {"seed": seed, "trace": outcome.digest, "violations": outcome.violations}
    if smaller is not None:
        told["plan"] = msgspec.to_builtins(smaller)
    click.echo(json.dumps(told))


def _sum_up(count: int, acked: int, failed: list[int], took_s: float, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"seeds": count, "failed": failed, "acked": acked, "seconds": round(took_s, 1)}))
        return
    how = f"{counted(len(failed), 'seed')} failed: {' '.join(map(str, failed))}" if failed else "all is well"
    click.echo(f"{counted(count, 'seed')}, {counted(acked, 'message')} acked, {took_s:.1f} s: {how}")
