"""`gochat cluster join`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from gochat.commands import EXIT_OK, CommandError
from gochat.commands.cluster.options import cluster_option, require_url
from gochat.commands.files import Share
from gochat.commands.options import config_option, data_option, load_settings

if TYPE_CHECKING:
    from gochat.cluster.link import Link
    from gochat.config import Settings
    from gochat.store.portable.cluster import Copy

_BACKUP = "`gochat backup FILE` on a node that serves makes one"


class Joined(NamedTuple):
    cluster: str
    """The cluster's id."""
    name: str
    instance: str
    """The folder's id."""
    kept: str | None
    """Where the database is that was replaced."""


@click.command()
@click.option(
    "--from",
    "backup",
    metavar="BACKUP",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of `gochat backup` from a node of the cluster.",
)
@click.option("--yes", is_flag=True, help="Replace a database that is there without asking.")
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print what was made as one object.")
@data_option
@config_option
def join(backup: Path | None, yes: bool, url: str | None, as_json: bool, data: str | None, config: Path | None) -> int:
    """Prepare a folder for one more node.

    BACKUP is a file of `gochat backup`, made on a node of the cluster after `gochat cluster create`, and not so long
    ago that the log has dropped what came after. None is needed where the cluster was made from an empty folder and
    its log is whole. `gochat serve` then takes part.

    A database that is in the folder is kept beside the new one, as gochat.db.replaced-TIME.

    \b
    Examples:
      gochat cluster join --from node1.db --cluster redis://redis.example:6379
      gochat cluster join --data data-2 --json
    """
    from gochat.store import folder

    settings, _, _ = load_settings(config, {"node.data": data, "cluster.url": url})
    require_url(settings)
    database = folder.database(Path(settings.node.data))
    if database.exists() and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{database} is there; --yes replaces it without asking")
        click.confirm(f"Replace {database}?", abort=True, err=True)
    done = next_node(settings, backup)
    if as_json:
        click.echo(json.dumps(done._asdict()))
    else:
        told = f"{settings.node.data} is a node's folder of the cluster {done.name}"
        click.echo(f"{told}; `gochat serve` takes part", err=True)
        if done.kept is not None:
            click.echo(f"what was there is now {done.kept}; delete it when you need it no more", err=True)
    return EXIT_OK


def next_node(settings: Settings, backup: Path | None) -> Joined:
    """Make the folder one more node's. A database that is there is kept beside the new one. Raises GochatError."""
    from gochat.cluster import layout
    from gochat.cluster.secret import cluster_secret
    from gochat.commands.cluster.server import server
    from gochat.store import folder
    from gochat.store.portable import cluster as of_cluster

    secret, name = cluster_secret(settings.cluster), settings.cluster.name
    place = Path(settings.node.data)
    folder.make(place)
    with folder.locked(place), server(settings) as link:
        layout.check_server(link)
        found = layout.find(link, name)
        if found is None:
            raise CommandError(
                f"{settings.cluster.url} knows no cluster of the name {name}",
                hint="`gochat cluster create` makes one; after a loss the first node that serves puts the name back",
            )
        with tempfile.TemporaryDirectory(dir=place, prefix=".join-") as spare:
            copy = of_cluster.Copy(found[0], name, found[1], begun=True)
            file = backup or _empty(link, Path(spare) / "empty.db", copy, secret)
            return _take(link, place, file, copy, secret)


def _empty(link: Link, file: Path, copy: Copy, secret: str) -> Path:
    """An empty database of the cluster. Raises CommandError where one would not do."""
    from gochat.cluster import layout
    from gochat.store.portable import cluster as of_cluster

    laid_out = layout.unseal(copy.layout, secret)
    if not laid_out.was_empty:
        raise CommandError(
            f"the cluster {copy.name} was made from a folder that held something: a backup is needed (--from)",
            hint=_BACKUP,
        )
    if not layout.reaches_back(link, copy.cluster, dict.fromkeys(range(laid_out.partitions), 0)):
        raise CommandError("the log has dropped its beginning: a backup is needed (--from)", hint=_BACKUP)
    of_cluster.make_empty(file, copy, laid_out.epoch)
    return file


def _take(link: Link, place: Path, file: Path, expected: Copy, secret: str) -> Joined:
    """Put the file in the place of the folder's database."""
    from gochat.cluster import identity, layout
    from gochat.store import folder
    from gochat.store.portable import cluster as of_cluster
    from gochat.store.portable.restore import put_in_place, staged

    share = Share("copied")
    with staged(file, folder.database(place), share) as copied:
        share.done()
        copy = of_cluster.read(copied.part)
        if copy is None or not copy.begun:
            raise CommandError(f"{file} was made before `gochat cluster create`, or is of no cluster", hint=_BACKUP)
        if copy.cluster != expected.cluster:
            raise CommandError(
                f"{file} is of another cluster than the one that the server knows as {expected.name}",
                hint="set cluster.url and cluster.name to those of the backup's cluster",
            )
        layout.unseal(copy.layout, secret)
        if not layout.reaches_back(link, copy.cluster, of_cluster.positions(copied.part)):
            raise CommandError(f"{file} is too old: the log has dropped what came after it", hint=_BACKUP)
        of_cluster.mark(copied.part, copy)  # It has answered nobody, whatever the node had whose backup it is.
        # The file first: from then on no node serves the folder alone, whatever becomes of this command.
        marker = identity.write(place, copy.cluster, copy.name)
        kept = put_in_place(copied, folder.database(place), joins=True)
    return Joined(marker.cluster, marker.name, marker.instance, str(kept) if kept else None)
