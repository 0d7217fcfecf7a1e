"""The options that name the server and the user, for every command that talks to a server.

Nothing here, nor at the top of those commands, imports trio: `--help` answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gochat.commands import EXIT_USAGE, CommandError
from gochat.commands.options import config_option, data_option, load_settings
from gochat.config import is_loopback
from gochat.domain import ids

if TYPE_CHECKING:
    from gochat.client import TokenSource

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_URL = "ws://127.0.0.1:8080/v1/ws"
#: How long a connection and one reply may take, in seconds.
REPLY_S = 30.0


class User(click.ParamType[str]):
    """A user id; `user:bob` means bob."""

    name = "user"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        user = str(value).removeprefix("user:")
        if not ids.is_name(user):
            form = "up to 64 of a-z 0-9 _ . - that start with a letter or digit"
            self.fail(f"{value!r} is no user id: {form}", param, ctx)
        return user


def connection_options(function: Function) -> Function:
    """Adds `--url`, `--as`, `--token`, `--config` and `--data`; the command gets `url` and `token`, which is None where
    no option names a user."""
    return _with_credential(function, admin=False)


def admin_options(function: Function) -> Function:
    """The same for the acts of admins: `--as` signs for the scope admin, and for no other."""
    return _with_credential(function, admin=True)


def _with_credential(function: Function, *, admin: bool) -> Function:
    @wraps(function)
    def with_credential(
        *, url: str, user: str | None, token: str | None, config: Path | None, data: str | None, **rest: Any
    ) -> Any:
        return function(url=url, token=credential(url, user, token, config, data, admin=admin), **rest)

    return _server_options(config_option(data_option(with_credential)), admin)  # type: ignore[return-value]


def server_options(function: Function) -> Function:
    """Adds `--url`, `--as` and `--token` alone, for a command that passes them to `credential` itself."""
    return _server_options(function, admin=False)


def _server_options(function: Function, admin: bool) -> Function:
    signs_in = "Sign in as the admin USER" if admin else "Sign in as USER"
    for option in (
        click.option("--token", metavar="TOKEN", help="Token to sign in with; better in GOCHAT_TOKEN, unseen by ps."),
        click.option(
            "--as", "user", type=User(), metavar="USER",
            help=f"{signs_in} with the secret of the node on this machine (--config, --data), if you may read it.",
        ),
        click.option(
            "--url", envvar="GOCHAT_URL", default=DEFAULT_URL, show_default=True, metavar="URL",
            help="ws://, wss://, tcp://, nng+tcp:// or nng+tls+tcp:// address of the server; also GOCHAT_URL.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def credential(
    url: str,
    user: str | None,
    token: str | None,
    config: Path | None,
    data: str | None,
    *,
    admin: bool = False,
) -> TokenSource | None:
    """The credential to sign in with: `token` or that of GOCHAT_TOKEN, or for `user` a function that signs new ones
    with the secret of the node whose settings and folder these are: for the scope admin alone, or for all that users
    may do. None if no option names a user.

    Raises UsageError, CommandError, ConfigError.
    """
    if user is None:
        if data is not None:
            raise click.UsageError("--data names the folder whose secret signs for --as: say who you are by --as USER")
        return token if token is not None else os.environ.get("GOCHAT_TOKEN")
    if token is not None:
        raise click.UsageError("--as and --token are two ways to say who you are: use one")
    from gochat.client import BadUrl
    from gochat.client.links import parse_url
    from gochat.commands.signing import signer

    try:
        host = parse_url(url).host
    except BadUrl as error:
        raise CommandError(str(error), code=EXIT_USAGE) from error
    if data is None and not is_loopback(host):
        # The server over there could use a token that this machine's secret signs here.
        problem = "--as signs with a secret of this machine, and the URL leads to another one"
        hint = (
            "on that machine `gochat token issue USER` makes a token, to be set here as GOCHAT_TOKEN;"
            " or name the folder of that server's secret with --data"
        )
        raise CommandError(problem, hint=hint, code=EXIT_USAGE)
    return signer(load_settings(config, {"node.data": data}).settings, user, admin=admin)


def check_address(to: str) -> str:
    """An address or room id as it was typed, or a usage error that says how one looks."""
    if ids.resolve(to, "-") is None and not ids.is_room(to):
        hint = f"; did you mean user:{to}?" if ids.is_name(to) else ""
        raise click.BadParameter(f"an address is user:NAME or group:NAME, in small letters{hint}", param_hint=repr(to))
    return to
