"""`gochat user`: all data of a user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gochat.commands import EXIT_OK
from gochat.commands.files import Progress, can_ask, node_database, note, replacing
from gochat.commands.options import config_option, data_option, load_settings
from gochat.domain import ids
from gochat.domain.plurals import counted
from gochat.wall_clock import wall_ms

if TYPE_CHECKING:
    from gochat.store.portable.delete_user import Removed


@click.group()
def user() -> None:
    """Export or delete a user's data, or release a deleted user's id."""


@user.command()
@click.argument("user", metavar="USER")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print what was exported as one object.")
@data_option
@config_option
def export(user: str, file: Path, as_json: bool, data: str | None, config: Path | None) -> int:
    """Write a user's data to FILE, an SQLite database.

    Profile, rooms and roles, own messages everywhere, messages of others in the user's private chats, own reactions,
    contacts and blocks, reports made, and decisions about the user. It is read from the node's own database, which may
    be in use. FILE is replaced when all of it is there, or not at all.

    \b
    Examples:
      gochat user export ann ann.sqlite
      sqlite3 ann.sqlite "SELECT * FROM messages"
    """
    from gochat.store.portable.user_out import export_user

    _user(user)
    settings, _, _ = load_settings(config, {"node.data": data})
    with replacing(file) as part:
        done = export_user(node_database(settings), user, part, now_ms=wall_ms())
    if as_json:
        click.echo(json.dumps({"file": str(file), **done._asdict(), "bytes": file.stat().st_size}))
    else:
        told = f"{counted(done.messages, 'message')}, {done.received:,} received, {counted(done.rooms, 'room')}"
        note(f"{told} exported")
    return EXIT_OK


@user.command()
@click.argument("user", metavar="USER")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was deleted as one object.")
@data_option
@config_option
def delete(user: str, yes: bool, as_json: bool, data: str | None, config: Path | None) -> int:
    """Delete a user's data for good. The node must be stopped.

    All messages of the user are deleted, reactions taken back, groups left; where the last owner goes, the moderator,
    else the member, who has been there longest becomes owner; an empty group is closed. Name, contacts, blocks, read
    positions and keys go too, and tokens issued until now are revoked. At the end the whole file is written anew, so
    that nothing is left between the pages: that takes time, and as much free disk as the database has.

    Stopped half-way, run it again. Exported files and backups are yours to delete. Nothing of others is deleted.

    \b
    Examples:
      gochat user export ann ann.sqlite && gochat user delete ann
      gochat user delete ann --yes --json --data /var/lib/gochat
    """
    from gochat.store import folder
    from gochat.store.portable.delete_user import delete_user

    _user(user)
    database = node_database(load_settings(config, {"node.data": data}).settings)
    if not yes:
        if not can_ask():
            raise click.UsageError("nobody is there to be asked; --yes deletes without asking")
        click.confirm(f"Delete everything that {user} wrote?", abort=True, err=True)
    progress = Progress("recorded")
    with folder.locked(database.parent):
        done = delete_user(database, user, now_ms=wall_ms(), progress=progress)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(done).decode())
    else:
        _tell(done)
    return EXIT_OK


@user.command()
@click.argument("user", metavar="USER")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one object.")
@data_option
@config_option
def release(user: str, as_json: bool, data: str | None, config: Path | None) -> int:
    """Let the id of a deleted user be used again. The node must be stopped.

    Until then the id is nobody's: it is not let in (`account deleted`), not written to and not added. Its next user
    finds no group, no private chat and no contact of the one before. Decisions of others about the id stay: blocks,
    bans, mutes, a suspension. Tokens that were issued before the deletion stay revoked.

    \b
    Examples:
      gochat user release ann
      gochat user release ann --json --data /var/lib/gochat
    """
    from gochat.store import folder
    from gochat.store.portable.delete_user import release_user

    _user(user)
    database = node_database(load_settings(config, {"node.data": data}).settings)
    with folder.locked(database.parent):
        release_user(database, user, now_ms=wall_ms())
    click.echo(json.dumps({"user": user, "released": True}) if as_json else f"{user} is released")
    return EXIT_OK


def _tell(done: Removed) -> None:
    for line in (
        f"{counted(done.messages, 'message')} deleted",
        f"{counted(done.reactions, 'reaction')} taken back",
        f"{counted(done.groups_left, 'group')} left",
        f"{counted(done.groups_closed, 'group')} closed",
        f"{counted(done.keys, 'key')} removed",
        f"{counted(done.relations, 'contact or block', 'contacts and blocks')} removed",
        f"{counted(done.reports, 'report')} emptied",
    ):
        click.echo(line)
    for group, heir in done.successors.items():
        click.echo(f"{group} has a new owner: {heir}")


def _user(text: str) -> str:
    if not ids.is_name(text):
        raise click.BadParameter("a user id has small letters, digits, and _ . - inside", param_hint=repr(text))
    return text
