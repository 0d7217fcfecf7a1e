"""The options that say which server and who one is, for every command that talks to one.

Nothing here, nor at the top of those commands, imports trio: `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gochat.domain import ids

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_URL = "ws://127.0.0.1:8080/v1/ws"
#: How long a connection and one reply may take, in seconds.
REPLY_S = 30.0


def connection_options(function: Function) -> Function:
    """Adds `--url`, `--as` and `--token`."""
    for option in (
        click.option("--token", metavar="TOKEN", help="Token to sign in with; better in GOCHAT_TOKEN, unseen by ps."),
        click.option("--as", "user", metavar="USER", help="Sign in by name alone: in development, on this machine."),
        click.option(
            "--url", envvar="GOCHAT_URL", default=DEFAULT_URL, show_default=True, metavar="URL",
            help="ws://, wss:// or tcp:// address of the server; also GOCHAT_URL.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def check_address(to: str) -> str:
    """An address or room id as it was typed, or a usage error that says how one looks."""
    if ids.resolve(to, "-") is None and not ids.is_room(to):
        hint = f"; did you mean user:{to}?" if ids.is_name(to) else ""
        raise click.BadParameter(f"an address is user:NAME or group:NAME, in small letters{hint}", param_hint=repr(to))
    return to


class User(click.ParamType[str]):
    """A user id; `user:bob` means bob."""

    name = "user"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        user = str(value).removeprefix("user:")
        if not ids.is_name(user):
            self.fail(f"{value!r} is no user id: the form is {ids.NAME_PATTERN}", param, ctx)
        return user
