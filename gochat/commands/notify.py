"""`gochat notify`: notifications of a running node, and whether its channels work."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gochat.commands import EXIT_FAILED, EXIT_OK, CommandError
from gochat.commands.connection import User, admin_options
from gochat.commands.files import note
from gochat.commands.options import config_option, data_option, load_settings
from gochat.domain.notices import CHANNELS
from gochat.wall_clock import wall_ms

if TYPE_CHECKING:
    from gochat.client import Chat, TokenSource
    from gochat.config import Settings
    from gochat.notify.channel import Result, Target
    from gochat.notify.channels import Channels

CHANNEL = click.option("--channel", type=click.Choice(CHANNELS), help="Of this channel alone.  [default: all]")


@click.group()
def notify() -> None:
    """Look after notifications to users who are away.

    `list` and `retry` ask a running node, and take a token with the scope admin, from GOCHAT_TOKEN, or by --as USER on
    the node's machine. `test` works on the node's machine.
    """


@notify.command("list")
@click.option("--dead", is_flag=True, help="Those that were given up after 24 hours, in the place of those that wait.")
@CHANNEL
@click.option(
    "--limit", type=click.IntRange(1, 200), default=50, show_default=True, metavar="N", help="At most so many."
)
@click.option("--json", "as_json", is_flag=True, help="Print an object a line, as the server sends it.")
@admin_options
def list_(dead: bool, channel: Any, limit: int, as_json: bool, url: str, token: TokenSource | None) -> int:
    """Print the notifications that wait, or those given up.

    The next to be sent is the first.

    \b
    Examples:
      gochat notify list --as root
      gochat notify list --dead --channel webhook
      gochat notify list --json | jq -r .reason
    """
    from gochat.client.terminal.text import notification_line
    from gochat.client.wire import encode_sent
    from gochat.commands.online import asked

    async def body(session: Chat) -> None:
        found = await session.notifications(dead=dead, channel=channel, limit=limit)
        for entry in found.notifications:
            if as_json:
                sys.stdout.buffer.write(encode_sent(entry) + b"\n")
            else:
                click.echo(notification_line(entry))
        note(f"{found.waiting} wait, {found.dead} were given up")

    return asked(body, url, token)


@notify.command()
@CHANNEL
@admin_options
def retry(channel: Any, url: str, token: TokenSource | None) -> int:
    """Try again what was given up, for another 24 hours.

    \b
    Example:
      gochat notify retry --channel webhook
    """
    from gochat.commands.online import asked

    async def body(session: Chat) -> None:
        count = await session.retry_notifications(channel)
        note(f"{count} are tried again")

    return asked(body, url, token)


@notify.command()
@click.argument("who", metavar="USER", type=User())
@CHANNEL
@click.option("--mail", metavar="ADDRESS", help="Where the mail goes.  [default: as for a real one]")
@config_option
@data_option
def test(who: str, channel: str | None, mail: str | None, config: Path | None, data: str | None) -> int:
    """Send USER a notification now, by each channel that is on.

    It is made up: no message is read. It works beside a running node, and without one. Ends with 1 if it could not be
    delivered by one of the channels.

    \b
    Examples:
      gochat notify test ann
      gochat notify test ann --channel mail --mail ann@mail.example
    """
    settings = load_settings(config, {"node.data": data}).settings
    wanted = [name for name in settings.notify.channels if channel in (None, name)]
    if not wanted:
        what = "no channel is on" if channel is None else f"the channel {channel} is off"
        raise CommandError(what, hint="see [notify] in the settings, and docs/howto/notify.md")
    import trio

    results = trio.run(_tested, settings, who, wanted, mail)
    for name, result in results:
        click.echo(f"{name}: {result}")
    return EXIT_OK if all(result == "delivered" for _, result in results) else EXIT_FAILED


async def _tested(settings: Settings, who: str, wanted: list[str], mail: str | None) -> list[tuple[str, str]]:
    from gochat.notify.channels import Channels

    place = Path(settings.node.data)
    channels = Channels(settings.notify, place, wall_ms, _push_secret(settings, place))
    try:
        return [each for name in wanted for each in await _sent(settings, channels, name, who, mail)]
    finally:
        await channels.aclose()


def _push_secret(settings: Settings, place: Path) -> bytes | None:
    """The secret that the nodes of a cluster make their key from; None where the folder belongs to none."""
    from gochat.cluster import identity
    from gochat.cluster.secret import cluster_secret, push_secret

    marker = identity.read(place) if settings.cluster.url else None
    return None if marker is None else push_secret(marker.cluster, cluster_secret(settings.cluster))


async def _sent(settings: Settings, channels: Channels, name: str, who: str, mail: str | None) -> list[tuple[str, str]]:
    from gochat.notify.notification import Notification

    (channel,) = [each for each in channels.all if each.name == name]
    now_ms = wall_ms()
    notification = Notification(
        id=f"ntf_test_{secrets.token_hex(8)}",
        user=who,
        room=f"dm:{who}:{who}",
        sender=who,
        sender_name="gochat",
        count=1,
        seq=1,
        ts=now_ms,
        body="a test",
    )
    targets = _targets(settings, name, who, mail)
    if not targets:
        return [(name, f"{who} has subscribed no device")]
    return [(name, _told(await channel.send(notification, target))) for target in targets]


def _targets(settings: Settings, name: str, who: str, mail: str | None) -> list[Target]:
    """Where a real notification would go."""
    if name == "webhook":
        return [None]
    if mail is not None and name == "mail":
        return [mail]
    from gochat.errors import StoreError
    from gochat.store import folder
    from gochat.store.read.notices import targets_of

    try:
        devices, address = targets_of(folder.database(Path(settings.node.data)), who)
    except StoreError as error:
        raise CommandError(str(error)) from error
    return [address] if name == "mail" else list(devices)


def _told(result: Result) -> str:
    from gochat.notify.channel import Delivered

    if isinstance(result, Delivered):
        return "delivered"
    return f"not delivered: {result.reason or 'no such receiver'}"
