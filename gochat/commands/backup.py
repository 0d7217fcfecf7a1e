"""`gochat backup`: the whole database as one file, while the node runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gochat.auth.secret import FILE_NAME
from gochat.commands import EXIT_OK, CommandError
from gochat.commands.files import Share, node_database, note, replacing
from gochat.commands.options import config_option, data_option, load_settings
from gochat.domain.plurals import counted


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was copied as one object.")
@data_option
@config_option
def backup(file: Path, force: bool, as_json: bool, data: str | None, config: Path | None) -> int:
    """Copy the node's database to FILE, whole and checked.

    The node may run: FILE is one moment, and holds every message that was acknowledged before the command began. It
    is copied at half of the disk's speed, so that acknowledgements do not wait. FILE appears when all of it is there
    and has been checked, or not at all, and only its owner may read it. `gochat restore` takes it back.

    FILE does not hold the settings, nor the secret that signs development tokens (auth.secret in the data folder).
    It still holds messages that are deleted later: keep backups no longer than users may expect.

    \b
    Examples:
      gochat backup /mnt/backup/gochat-$(date +%F).db
      gochat backup --data /var/lib/gochat --json last.db --force
    """
    from gochat.store import folder
    from gochat.store.portable.backup import back_up

    settings, _, _ = load_settings(config, {"node.data": data})
    place = Path(settings.node.data)
    if file.absolute().parent.resolve() == place.resolve() and folder.owns(file.name):
        raise CommandError(f"{file} is one of the node's own files", hint="name another file")
    if file.exists() and not force:
        raise CommandError(f"{file} is there already", hint="--force replaces it")
    os.nice(10)
    share = Share("copied")
    with replacing(file) as part:
        done = back_up(node_database(settings), part, share)
    share.done()
    told = {"file": str(file), "bytes": file.stat().st_size, **done._asdict()}
    if as_json:
        click.echo(json.dumps(told))
    else:
        size = f"{told['bytes'] / 1e6:,.1f} MB"
        note(f"{file}: {counted(done.facts, 'fact')} of {counted(done.rooms, 'room')}, {size}, checked")
    if (place / FILE_NAME).exists() and not settings.auth.configured:
        note(f"{place / FILE_NAME} is not in it: keep a copy of that apart")
    return EXIT_OK
