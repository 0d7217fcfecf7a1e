"""`gochat cluster join`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from gochat.commands import EXIT_OK, CommandError
from gochat.commands.cluster.options import cluster_option, require_url
from gochat.commands.files import Share, can_ask, note
from gochat.commands.options import config_option, data_option, load_settings
from gochat.errors import StoreError

if TYPE_CHECKING:
    from gochat.cluster.link import Link
    from gochat.config import Settings
    from gochat.store.portable.cluster import Copy

_FLAG = "--replace-counting"
_BACKUP = "`gochat backup FILE` on a node that serves makes one"

_WAYS_OUT = (
    "start it, and stop it by SIGTERM or Ctrl-C while another node serves: it counts no more then. Where it can't be "
    f"started, {_FLAG} replaces its files and keeps them, and `gochat cluster forget` ends the waiting for it"
)


class Joined(NamedTuple):
    cluster: str
    """The cluster's id."""
    name: str
    instance: str
    """The folder's id."""
    kept: str | None
    """Where the database is that was replaced."""
    kept_marker: str | None
    """Where the file gochat.cluster is by which the folder was a node's."""


@click.command()
@click.option(
    "--from",
    "backup",
    metavar="BACKUP",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of `gochat backup` from a node of the cluster.",
)
@click.option("--yes", is_flag=True, help="Replace a database that is there without asking.")
@click.option(_FLAG, is_flag=True, help="Replace that of a node that counts, without asking.")
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print what was made as one object.")
@data_option
@config_option
def join(
    backup: Path | None,
    yes: bool,
    replace_counting: bool,
    url: str | None,
    as_json: bool,
    data: str | None,
    config: Path | None,
) -> int:
    """Prepare a folder for one more node.

    BACKUP is a file of `gochat backup`, made on a node of the cluster after `gochat cluster create`, and not so long
    ago that the log has dropped what came after. None is needed where the cluster was made from an empty folder and
    its log is whole. `gochat serve` then takes part.

    A database that is in the folder is kept beside the new one, as gochat.db.replaced-TIME. A node that was killed may
    have messages that no other node has: its folder is replaced only after a second question, or with
    --replace-counting.

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
        if not can_ask():
            raise click.UsageError(f"{database} is there; --yes replaces it without asking")
        click.confirm(f"Replace {database}?", abort=True, err=True)
        if not replace_counting and (loss := _loss(Path(settings.node.data))) is not None:
            click.confirm(f"{loss}. Replace it all the same?", abort=True, err=True)
            replace_counting = True
    done = next_node(settings, backup, replace_counting=replace_counting)
    if as_json:
        click.echo(json.dumps(done._asdict()))
    else:
        told = f"{settings.node.data} is a node's folder of the cluster {done.name}"
        note(f"{told}; `gochat serve` takes part")
        if done.kept is not None:
            what = done.kept if done.kept_marker is None else f"{done.kept}, and its node's name {done.kept_marker}"
            note(f"what was there is now {what}; delete it when you need it no more")
    return EXIT_OK


def _loss(place: Path) -> str | None:
    """Why messages may be lost with the database of the folder; None where the cluster goes on without that."""
    from gochat.cluster import identity
    from gochat.store import folder
    from gochat.store.portable import cluster as of_cluster

    names, file = [folder.database(place)], place / identity.FILE_NAME
    if (kept := folder.cut_short(place)) is not None:
        # Its log may be beside it under either name.
        names, file = [*names, kept], folder.marker_of(kept)
    try:
        marker = identity.read_file(file) if names[0].exists() else None
        if marker is None or not any(of_cluster.counts(name, marker.instance) for name in names):
            return None
    except StoreError as error:
        return f"{place} may be of a node that counts, with messages that no other node has ({error})"
    return (
        f"{place} is of node {marker.instance}, which counts: it may have messages that were acknowledged and that no "
        "other node has"
    )


def next_node(settings: Settings, backup: Path | None, *, replace_counting: bool = False) -> Joined:
    """Make the folder one more node's. A database that is there is kept beside the new one; that of a node which counts
    is replaced only with `replace_counting`. Raises GochatError."""
    from gochat.cluster import layout
    from gochat.cluster.secret import cluster_secret
    from gochat.commands.cluster.server import server
    from gochat.store import folder
    from gochat.store.portable import cluster as of_cluster
    from gochat.store.portable.restore import undo

    secret, name = cluster_secret(settings.cluster), settings.cluster.name
    place = Path(settings.node.data)
    folder.make(place)
    with folder.locked(place), server(settings) as link:
        undo(place)
        if not replace_counting and (loss := _loss(place)) is not None:
            raise CommandError(loss, hint=_WAYS_OUT)
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
        kept = put_in_place(copied, folder.database(place), joins=True)
        # The file last: with the database that was there it would make a node that says it has what another has.
        marker = identity.write(place, copy.cluster, copy.name, joined=True)
    old = None if kept is None or not folder.marker_of(kept).exists() else str(folder.marker_of(kept))
    return Joined(marker.cluster, marker.name, marker.instance, str(kept) if kept else None, old)
