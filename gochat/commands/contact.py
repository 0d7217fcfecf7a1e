"""`gochat contact`: who may write to you."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from gochat.commands.connection import User, connection_options

if TYPE_CHECKING:
    from gochat.client import Chat, TokenSource


@click.group()
def contact() -> None:
    """Say who may write to you.

    Strangers ask: their first messages wait until you accept, or write back.
    """


def _act(action: str, peer: str, url: str, token: TokenSource | None) -> int:
    """Carry out one action, and print the new state."""
    from gochat.client.terminal.text import inert
    from gochat.commands.online import asked

    async def body(session: Chat) -> None:
        actions = {
            "add": session.add_contact,
            "remove": session.remove_contact,
            "block": session.block,
            "unblock": session.unblock,
            "accept": session.accept,
            "decline": session.decline,
        }
        reply = await actions[action](peer)
        click.echo(f"user:{peer} {inert(str(reply.state))}")

    return asked(body, url, token)


@contact.command("list")
@click.option("--requests", is_flag=True, help="Those who wait for an answer, instead of contacts.")
@click.option("--json", "as_json", is_flag=True, help="Print an object a line, as the server sends it.")
@connection_options
def list_(requests: bool, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print your contacts, and users whom you have blocked or declined.

    \b
    Examples:
      gochat contact list --as ann
      gochat contact list --requests --json --as ann | jq -r .user
    """
    from gochat.client.terminal.text import request_line, state_line
    from gochat.client.wire import encode_sent
    from gochat.commands.online import asked

    async def body(session: Chat) -> None:
        if requests:
            async for request in session.requests():
                _print(encode_sent(request) if as_json else request_line(request, session.user))
        else:
            async for entry in session.contacts():
                _print(encode_sent(entry) if as_json else state_line(entry).strip())

    return asked(body, url, token, limit_s=None)


def _print(line: bytes | str) -> None:
    if isinstance(line, bytes):
        sys.stdout.buffer.write(line + b"\n")
    else:
        click.echo(line)


@contact.command()
@click.argument("peer", metavar="USER", type=User())
@connection_options
def add(peer: str, url: str, token: TokenSource | None) -> int:
    """Let USER write to you without asking.

    \b
    Example:
      gochat contact add bob --as ann
    """
    return _act("add", peer, url, token)


@contact.command()
@click.argument("peer", metavar="USER", type=User())
@connection_options
def remove(peer: str, url: str, token: TokenSource | None) -> int:
    """Take USER out of your contacts: they have to ask again.

    \b
    Example:
      gochat contact remove bob --as ann
    """
    return _act("remove", peer, url, token)


@contact.command()
@click.argument("peer", metavar="USER", type=User())
@connection_options
def block(peer: str, url: str, token: TokenSource | None) -> int:
    """Block USER: neither of you can write to the other.

    \b
    Example:
      gochat contact block mallory --as ann
    """
    return _act("block", peer, url, token)


@contact.command()
@click.argument("peer", metavar="USER", type=User())
@connection_options
def unblock(peer: str, url: str, token: TokenSource | None) -> int:
    """Take a block back.

    \b
    Example:
      gochat contact unblock mallory --as ann
    """
    return _act("unblock", peer, url, token)


@contact.command()
@click.argument("peer", metavar="USER", type=User())
@connection_options
def accept(peer: str, url: str, token: TokenSource | None) -> int:
    """Accept the request of USER. Ends with 1 if none waits.

    \b
    Example:
      gochat contact list --requests --json --as ann | jq -r .user | while read who; do
        gochat contact accept "$who" --as ann
      done
    """
    return _act("accept", peer, url, token)


@contact.command()
@click.argument("peer", metavar="USER", type=User())
@connection_options
def decline(peer: str, url: str, token: TokenSource | None) -> int:
    """Decline the request of USER, and further ones for a while. Ends with 1 if none waits.

    \b
    Example:
      gochat contact decline bob --as ann
    """
    return _act("decline", peer, url, token)
