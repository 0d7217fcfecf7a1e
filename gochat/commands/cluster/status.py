"""`gochat cluster status`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gochat.commands import EXIT_FAILED, EXIT_OK
from gochat.commands.cluster.options import cluster_option, require_url
from gochat.commands.options import config_option, data_option, load_settings
from gochat.log import inert

if TYPE_CHECKING:
    from gochat.commands.cluster.survey import Survey

#: Of a node whose problem stands above.
_LACKS = "see above"


@click.command()
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
@data_option
@config_option
def status(url: str | None, as_json: bool, data: str | None, config: Path | None) -> int:
    """Show the nodes, and whether the log takes messages.

    It asks the server, and each node that lives. Ends with 1 where no node takes messages, and with 5 where the server
    can't be reached.

    \b
    Examples:
      gochat cluster status
      gochat cluster status --json | jq -r '.nodes[] | select(.alive | not) | .instance'
    """
    from gochat.commands.cluster.survey import survey

    settings, _, _ = load_settings(config, {"node.data": data, "cluster.url": url})
    require_url(settings)
    found = survey(settings)
    if as_json:
        click.echo(json.dumps(as_object(found)))
    else:
        for line in lines(found):
            click.echo(line)
    return EXIT_OK if found.takes_messages else EXIT_FAILED


def as_object(found: Survey) -> dict[str, Any]:
    return {
        "cluster": found.cluster,
        "name": found.name,
        "takes_messages": found.takes_messages,
        "problems": found.problems,
        "partitions": [
            {"partition": partition, "in_order": partition not in found.broken, "end": list(end)}
            for partition, end in sorted(found.ends.items())
        ],
        "nodes": [node._asdict() | {"alive": node.alive} for node in found.nodes],
    }


def lines(found: Survey) -> list[str]:
    state = "takes messages" if found.takes_messages else "takes no messages"
    told = [f"cluster {found.name} ({found.cluster}) {state}"]
    told += [f"  {problem}" for problem in found.problems]
    width = max((len(node.name) for node in found.nodes), default=0)
    for node in found.nodes:
        told.append(f"{node.name:<{width}}  {node.instance}  {node.url or '-'}  {_state(node, found)}")
    return [inert(line) for line in told]  # The server may be written to by others.


def _state(node: Any, found: Survey) -> str:
    if not node.alive:
        silent = "gives no sign of life" if node.age_ms is None else f"gave no sign of life for {node.age_ms // 1000} s"
        if node.here is False:
            return f"{silent}; it does not count"
        if node.forgotten_by:
            return f"{silent}; {', '.join(node.forgotten_by)} is about to go on without it: do not start it"
        if not found.is_beaten:
            # The server may take none. And where all are dead, none is there that could forget another.
            return f"{silent}{', and answers' if node.answers else ''}; {_LACKS}"
        return f"{silent}; a repair waits for it, until it is back or `gochat cluster forget {node.instance}`"
    behind = f"{node.missing:,} entries behind" if node.missing else "up to date"
    if node.missing is None:
        behind = "without a word of how far it is"
    count = "; it does not count" if node.here is False else ""
    return f"lives, {behind}{count}" + (f"; {_LACKS}" if node.problem or node.silence else "")
