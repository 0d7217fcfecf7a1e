"""`gochat send`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from gochat.commands import EXIT_INTERRUPTED, EXIT_OK, CommandError
from gochat.commands.connection import REPLY_S, check_address, connection_options
from gochat.commands.files import note, stdin_text

if TYPE_CHECKING:
    from gochat.client import Chat, TokenSource
    from gochat.protocol.replies import Ack

#: How long the command waits for a remark about a message that is recorded, in seconds.
_REMARK_S = 5.0


@click.command()
@click.argument("to", metavar="TO")
@click.argument("text", nargs=-1, metavar="[TEXT]...")
@click.option("--key", metavar="KEY", help="Sends with the same key are one message, however often they are repeated.")
@click.option("--reply-to", type=click.IntRange(min=1), metavar="SEQ", help="Answer this message of the room.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, max=3600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Repeat for so long what is refused only for now (rate limit, busy server).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the acknowledgement as JSON.")
@connection_options
def send(
    to: str,
    text: tuple[str, ...],
    key: str | None,
    reply_to: int | None,
    wait_s: float,
    as_json: bool,
    url: str,
    token: TokenSource | None,
) -> int:
    """Send one message.

    TO is user:NAME or group:NAME. Without TEXT, or with -, it is read from standard input. It ends once the message is
    recorded: with 0 and the message's room and number, with 4 if you may not, with 75 if it was refused for now, with 5
    if there was no reply, with 1 if it was refused for good. A message to a stranger may wait for them to accept you.

    \b
    Examples:
      gochat send user:bob "lunch?" --as ann
      git log -1 --format=%s | gochat send group:ops --key "$(git rev-parse HEAD)"
      gochat send group:ops "disk full" --json | jq .seq
    """
    check_address(to)
    message = stdin_text().rstrip("\n") if text in ((), ("-",)) else " ".join(text)
    if not message.strip():
        raise click.UsageError("there is no text to send")
    from gochat.client.terminal.text import address
    from gochat.client.wire import encode_sent
    from gochat.commands.online import online

    is_recorded = finished = False

    async def body(session: Chat) -> None:
        nonlocal is_recorded
        ack = await session.send(to, message, key=key, reply_to=reply_to, patience_s=wait_s)
        is_recorded = True
        place = f"{address(ack.room, session.user)} #{ack.seq}"
        try:
            if as_json:
                sys.stdout.buffer.write(encode_sent(ack) + b"\n")
                sys.stdout.flush()
            else:
                click.echo(place)
        except OSError:
            note(f"* the message is recorded: {place}")  # A script that sends it once more would double it.
            raise
        await _remark(session, ack, to)

    try:
        finished = online(body, url, token, limit_s=REPLY_S + wait_s)
    except CommandError:
        # A failure would have the message sent again.
        if not is_recorded:
            raise
    return EXIT_OK if is_recorded or finished else EXIT_INTERRUPTED


async def _remark(session: Chat, ack: Ack, to: str) -> None:
    """Tell the sender what may surprise them about a message that is recorded; nothing where that can't be learned, for
    want of a scope or of a connection."""
    import trio

    from gochat.client import ClientError

    if ack.request:
        note("* a request: the receiver must accept you before you can go on writing")
    if ack.seq == 1 and to.startswith("user:"):
        user = to.removeprefix("user:")
        with suppress(ClientError), trio.move_on_after(_REMARK_S):
            if not await session.is_known(user):
                note(f"* nobody has signed in as {user} yet")
