"""`gochat token`: issue tokens with the node's secret, and look into a token."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import trio

from gochat.auth.claims import DEFAULT_SCOPES
from gochat.auth.tokens import issuer, tokens, unverified
from gochat.commands import EXIT_AUTH, EXIT_OK
from gochat.commands.files import stdin_line
from gochat.commands.options import Duration, config_option, data_option, load_settings
from gochat.errors import AuthError


@click.group()
def token() -> None:
    """Issue and inspect tokens."""


@token.command()
@config_option
@data_option
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@click.option(
    "--ttl", type=Duration(), default="1d", show_default=True, metavar="TIME", help="How long: 90s, 15m, 12h, 30d."
)
@click.option("--scope", metavar="SCOPES", help="Scopes, with spaces between.  [default: all but admin and metrics]")
@click.option("--name", help="Name to show instead of the user id.")
@click.option("--json", "as_json", is_flag=True, help="Print an object a line: user, token, exp.")
def issue(
    users: tuple[str, ...],
    config: Path | None,
    data: str | None,
    ttl: int,
    scope: str | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Issue tokens, one a line.

    They are signed with auth.secret, or with the secret in the data folder that a node makes at its first start without
    a configured key. Anybody who has a token is that user: pass it on in GOCHAT_TOKEN or a file, not as an
    argument.

    \b
    Examples:
      gochat token issue alice
      gochat token issue alice bob --ttl 12h --scope "chat:read chat:write"
      gochat token issue prometheus --scope metrics --ttl 30d > /etc/prometheus/gochat.token
      gochat token issue root --scope admin --ttl 15m --data /var/lib/gochat
      GOCHAT_TOKEN=$(gochat token issue alice) gochat chat
    """
    if name is not None and len(users) > 1:
        raise click.UsageError("--name is the name of one user")
    settings, _, _ = load_settings(config, {"node.data": data})
    sign = issuer(settings)
    now_s = int(time.time())
    scopes = DEFAULT_SCOPES if scope is None else scope.split()
    for user in users:
        text = sign.issue(user, now_s=now_s, ttl_s=ttl, scopes=scopes, name=name)
        click.echo(json.dumps({"user": user, "token": text, "exp": now_s + ttl}) if as_json else text)


@token.command()
@config_option
@data_option
@click.argument("text", metavar="TOKEN", default="-")
@click.option("--json", "as_json", is_flag=True, help="Print one object: accepted, reason, header, claims.")
def inspect(text: str, config: Path | None, data: str | None, as_json: bool) -> int:
    """Show the claims of a token, and whether a node here accepts it.

    Without TOKEN, or with -, it is read from standard input, which keeps it out of the shell's history. Ends with 4 if
    the token is refused.

    \b
    Examples:
      gochat token issue alice | gochat token inspect
      gochat token inspect --json < token.txt
    """
    settings, _, _ = load_settings(config, {"node.data": data})
    given = stdin_line().strip() if text == "-" else text
    header, claims = unverified(given)
    reason = None
    try:
        trio.run(tokens(settings).verify, given)
    except AuthError as error:
        reason = str(error)
    if as_json:
        click.echo(json.dumps({"accepted": reason is None, "reason": reason, "header": header, "claims": claims}))
    else:
        for title, part in ("header", header), ("claims", claims):
            click.echo(f"{title}: {json.dumps(part)}")
        for claim in "iat", "exp":
            click.echo(f"{claim}: {_utc(claims.get(claim))}")
        click.echo("accepted" if reason is None else f"refused: {reason}")
    return EXIT_OK if reason is None else EXIT_AUTH


def _utc(seconds: object) -> str:
    if type(seconds) is not int or not 0 <= seconds < 2**36:
        return "not a time"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
