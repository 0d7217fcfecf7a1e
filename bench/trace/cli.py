"""`python -m bench trace`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from bench import environment
from bench.faults import Broken, Fault
from bench.finish import NOT_HELD, no_figure
from bench.load.wire import WIRES
from bench.report import aligned
from bench.server import HERE, Checkout
from bench.trace.path import Counts, Step, counts, listing, shortest
from bench.trace.run import paths

FIGURES = Counts.__struct_fields__


class _AtMost(click.ParamType):
    name = "FIGURE=N"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        figure, _, number = value.partition("=")
        if figure not in FIGURES or not number.isdigit():
            self.fail(f"{value!r}: write it as calls=105; there are {', '.join(FIGURES)}", param, ctx)
        return figure, int(number)


@click.command("trace")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="CHECKOUT",
    help="Trace another checkout too, a folder with a .venv of its own, and compare the counts.",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=15,
    show_default=True,
    help="Messages; the way of the one with the fewest calls is shown. Fewer go once the bounds hold.",
)
@click.option("--transport", type=click.Choice(sorted(WIRES)), default="ws", show_default=True)
@click.option("--rules", type=click.Choice(["default", "off"]), default="default", show_default=True)
@click.option("--path/--no-path", "show_path", default=True, show_default=True, help="Show the way, line by line.")
@click.option("--at-most", "bounds", type=_AtMost(), multiple=True, help="Fail unless it holds; may be repeated.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".build/bench"),
    show_default=True,
    help="Folder for the servers' data.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the counts, and the way.")
def trace_command(
    against: Path | None,
    samples: int,
    transport: str,
    rules: str,
    show_path: bool,
    bounds: tuple[tuple[str, int], ...],
    data: Path,
    as_json: bool,
) -> None:
    """The way of one private message, from epoll to the other's socket: calls, files, tasks and stored callbacks of
    this checkout's node. bench/trace/__init__.py says what is counted.

    \b
    python -m bench trace
    python -m bench trace --no-path --at-most calls=105 --at-most tasks=2 --at-most callbacks=4
    python -m bench trace --no-path --against ../before
    """
    try:
        checkouts = [HERE, *([Checkout.at(against)] if against else [])]
    except Broken as error:
        raise click.UsageError(f"--against: {error}") from None

    def enough(path: Sequence[Step]) -> bool:
        """Further messages could only show a longer way than one that keeps to the bounds."""
        return bool(bounds) and not against and not _exceeded(path, bounds)

    try:
        found = []
        for checkout in checkouts:
            seen = paths(checkout, data.resolve(), WIRES[transport], samples, enough, rules=rules == "default")
            found.append(seen[-1] if enough(seen[-1]) else shortest(seen))
    except (Broken, Fault) as error:
        no_figure(error)
    if as_json:
        click.echo(_as_json(checkouts, found))
    else:
        click.echo("\n".join(_told(checkouts, found, show_path=show_path)))
    exceeded = _exceeded(found[0], bounds)
    for said in exceeded:
        click.echo(f"DOES NOT HOLD: {said}", err=as_json)
    if exceeded:
        sys.exit(NOT_HELD)


def _exceeded(path: Sequence[Step], bounds: Sequence[tuple[str, int]]) -> list[str]:
    mine = counts(path)
    return [
        f"{getattr(mine, figure)} {figure}, at most {bound} are wanted"
        for figure, bound in bounds
        if getattr(mine, figure) > bound
    ]


def _as_json(checkouts: Sequence[Checkout], found: Sequence[Sequence[Step]]) -> str:
    entries = [
        {
            "checkout": str(checkout.root),
            "commit": environment.commit(checkout.root),
            "counts": counts(path),
            "path": path,
        }
        for checkout, path in zip(checkouts, found, strict=True)
    ]
    return msgspec.json.format(msgspec.json.encode(entries), indent=2).decode()


def _told(checkouts: Sequence[Checkout], found: Sequence[Sequence[Step]], *, show_path: bool) -> list[str]:
    lines: list[str] = []
    if show_path:
        lines += [*listing(found[0]), ""]
        through = {(step.callback, step.file, step.name): None for step in found[0] if step.callback}
        lines += ["stored callbacks:", *(f"  {callback}: {file}: {name}" for callback, file, name in through), ""]
    rows = [("checkout", *FIGURES)]
    for checkout, path in zip(checkouts, found, strict=True):
        figures = counts(path)
        place = f"{checkout.root} {environment.commit(checkout.root)}"
        rows.append((place, *(str(getattr(figures, figure)) for figure in FIGURES)))
    return lines + aligned(rows)
