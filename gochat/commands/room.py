"""`gochat room`: work on a room's log."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gochat.commands import EXIT_INTERRUPTED, EXIT_OK, CommandError
from gochat.commands.connection import check_address, credential, server_options
from gochat.commands.files import Progress, can_ask, node_database, note, replacing
from gochat.commands.options import config_option, data_option, load_settings
from gochat.domain import ids
from gochat.domain.plurals import counted
from gochat.wall_clock import wall_ms

if TYPE_CHECKING:
    from gochat.client import Chat, TokenSource

#: How the name of a file of the one form and of the other ends.
DATABASES = (".sqlite", ".sqlite3", ".db")
LINES = (".jsonl", ".ndjson")


@click.group()
def room() -> None:
    """Work on a room's log."""


@room.command()
@click.argument("room", metavar="ROOM")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--as-of",
    metavar="SEQ|TIME",
    help="As it was then: after that fact, or at that ISO 8601 time, UTC if it names no zone.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was exported as one object.")
@data_option
@config_option
@server_options
def export(
    room: str,
    file: str,
    as_of: str | None,
    as_json: bool,
    data: str | None,
    config: Path | None,
    url: str,
    user: str | None,
    token: str | None,
) -> int:
    """Write a room's log to FILE.

    FILE.sqlite (or .db): one database with messages, members, reactions, all facts and a full-text index, for sqlite3,
    other programs and `gochat room import`. It is read from the node's own database (--config, --data), which may be in
    use; ROOM is group:NAME or dm:ONE:OTHER. `sqlite3 FILE.sqlite "SELECT * FROM readme"` explains it.

    FILE.jsonl, or - for standard output: every fact that you may read, a JSON object a line, from a server (--url,
    --as, --token), up to the last one when the export began.

    Both show messages as they are now: edited ones with their present text, deleted ones without. --as-of undoes later
    edits and deletes as far as the earlier text is known, and marks these messages. FILE is replaced when all of it is
    there, or not at all.

    \b
    Examples:
      gochat room export group:tea tea.sqlite --data /var/lib/gochat
      gochat room export group:tea tea.sqlite --as-of 2026-02-03T18:00Z --json
      gochat room export group:tea tea.jsonl --as ann
      gochat room export user:bob - --as ann | jq -r .body
    """
    if Path(file).suffix in DATABASES:
        if user is not None or token is not None:
            raise click.UsageError(
                f"{file} is read from the node's own database, not as a user; for what a user may read, name FILE.jsonl"
            )
        return _export_database(_room_id(room), Path(file), as_of, as_json, config, data)
    if as_of is not None or as_json or (data is not None and user is None):
        raise click.UsageError("--as-of and --json go with FILE.sqlite, and --data with that or with --as")
    check_address(room)
    if user is None and token is None and file != "-" and Path(file).suffix not in LINES:
        raise click.UsageError(f"what is {file} to be? FILE.sqlite is a database, FILE.jsonl or - are JSON lines")
    return _export_lines(room, file, url, credential(url, user, token, config, data))


def _export_database(
    room: str, file: Path, as_of: str | None, as_json: bool, config: Path | None, data: str | None
) -> int:
    from gochat.store.portable.export_room import export_room

    upto_seq, upto_ms = _point(as_of)
    settings, _, _ = load_settings(config, {"node.data": data})
    progress = Progress("exported")
    with replacing(file) as part:
        done = export_room(
            node_database(settings),
            room,
            part,
            now_ms=wall_ms(),
            progress=progress,
            upto_seq=upto_seq,
            upto_ms=upto_ms,
        )
    progress.done()
    if as_json:
        click.echo(json.dumps({"file": str(file), **done._asdict(), "bytes": file.stat().st_size}))
    return EXIT_OK


