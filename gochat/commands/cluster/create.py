"""`gochat cluster create`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from gochat.commands import EXIT_OK, CommandError
from gochat.commands.cluster.options import cluster_option, require_url
from gochat.commands.files import note
from gochat.commands.options import config_option, data_option, load_settings
from gochat.wall_clock import wall_ms

if TYPE_CHECKING:
    from gochat.cluster.link import Link
    from gochat.config import Settings
    from gochat.store.portable.cluster import Copy

_TAKEN = "set cluster.name to another one, or make the folder one more node of that cluster by `gochat cluster join`"


class Created(NamedTuple):
    cluster: str
    """The cluster's id."""
    name: str
    instance: str
    """The folder's id."""
    was_empty: bool
    """Whether other nodes may join without a backup, as long as the log is whole."""
    begun: bool
    """Whether this made it; otherwise it was one before."""


@click.command()
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print what was made as one object.")
@data_option
@config_option
def create(url: str | None, as_json: bool, data: str | None, config: Path | None) -> int:
    """Make a stopped node's folder the first of a cluster.

    Everything that it holds becomes the cluster's. Other nodes join with a backup that is made after this, or with
    none where this folder is empty. Stopped half-way, run it again.

    The settings must have cluster.secret and a key in [auth], the same on all nodes.

    \b
    Examples:
      gochat cluster create --cluster redis://redis.example:6379
      gochat cluster create --data /var/lib/gochat --json
    """
    settings, _, _ = load_settings(config, {"node.data": data, "cluster.url": url})
    require_url(settings)
    done = first_node(settings)
    if as_json:
        click.echo(json.dumps(done._asdict()))
    elif not done.begun:
        note(f"{settings.node.data} belongs to the cluster {done.name} already")
    else:
        note(f"{settings.node.data} is the first node's folder of the cluster {done.name}")
        note("`gochat serve` with these settings serves it")
    return EXIT_OK


def first_node(settings: Settings) -> Created:
    """Make a cluster of the folder; where it was made before, nothing is changed. Raises GochatError."""
    from gochat.cluster import identity, layout
    from gochat.cluster.secret import cluster_secret
    from gochat.commands.cluster.server import server
    from gochat.store import folder
    from gochat.store.portable import cluster as of_cluster

    secret, name = cluster_secret(settings.cluster), settings.cluster.name
    place = Path(settings.node.data)
    database = folder.database(place)
    folder.make(place)
    with folder.locked(place), server(settings) as link:
        layout.check_server(link)
        folder.check_whole(place)
        marker = identity.read(place)
        copy = of_cluster.read(database) if database.is_file() else None
        if copy is None:
            if marker is not None:
                raise CommandError(
                    f"{place} belongs to the cluster {marker.name}, and its database to none",
                    hint="`gochat cluster join` makes its database anew, `gochat cluster leave` takes the folder out",
                )
            copy = _mark(link, database, name, secret)
        if copy.name != name:
            half = "" if copy.begun else ", or give that cluster up, which was never begun, by `gochat cluster leave`"
            hint = f"set cluster.name to {copy.name}{half}"
            raise CommandError(f"{place} belongs to the cluster {copy.name}", hint=hint)
        if marker is None and copy.begun:
            raise CommandError(
                f"{database} was copied from a node of the cluster {name}",
                hint="`gochat cluster join --from BACKUP` makes one more node",
            )
        laid_out = layout.unseal(copy.layout, secret)
        # From here on no node serves the folder alone, whatever becomes of this command.
        if marker is None:
            marker = identity.write(place, copy.cluster, name, joined=False)
        if copy.begun:
            layout.register(link, *copy[:3])
        else:
            try:
                layout.create(link, *copy[:3])
            except layout.NameTaken as error:
                # By a command that ran at the same time. Nothing of this cluster is anywhere but here.
                identity.remove(place)
                of_cluster.unmark(database)
                raise CommandError(f"{error}; {place} belongs to none, as before", hint=_TAKEN) from error
            of_cluster.mark(database, copy._replace(begun=True))
    return Created(copy.cluster, name, marker.instance, laid_out.was_empty, not copy.begun)


def _mark(link: Link, database: Path, name: str, secret: str) -> Copy:
    """Draw an id, and write it and the layout into the database."""
    from gochat.cluster import identity, layout
    from gochat.cluster.ports import PARTITIONS
    from gochat.store.portable import cluster as of_cluster

    found = of_cluster.contents(database)
    made = layout.Layout(
        cluster=identity.new_cluster_id(),
        partitions=PARTITIONS,
        created_ms=wall_ms(),
        epoch=found.epoch,
        was_empty=found.is_empty,
        above=found.greatest,
    )
    layout.check_free(link, made.cluster, name)
    copy = of_cluster.Copy(made.cluster, name, layout.seal(made, secret))
    of_cluster.mark(database, copy)
    return copy
