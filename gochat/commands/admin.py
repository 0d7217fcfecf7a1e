"""`gochat admin`: the acts of an admin, on a running node."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from gochat.commands import CommandError
from gochat.commands.connection import REPLY_S, User, admin_options, check_address
from gochat.commands.files import note
from gochat.commands.options import Duration

if TYPE_CHECKING:
    import msgspec

    from gochat.client import Chat, TokenSource

Entry = TypeVar("Entry", bound="msgspec.Struct")

REASON = click.option("--reason", metavar="TEXT", help="Why, for the audit log; at most 500 characters.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print an object a line, as the server sends it.")


@click.group()
def admin() -> None:
    """Moderate a running node.

    It takes a token with the scope admin: --as USER signs one on the node's own machine; from elsewhere GOCHAT_TOKEN
    passes on one that `gochat token issue USER --scope admin` has made.
    `gochat top` watches a node, and `gochat link USER --admin` prints a link to the page for operators.
    """


@admin.command()
@click.argument("who", metavar="USER", type=User())
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    metavar="TIME",
    help="How long: 90s, 15m, 12h, 30d.  [default: until unsuspend]",
)
@REASON
@admin_options
def suspend(who: str, seconds: int | None, reason: str | None, url: str, token: TokenSource | None) -> int:
    """Keep USER out of the site. Their sessions end at once.

    \b
    Examples:
      gochat admin suspend mallory --for 7d --reason spam --as root
      gochat admin suspend mallory
    """
    if seconds == 0:
        raise click.BadParameter("no time at all", param_hint="'--for'")

    async def body(session: Chat) -> None:
        known = [entry async for entry in session.accounts(who)]
        await session.suspend(who, seconds=seconds, reason=reason)
        note(f"suspended user:{who}")
        if not known:
            note(f"warning: nobody has signed in as {who} yet; if that is a slip: gochat admin unsuspend {who}")

    return _ask(body, url, token)


@admin.command()
@click.argument("who", metavar="USER", type=User())
@REASON
@admin_options
def unsuspend(who: str, reason: str | None, url: str, token: TokenSource | None) -> int:
    """Let USER in again.

    \b
    Example:
      gochat admin unsuspend mallory
    """

    async def body(session: Chat) -> None:
        suspended = False
        async for entry in session.suspensions():  # By id.
            suspended = suspended or entry.user == who
            if entry.user >= who:
                break
        await session.unsuspend(who, reason=reason)
        note(f"user:{who} may sign in")
        if not suspended:
            note(f"warning: {who} was not suspended; `gochat admin suspensions` prints who is")

    return _ask(body, url, token)


@admin.command()
@click.option("--user", "of", metavar="USER", type=User(), help="All tokens of this user that were issued up to now.")
@click.option("--jti", metavar="JTI", help="The token with this id, its claim jti.")
@REASON
@admin_options
def revoke(of: str | None, jti: str | None, reason: str | None, url: str, token: TokenSource | None) -> int:
    """End tokens, and the sessions that live by them.

    \b
    Examples:
      gochat admin revoke --user mallory --reason "stolen phone"
      gochat admin revoke --jti 0b5f6a
    """
    if (of is None) == (jti is None):
        raise click.UsageError("whose? Name one of --user and --jti")

    async def body(session: Chat) -> None:
        if of is not None:
            await session.revoke_tokens(of, reason=reason)
        elif jti is not None:
            await session.revoke_token(jti, reason=reason)
        note("revoked")

    return _ask(body, url, token)


@admin.command()
@click.option("--room", metavar="ROOM", help="Of this room alone; of their groups moderators may ask too.")
@AS_JSON
@admin_options
def reports(room: str | None, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print the open reports, oldest first.

    \b
    Examples:
      gochat admin reports
      gochat admin reports --room group:tea --json | jq -r '"\\(.report) \\(.from)"'
    """
    if room is not None:
        check_address(room)
    from gochat.client.terminal.text import report_line

    async def body(session: Chat) -> None:
        await _print(session.reports(room), None if as_json else lambda entry: report_line(entry, session.user))

    return _ask(body, url, token, limit_s=None)


