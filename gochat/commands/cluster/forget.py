"""`gochat cluster forget`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from gochat.commands import EXIT_OK, EXIT_UNDER_WAY, CommandError, interrupt_alone
from gochat.commands.cluster.options import cluster_option, require_url
from gochat.commands.files import can_ask, note
from gochat.commands.options import config_option, data_option, load_settings

if TYPE_CHECKING:
    from gochat.commands.cluster.survey import Asked, Node, Survey
    from gochat.config import Settings

#: A repair may have to come first. Longer than a node takes to say what came of it (cluster/forgetting.py).
PATIENCE_S = 60.0
#: Told of the logs' epoch. None: the answer of the node that did it was lost.
_EPOCH: Final = {True: "; the logs have a new epoch", None: "; whether the logs have a new epoch is not known"}
_ALIVE = "stop it first: a node that is stopped by SIGTERM or Ctrl-C is waited for no more"
_NOT_DONE = "the same may succeed later; where a repair waits for several nodes, one command must name all of them"
_UNDER_WAY = "`gochat cluster status` says which node goes on with it"


@click.command()
@click.argument("instances", metavar="NODE...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print what was done as an object for each node.")
@data_option
@config_option
def forget(
    instances: tuple[str, ...], yes: bool, url: str | None, as_json: bool, data: str | None, config: Path | None
) -> int:
    """Go on without a node that will not come back, or without several.

    NODE is its instance, or its name, as `gochat cluster status` prints it. Its folder is refused from then on.

    Where the log is being repaired and waits for the node, messages that it alone had recorded are lost, though they
    were acknowledged. Then the logs get a new epoch: all clients start anew (`reset`). A repair that waits for several
    nodes goes on when all of them are named.

    Ends with 1 where nothing was done, and the node may be started again. Ends with 6 where it is not done yet and
    can't be taken back, or where that is not known, as after Ctrl-C: do not start the node then.

    \b
    Examples:
      gochat cluster forget 3f9a0c1d2e4b5a67
      gochat cluster forget node2 node3 --yes --json
    """
    from gochat.commands.cluster.survey import survey

    settings, _, _ = load_settings(config, {"node.data": data, "cluster.url": url})
    require_url(settings)
    found = survey(settings)
    nodes = list(dict.fromkeys(_find(found, each) for each in instances))
    if not any(each.alive for each in found.nodes):
        raise CommandError("no node lives that could do it", hint="start one that is to stay")
    if not yes:
        _confirm(nodes, is_broken=bool(found.broken))
        found = survey(settings)  # That took a while.
        nodes = [_find(found, node.instance) for node in nodes]
    outcomes = _outcomes(found, nodes, settings)
    for node, outcome in zip(nodes, outcomes, strict=True):
        if isinstance(outcome, CommandError):
            continue
        if as_json:
            click.echo(json.dumps({"instance": node.instance, "new_epoch": outcome}))
        else:
            note(f"{_called(node)} is forgotten{_EPOCH.get(outcome, '')}")
    failures = [outcome for outcome in outcomes if isinstance(outcome, CommandError)]
    if failures:
        worst = next((each for each in failures if each.code == EXIT_UNDER_WAY), failures[0])
        raise CommandError("; ".join(dict.fromkeys(map(str, failures))), hint=worst.hint, code=worst.code)
    return EXIT_OK


def _called(node: Node) -> str:
    return f"{node.name} ({node.instance})"


def _find(found: Survey, instance: str) -> Node:
    chosen = [node for node in found.nodes if instance in (node.instance, node.name)]
    if len(chosen) != 1:
        known = ", ".join(node.instance for node in found.nodes)
        problem = f"{len(chosen)} nodes are called {instance}" if chosen else f"the cluster has no node {instance}"
        raise CommandError(problem, hint=f"there are {known}" if known else "it has none")
    (node,) = chosen
    if node.alive:
        raise CommandError(f"{_called(node)} lives", hint=_ALIVE)
    return node


def _confirm(nodes: Sequence[Node], *, is_broken: bool) -> None:
    if not can_ask():
        raise click.UsageError("nobody is there to be asked; --yes forgets without asking")
    click.confirm(f"Forget {', '.join(map(_called, nodes))} for good?", abort=True, err=True)
    it, its = ("it", "Its folder") if len(nodes) == 1 else ("they", "Their folders")
    if is_broken:
        has = "has" if len(nodes) == 1 else "have"
        lost = f"Messages that {it} alone {has} are lost, and all clients start anew. Go on?"
        click.confirm(lost, abort=True, err=True)
    else:
        click.confirm(f"{its} will be refused. Go on?", abort=True, err=True)


def _outcomes(found: Survey, nodes: Sequence[Node], settings: Settings) -> list[bool | CommandError | None]:
    """Have the nodes forgotten; the outcome of each, as `_outcome` tells it. Ctrl-C ends the waiting: the outcome is
    what is known by then. Raises KeyboardInterrupt where nothing was done by then, nor will be."""
    import trio

    from gochat.cluster.secret import cluster_secret

    asked: dict[str, Asked] = {}
    outcomes: dict[str, bool | CommandError | None] = {}
    try:
        with interrupt_alone():
            trio.run(_ask_all, found.nodes, nodes, cluster_secret(settings.cluster), asked)
            for node in nodes:
                outcomes[node.instance] = _outcome(node, asked[node.instance], settings)
    except KeyboardInterrupt:
        if all(map(_did_nothing, asked.values())):
            raise
        for node in nodes:
            if node.instance not in outcomes:
                outcomes[node.instance] = _outcome(node, asked.get(node.instance, _interrupted()), None)
    return [outcomes[node.instance] for node in nodes]


async def _ask_all(nodes: list[Node], unwanted: Sequence[Node], secret: str, asked: dict[str, Asked]) -> None:
    """All at once, and the same node: a repair that waits for several of them waits until all are given up. `asked`
    takes, by instance, what is known of each at every moment."""
    import trio

    from gochat.commands.cluster import survey

    async def forget_one(instance: str) -> None:
        question = msgspec.json.encode({"instance": instance})
        asked[instance] = _interrupted()  # Until there is an answer.
        asked[instance] = await survey.ask_any(nodes, secret, "/internal/forget", question, PATIENCE_S)

    async with trio.open_nursery() as nursery:
        for node in unwanted:
            nursery.start_soon(forget_one, node.instance)


def _interrupted() -> Asked:
    """The outcome of a question whose answer was not waited for."""
    from gochat.commands.cluster.survey import Asked

    return Asked(None, ["interrupted"], is_known=False)


def _did_nothing(asked: Asked) -> bool:
    return asked.answer is None and asked.under_way is None and asked.is_known


def _outcome(node: Node, asked: Asked, settings: Settings | None) -> bool | CommandError | None:
    """Whether the logs have a new epoch, None where that is not known; or why the node is not forgotten. `settings`:
    None where no look at the cluster is to be taken, which takes time."""
    from gochat.commands.cluster.survey import survey

    if asked.answer is not None:
        return asked.answer.get("new_epoch")
    if asked.under_way is not None:
        return CommandError(
            f"{_called(node)} is not forgotten yet: {asked.under_way}", hint=_UNDER_WAY, code=EXIT_UNDER_WAY
        )
    problems = "; ".join(asked.problems) or "none tells where it is reached"
    try:
        # A node may have done it, though its answer did not come: then the next one knows of no node to forget.
        if settings is not None and node.here is not False and _is_forgotten(node.instance, survey(settings)):
            return None
    except CommandError as error:
        problems += f"; {error}"
    if not asked.is_known:
        return CommandError(
            f"it is not known whether {_called(node)} will be forgotten, do not start it: {problems}",
            hint=_UNDER_WAY,
            code=EXIT_UNDER_WAY,
        )
    return CommandError(f"no node did it: {problems}", hint=_NOT_DONE)


def _is_forgotten(instance: str, found: Survey) -> bool:
    """Whether a node that answers counts this one no more."""
    answered = any(node.here is not None for node in found.nodes)
    return answered and not any(node.here for node in found.nodes if node.instance == instance)
