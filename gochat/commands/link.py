"""`gochat link`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import click

from gochat.auth.claims import DEFAULT_SCOPES
from gochat.auth.tickets import TOKEN_TTL_S, TTL_S
from gochat.auth.tokens import issuer
from gochat.commands import EXIT_USAGE, CommandError
from gochat.commands.connection import User
from gochat.commands.options import Duration, config_option, data_option, load_settings
from gochat.config import Settings, parse_address
from gochat.protocol.catalogue import ADMIN


@click.command()
@click.argument("user", type=User(), metavar="USER")
@config_option
@data_option
@click.option("--url", metavar="URL", help="Where users reach the page.  [default: from http.bind]")
@click.option(
    "--ttl", type=Duration(), default=TOKEN_TTL_S, metavar="TIME", help="How long they stay signed in.  [default: 12h]"
)
@click.option("--name", help="Name to show instead of the user id.")
@click.option("--admin", is_flag=True, help="A link to the operators' page, /admin, with the scope admin.")
@click.option("--print", "printed", is_flag=True, help="Print the link although nobody may be looking: into a pipe.")
@click.option("--json", "as_json", is_flag=True, help="Print one object: user, url, exp.")
def link(
    user: str,
    config: Path | None,
    data: str | None,
    url: str | None,
    ttl: int,
    name: str | None,
    admin: bool,
    printed: bool,
    as_json: bool,
) -> None:
    """Print a link that signs a user in, once.

    It is good for ten minutes and for one use: the first to open it is USER. It is signed as tokens are, so it takes
    the right to read the data folder, or auth.secret. Its ticket stands behind the #, which browsers send to no server.
    Into a pipe or a file it is written only with --print.

    With --admin it leads to the operators' page, /admin, and whoever opens it first may see and do what admins may:
    hand it to nobody else.

    \b
    Examples:
      gochat link ann
      gochat link root --admin --ttl 1h
      gochat link ann --url https://chat.example.org/ --ttl 8h
      gochat link ann --print --json | jq -r .url | mail -s "Your link" ann@example.org
    """
    if not printed and not sys.stdout.isatty():
        raise click.UsageError("the link signs in whoever has it: --print says that it may go into a pipe or a file")
    settings = load_settings(config, {"node.data": data}).settings
    address = _address(settings) if url is None else _checked(url)
    now_s = int(time.time())
    scopes = DEFAULT_SCOPES | {ADMIN} if admin else DEFAULT_SCOPES
    ticket = issuer(settings).ticket(user, now_s=now_s, ttl_s=TTL_S, token_ttl_s=ttl, scopes=scopes, name=name)
    if admin:
        address = f"{address.rstrip('/')}/admin"
    text = f"{address}#ticket={ticket}"
    click.echo(json.dumps({"user": user, "url": text, "exp": now_s + TTL_S}) if as_json else text)


def _address(settings: Settings) -> str:
    """Where the page is for somebody on this machine."""
    if parse_address(settings.http.bind).port == 0:
        raise CommandError("http.bind names no port", hint="--url says where the page is", code=EXIT_USAGE)
    return page_url("https" if settings.http.tls_cert else "http", settings.http.bind)


def page_url(scheme: str, bind: str) -> str:
    """The URL of the page for somebody on the machine whose node listens at `bind`."""
    host, port = parse_address(bind)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # not to listen there
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def _checked(url: str) -> str:
    """The address that was given, or a usage error that says how one looks."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and not {"?", "#", "@"} & set(url):
            return url if parts.path else f"{url}/"
    except ValueError:
        pass  # As wrong as an address of another form: refused below.
    raise click.BadParameter("an address is http:// or https://HOST/PATH, without ?, # and @", param_hint="--url")
