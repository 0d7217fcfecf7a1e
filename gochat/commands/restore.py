"""`gochat restore`: a backup back into the data folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gochat.commands import EXIT_OK, CommandError
from gochat.commands.files import Share, can_ask, note
from gochat.commands.options import config_option, data_option, load_settings
from gochat.domain.plurals import counted

if TYPE_CHECKING:
    from gochat.store.portable.backup import Checked


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--discard", is_flag=True, help="Do not keep the database that is replaced.")
@click.option("--json", "as_json", is_flag=True, help="Print what was restored as one object.")
@data_option
@config_option
def restore(file: Path, yes: bool, discard: bool, as_json: bool, data: str | None, config: Path | None) -> int:
    """Put a backup in the place of the database of a stopped node.

    FILE is checked, and copied; it stays as it is. A database that is there is kept beside the new one, as
    gochat.db.replaced-TIME: delete that when you need it no more. The logs get a new epoch: clients that come back are
    told `reset` and start anew, so that none goes on from facts that are no longer there.

    Everything after the backup is gone, deletions, blocks and revoked tokens too.

    A folder that belongs to a cluster is refused: there `gochat cluster join --from FILE` makes a node anew. The backup
    of a cluster's node becomes a chat of its own.

    \b
    Examples:
      systemctl stop gochat && gochat restore /mnt/backup/gochat-2026-02-03.db
      gochat restore last.db --data /var/lib/gochat --yes --json
    """
    from gochat.store import folder
    from gochat.store.portable.restore import put_in_place, staged

    settings, _, _ = load_settings(config, {"node.data": data})
    place = Path(settings.node.data)
    database = folder.database(place)
    if not yes and database.exists() and not can_ask():
        raise click.UsageError("nobody is there to be asked; --yes replaces the database without asking")
    folder.make(place)
    folder.check_whole(place)
    if folder.cluster(place) is not None:
        raise CommandError(
            f"{place} belongs to a cluster, whose other nodes have what happened since",
            hint="`gochat cluster join --from FILE` makes a node of it anew; `gochat cluster leave` takes it out",
        )
    share = Share("copied")
    with folder.locked(place), staged(file, database, share) as copy:
        share.done()
        note(f"{file}: {_told(copy.found)}")
        if database.exists() and not yes:
            size = f"{database.stat().st_size / 1e6:,.1f} MB"
            changed = _time(int(database.stat().st_mtime * 1000))
            note(f"{database}: {size}, changed {changed}")
            click.confirm(f"Replace {database}?", abort=True, err=True)
        kept = put_in_place(copy, database, keep=not discard)
    if as_json:
        told = {"database": str(database), "kept": str(kept) if kept else None, **copy.found._asdict()}
        click.echo(json.dumps(told))
    elif kept is not None:
        note(f"what was there is now {kept}; delete it when you need it no more")
    return EXIT_OK


def _told(found: Checked) -> str:
    latest = f", the latest of {_time(found.newest_ms)}" if found.newest_ms else ""
    return f"{counted(found.facts, 'fact')} of {counted(found.rooms, 'room')}{latest}"


def _time(ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ms / 1000))