@room.command()
@click.option("--dry-run", is_flag=True, help="Only count; the node may run.")
@click.option("--older-than", type=click.IntRange(1, 36_500), metavar="DAYS", help="Instead of [retention].")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print what was counted as one object.")
@data_option
@config_option
def expire(
    dry_run: bool, older_than: int | None, yes: bool, as_json: bool, data: str | None, config: Path | None
) -> int:
    """Take the texts of old messages away for good.

    As old as `retention.group_days` and `retention.private_days` say, which a running node sees to by itself, hour by
    hour. The messages stay where they are and show as deleted. With --dry-run nothing is changed; without it the node
    must be stopped. Backups keep the texts.

    \b
    Examples:
      gochat room expire --dry-run --older-than 365
      gochat room expire --dry-run --config new.toml --json
      gochat room expire --older-than 30 --yes
    """
    from gochat.store import folder
    from gochat.store.read.source import reading
    from gochat.store.write.expiry import count
    from gochat.store.write.retention import cutoffs, expire_all

    settings, _, _ = load_settings(config, {"node.data": data})
    kept = settings.retention
    days = (kept.group_days, kept.private_days) if older_than is None else (older_than, older_than)
    if not any(days):
        raise CommandError(
            "nothing expires: retention.group_days and retention.private_days are 0",
            hint="--older-than DAYS counts all the same",
        )
    database, now_ms = node_database(settings), wall_ms()
    with reading(database) as connection:
        groups, private = count(connection, cutoffs(*days, now_ms))
    if not as_json or not dry_run:
        say = note if as_json else click.echo
        for name, found in ("group", groups), ("private room", private):
            oldest = "" if found.oldest_ms is None else f", the oldest of {_day(found.oldest_ms)}"
            line = f"{counted(found.messages, 'message')} in {counted(found.rooms, name)}{oldest}"
            say(line if found.messages else f"nothing in {name}s")
    expired = 0
    if not dry_run and (groups.messages or private.messages):
        if not yes and not can_ask():
            raise click.UsageError("nobody is there to be asked; --yes takes the texts without asking")
        if not yes:
            click.confirm("Take these texts away for good?", abort=True, err=True)
        with folder.locked(database.parent):
            expired = expire_all(database, days, now_ms)
        note(f"{counted(expired, 'message')} without a text now")
    if as_json:
        told = {"groups": groups._asdict(), "private": private._asdict(), "expired": expired}
        click.echo(json.dumps(told))
    return EXIT_OK


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def _point(text: str | None) -> tuple[int | None, int | None]:
    """The seq or the time that --as-of names: digits are a seq, all else is a time."""
    if text is None:
        return None, None
    if text.isdecimal() and text.isascii():
        return int(text), None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("a seq, or a time such as 2026-02-03T18:00Z", param_hint="--as-of") from None
    return None, int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _room_id(text: str) -> str:
    if not ids.is_room(text):
        raise click.BadParameter(
            "a room here is group:NAME, or dm:ONE:OTHER with the users in byte order", param_hint=repr(text)
        )
    return text


def _export_lines(room: str, file: str, url: str, token: TokenSource | None) -> int:
    from gochat.commands.online import online

    def run(write: Callable[[bytes], object]) -> int:
        async def body(session: Chat) -> None:
            await _export(session, session.room(room), write)

        return EXIT_OK if online(body, url, token) else EXIT_INTERRUPTED

    if file == "-":
        code = run(sys.stdout.buffer.write)
        sys.stdout.buffer.flush()
        return code
    with replacing(Path(file)) as part:
        with part.open("wb") as out:
            code = run(out.write)
        if code != EXIT_OK:
            raise click.Abort
    return code


async def _export(session: Chat, room: str, write: Callable[[bytes], object]) -> None:
    from gochat.client.wire import encode_fact

    progress = Progress("exported")
    count, last, goal = 0, 0, None
    async for page in session.history(room, after=0):
        goal = page.head if goal is None else goal
        entries = [fact for fact in page.entries if fact.seq <= goal]
        write(b"".join(encode_fact(fact) + b"\n" for fact in entries))
        count += len(entries)
        progress(count, goal)
        last = page.entries[-1].seq if page.entries else last
        if last >= goal:
            break
    if last < (goal or 0):
        raise CommandError(f"the server gave {room} up to seq {last} of {goal}")
    progress.done()


@room.command("import")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--as", "name", metavar="ROOM", help="Name of the new group, such as group:tea2.")
@click.option("--json", "as_json", is_flag=True, help="Print what was imported as one object.")
@data_option
@config_option
def import_(file: Path, name: str | None, as_json: bool, data: str | None, config: Path | None) -> int:
    """Bring an exported room into this node's database. The node must be stopped.

    The room has the same facts, seqs, times and keys as where it came from, with its members and how far they have
    read. Where it exists already and agrees with the file, missing facts are appended: importing twice does no harm.
    Where it differs nothing is changed.

    \b
    Examples:
      gochat room import tea.sqlite
      gochat room import tea.sqlite --as group:tea2 --data /var/lib/gochat
    """
    from gochat.store import folder
    from gochat.store.portable.import_room import import_room

    room = _room_id(name) if name is not None else None
    settings, _, _ = load_settings(config, {"node.data": data})
    place = Path(settings.node.data)
    folder.make(place)
    progress = Progress("read")
    with folder.locked(place):
        done = import_room(file, folder.database(place), room=room, progress=progress)
    if as_json:
        click.echo(json.dumps(done._asdict()))
    else:
        note(f"{done.room}: {counted(done.facts, 'fact')}, {done.added:,} new")
    return EXIT_OK
