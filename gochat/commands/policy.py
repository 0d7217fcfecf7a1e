"""`gochat policy`: try rules and limits on recorded messages, before they are in force."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import click

from gochat.commands import EXIT_OK, CommandError
from gochat.commands.files import node_database, note
from gochat.commands.options import Duration, config_option, data_option, load_settings
from gochat.config import Settings
from gochat.domain.ids import is_dm, message_id, peer
from gochat.domain.plurals import counted
from gochat.log import inert
from gochat.policy import load_rules
from gochat.policy.compare import Change, change, refused_by_rate
from gochat.settings import load
from gochat.store.read.recent import Said, contacts, said_since
from gochat.store.schema import connect
from gochat.wall_clock import wall_ms

_PROGRESS_S = 1.0
_PROGRESS_EVERY = 1_000
_BODY_CHARS = 60


@click.group()
def policy() -> None:
    """Try rules and limits on recorded messages."""


@policy.command()
@click.argument("new", metavar="NEW.toml", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--against", type=Duration(), default="30d", show_default=True, metavar="TIME", help="How far back: 90s, 12h, 30d."
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="Most messages to list, and most users.",
)
@click.option("--json", "as_json", is_flag=True, help="Print an object a line: messages, users, then the summary.")
@data_option
@config_option
def test(new: Path, against: int, limit: int, as_json: bool, data: str | None, config: Path | None) -> int:
    """List the messages that NEW.toml would judge otherwise.

    Reads the stored messages of the last days, judges each by the present settings and by NEW.toml (with the same
    environment), and lists those that would fare otherwise; then the users whose messages the new limits.messages_per_s
    would have refused. It only reads, and may run beside a node. Messages count as they are now: edited ones with their
    present text. Messages that were refused when they were sent are not stored, and so not judged.

    \b
    Examples:
      gochat policy test new.toml
      gochat policy test new.toml --against 7d --limit 1000 --json | jq -r .message
    """
    present = load_settings(config, {"node.data": data}).settings
    wanted = load(new, os.environ, {}).settings
    since_ms = wall_ms() - against * 1000
    show = _Json(limit) if as_json else _Text(limit)
    try:
        with closing(connect(str(node_database(present)), read_only=True)) as connection:
            _replay(connection, since_ms, present, wanted, show)
    except sqlite3.Error as error:
        raise CommandError(
            f"the messages can't be read: {error}", hint="was the node run with this release?"
        ) from error
    return EXIT_OK


def _replay(
    connection: sqlite3.Connection, since_ms: int, present: Settings, wanted: Settings, show: _Text | _Json
) -> None:
    now, new = load_rules(present.policy), load_rules(wanted.policy)
    friends = contacts(connection)
    times: defaultdict[str, array[int]] = defaultdict(lambda: array("q"))
    changes: Counter[tuple[str, str]] = Counter()
    messages = 0
    for said in _with_progress(said_since(connection, since_ms)):
        times[said.sender].append(said.ts)
        if said.body is None:
            continue
        messages += 1
        found = change(now, new, said.body, contacts=_are_contacts(said, friends))
        if found is not None:
            changes[found.was.outcome, found.would_be.outcome] += 1
            show.message(said, found)
    rates = sorted(_rates(times, present, wanted), key=lambda rate: (-rate.would_be, rate.user))
    for rate in rates:
        show.user(rate)
    show.summary(_Summary(messages, changes, len(rates), sum(rate.would_be for rate in rates)))


def _are_contacts(said: Said, friends: set[tuple[str, str]]) -> bool:
    """Whether the receiver of a private message has its sender in their contacts; notes to self count as messages from
    a contact."""
    if not is_dm(said.room):
        return False
    receiver = peer(said.room, said.sender)
    return receiver == said.sender or (receiver, said.sender) in friends


class _Rate(NamedTuple):
    user: str
    sent: int
    was: int
    """How many the present limit would refuse."""
    would_be: int


def _rates(times: dict[str, array[int]], present: Settings, wanted: Settings) -> Iterator[_Rate]:
    """Users some of whose messages the new limit refuses, or the present one."""
    for user, sent in times.items():
        in_order = sorted(sent)
        was, would_be = (
            refused_by_rate(in_order, settings.limits.messages_per_s, settings.limits.message_burst)
            for settings in (present, wanted)
        )
        if would_be:
            yield _Rate(user, len(sent), was, would_be)


class _Summary(NamedTuple):
    messages: int
    changes: Counter[tuple[str, str]]
    limited_users: int
    limited: int


class _Text:
    """A line each, for people."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages = self._users = 0

    def message(self, said: Said, found: Change) -> None:
        self._messages += 1
        if self._messages <= self._limit:
            what = f"{found.rule}: {found.was.outcome} -> {found.would_be.outcome}"
            click.echo(f"{message_id(said.room, said.seq)}  {said.sender}  {what}  {_shortened(said.body or '')}")

    def user(self, rate: _Rate) -> None:
        self._users += 1
        if self._users <= self._limit:
            what = f"messages_per_s: {rate.was} of {rate.sent} refused -> {rate.would_be}"
            click.echo(f"{rate.user}  {what}")

    def summary(self, total: _Summary) -> None:
        hidden = max(0, self._messages - self._limit), max(0, self._users - self._limit)
        if any(hidden):
            more = f"{counted(hidden[0], 'more message')} and {counted(hidden[1], 'more user')}"
            note(f"{more}; --limit shows them")
        parts = [f"{count:,} {was} -> {now}" for (was, now), count in sorted(total.changes.items())]
        click.echo(
            f"{counted(total.messages, 'message')}: {', '.join(parts) or 'nothing changes'}; the new limit refuses"
            f" {counted(total.limited, 'message')} of {counted(total.limited_users, 'user')}"
        )


class _Json:
    """An object a line, for programs."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages = self._users = 0

    def message(self, said: Said, found: Change) -> None:
        self._messages += 1
        if self._messages <= self._limit:
            _print(
                type="message",
                message=message_id(said.room, said.seq),
                sender=said.sender,
                ts=said.ts,
                rule=found.rule,
                was=found.was.outcome,
                would_be=found.would_be.outcome,
                body=_shortened(said.body or ""),
            )

    def user(self, rate: _Rate) -> None:
        self._users += 1
        if self._users <= self._limit:
            _print(type="user", user=rate.user, sent=rate.sent, was=rate.was, would_be=rate.would_be)

    def summary(self, total: _Summary) -> None:
        changes = [{"was": was, "would_be": now, "count": n} for (was, now), n in sorted(total.changes.items())]
        _print(
            type="summary",
            messages=total.messages,
            changes=changes,
            limited_users=total.limited_users,
            limited=total.limited,
        )


def _print(**fields: Any) -> None:
    click.echo(json.dumps(fields))


def _shortened(body: str) -> str:
    return inert(body if len(body) <= _BODY_CHARS else f"{body[: _BODY_CHARS - 1]}…")


def _with_progress(all_said: Iterable[Said]) -> Iterator[Said]:
    """Says now and then how far it is, where somebody looks."""
    live = sys.stderr.isatty()
    shown_at = time.monotonic()
    width = 0
    for number, said in enumerate(all_said, 1):
        if live and number % _PROGRESS_EVERY == 0 and time.monotonic() - shown_at >= _PROGRESS_S:
            shown_at = time.monotonic()
            line = f"{number:,} messages read"
            width = len(line)
            note(f"\r{line}", end="")
        yield said
    if width:
        note(f"\r{' ' * width}\r", end="")