@admin.command()
@click.argument("report", type=click.IntRange(min=1))
@admin_options
def close(report: int, url: str, token: TokenSource | None) -> int:
    """Mark REPORT, a number that `reports` prints, as dealt with.

    \b
    Example:
      gochat admin close 12
    """

    async def body(session: Chat) -> None:
        await session.close_report(report)
        note(f"closed {report}")

    return _ask(body, url, token)


@admin.command()
@click.argument("who", metavar="[USER]", type=User(), required=False)
@AS_JSON
@admin_options
def users(who: str | None, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print the users who ever signed in, by id; or USER alone.

    With live sessions, when they were last seen, and whether they are suspended. Ends with 1 if USER never signed in.

    \b
    Examples:
      gochat admin users
      gochat admin users mallory
      gochat admin users --json | jq -r 'select(.suspended) | .user'
    """
    from gochat.client.terminal.text import account_line

    async def body(session: Chat) -> None:
        printed = await _print(session.accounts(who), None if as_json else account_line)
        if who is not None and not printed:
            raise CommandError(f"nobody has signed in as {who} yet")

    return _ask(body, url, token, limit_s=None)


@admin.command()
@click.option("--user", "of", metavar="USER", type=User(), help="Only rooms that this user is in.")
@click.option("--private", is_flag=True, help="Private rooms instead of groups. The audit log tells of it.")
@click.option("--find", metavar="WORDS", help="Only groups with words that begin so in their title or id.")
@AS_JSON
@admin_options
def rooms(of: str | None, private: bool, find: str | None, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print the groups, by id, with how much is in them.

    \b
    Examples:
      gochat admin rooms
      gochat admin rooms --find "green te"
      gochat admin rooms --user mallory --private --json | jq -r .room
    """
    if find is not None and private:
        raise click.UsageError("--find looks at the titles of groups: private rooms have none")
    from gochat.client.terminal.text import overview_line

    async def body(session: Chat) -> None:
        await _print(session.rooms(of, private=private, q=find), None if as_json else overview_line)

    return _ask(body, url, token, limit_s=None)


@admin.command()
@click.option("--user", "of", metavar="USER", type=User(), help="Only those of this user.")
@AS_JSON
@admin_options
def sessions(of: str | None, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print the live sessions, by user.

    \b
    Examples:
      gochat admin sessions
      gochat admin sessions --user ann --json | jq -r .address
    """
    from gochat.client.terminal.text import session_line

    async def body(session: Chat) -> None:
        await _print(session.sessions(of), None if as_json else session_line)

    return _ask(body, url, token, limit_s=None)


@admin.command()
@AS_JSON
@admin_options
def suspensions(as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print the users who are suspended now, by id.

    \b
    Example:
      gochat admin suspensions
    """
    from gochat.client.terminal.text import suspension_line

    async def body(session: Chat) -> None:
        await _print(session.suspensions(), None if as_json else suspension_line)

    return _ask(body, url, token, limit_s=None)


@admin.command()
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.  [default: all]")
@AS_JSON
@admin_options
def audit(limit: int | None, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print the audit log, newest first.

    \b
    Examples:
      gochat admin audit --limit 20
      gochat admin audit --json | jq 'select(.actor == "root")'
    """
    from gochat.client.terminal.text import audit_line

    async def body(session: Chat) -> None:
        await _print(session.audit(), None if as_json else audit_line, limit)

    return _ask(body, url, token, limit_s=None)


def _ask(
    body: Callable[[Chat], Awaitable[None]],
    url: str,
    token: TokenSource | None,
    *,
    limit_s: float | None = REPLY_S,
) -> int:
    from gochat.client.terminal.text import INCOMPLETE
    from gochat.commands.online import asked

    async def warned(session: Chat) -> None:
        if session.welcome.incomplete:
            note(f"warning: {INCOMPLETE}")
        await body(session)

    return asked(warned, url, token, limit_s=limit_s)


async def _print(entries: AsyncIterator[Entry], line: Callable[[Entry], str] | None, limit: int | None = None) -> int:
    """Each entry on a line; as JSON where `line` is None. Returns how many."""
    from gochat.client.wire import encode_sent

    printed = 0
    async for entry in entries:
        if line is None:
            sys.stdout.buffer.write(encode_sent(entry) + b"\n")
        else:
            click.echo(line(entry))
        printed += 1
        if printed == limit:
            break
    return printed
