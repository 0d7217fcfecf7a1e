"""`gochat cluster forget`."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from gochat.commands import EXIT_OK, CommandError
from gochat.commands.cluster.options import cluster_option, require_url
from gochat.commands.options import config_option, data_option, load_settings

if TYPE_CHECKING:
    from gochat.commands.cluster.survey import Survey

#: A repair may have to come first.
PATIENCE_S = 60.0
#: Told of the logs' epoch. None: the answer of the node that did it was lost.
_EPOCH: Final = {True: "; the logs have a new epoch", None: "; whether the logs have a new epoch is not known"}
_ALIVE = "stop it first: a node that is stopped by SIGTERM or Ctrl-C is waited for no more"


@click.command()
@click.argument("instance", metavar="NODE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one object.")
@data_option
@config_option
def forget(instance: str, yes: bool, url: str | None, as_json: bool, data: str | None, config: Path | None) -> int:
    """Go on without a node that will not come back.

    NODE is its instance, or its name, as `gochat cluster status` prints it. Its folder is refused from then on.

    Where the log is being repaired and waits for the node, messages that it alone had recorded are lost, though they
    were acknowledged. Then the logs get a new epoch: all clients start anew (`reset`).

    \b
    Examples:
      gochat cluster forget 3f9a0c1d2e4b5a67
      gochat cluster forget node2 --yes --json
    """
    import trio

    from gochat.cluster.secret import cluster_secret
    from gochat.commands.cluster.survey import ask_any, survey

    settings, _, _ = load_settings(config, {"node.data": data, "cluster.url": url})
    require_url(settings)
    found = survey(settings)
    chosen = [node for node in found.nodes if instance in (node.instance, node.name)]
    if len(chosen) != 1:
        known = ", ".join(node.instance for node in found.nodes)
        problem = f"{len(chosen)} nodes are called {instance}" if chosen else f"the cluster has no node {instance}"
        raise CommandError(problem, hint=f"there are {known}" if known else "it has none")
    (node,) = chosen
    if node.alive:
        raise CommandError(f"{node.name} ({node.instance}) lives", hint=_ALIVE)
    if not any(each.alive for each in found.nodes):
        raise CommandError("no node lives that could do it", hint="start one that is to stay")
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody is there to be asked; --yes forgets without asking")
        click.confirm(f"Forget {node.name} ({node.instance}) for good?", abort=True, err=True)
        if found.broken:
            click.confirm(
                "Messages that it alone has are lost, and all clients start anew. Go on?", abort=True, err=True
            )
        else:
            click.confirm("Its folder will be refused. Go on?", abort=True, err=True)
    question = msgspec.json.encode({"instance": node.instance})
    secret = cluster_secret(settings.cluster)
    asked = trio.run(partial(ask_any, found.nodes, secret, "/internal/forget", question, PATIENCE_S))
    answer = asked.answer
    if answer is None:
        # A node may have done it, though its answer did not come: then the next one knows of no node to forget.
        if node.here is False or not _is_forgotten(node.instance, survey(settings)):
            raise CommandError(
                f"no node did it: {'; '.join(asked.problems) or 'none tells where it is reached'}",
                hint="`gochat cluster status` says how they are; the same may succeed later",
            )
        answer = {"new_epoch": None}
    if as_json:
        click.echo(json.dumps({"instance": node.instance, **answer}))
    else:
        click.echo(f"{node.name} ({node.instance}) is forgotten{_EPOCH.get(answer.get('new_epoch'), '')}", err=True)
    return EXIT_OK


def _is_forgotten(instance: str, found: Survey) -> bool:
    """Whether a node that answers counts this one no more."""
    answered = any(node.here is not None for node in found.nodes)
    return answered and not any(node.here for node in found.nodes if node.instance == instance)
