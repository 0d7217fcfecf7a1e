"""`gochat cluster leave`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gochat.commands import EXIT_OK, CommandError
from gochat.commands.files import can_ask, note
from gochat.commands.options import config_option, data_option, load_settings


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one object.")
@data_option
@config_option
def leave(yes: bool, as_json: bool, data: str | None, config: Path | None) -> int:
    """Take a stopped node's folder out of its cluster.

    Its messages stay, as a chat of its own from then on: its clients start anew (`reset`), and news of the cluster
    come here no more. There is no way back but to join with a backup of another node's.

    A node that was killed is still waited for by the others: `gochat cluster forget` ends that. One that was stopped
    by SIGTERM or Ctrl-C is not.

    \b
    Examples:
      systemctl stop gochat && gochat cluster leave
      gochat cluster leave --data /var/lib/gochat --yes
    """
    from gochat.cluster import identity
    from gochat.store import folder
    from gochat.store.portable import cluster as of_cluster

    settings, _, _ = load_settings(config, {"node.data": data})
    place = Path(settings.node.data)
    database = folder.database(place)
    folder.check_whole(place)  # The database that is kept is the same file.
    copy = of_cluster.read(database) if database.is_file() else None
    name = folder.cluster(place) if copy is None else copy.name
    if name is None:
        raise CommandError(f"{place} belongs to no cluster", hint="--data names the folder of a node")
    if not yes:
        if not can_ask():
            raise click.UsageError("nobody is there to be asked; --yes leaves without asking")
        click.confirm(f"Take {place} out of the cluster {name}?", abort=True, err=True)
        click.confirm("Its messages and the cluster's go apart for good. Go on?", abort=True, err=True)
    with folder.locked(place):
        # The file last: until then no node serves the folder alone.
        if copy is not None:
            of_cluster.release(database)
        identity.remove(place)
    if as_json:
        click.echo(json.dumps({"folder": str(place), "left": name}))
    else:
        note(f"{place} belongs to no cluster any more")
    return EXIT_OK
