"""`gochat demo`."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gochat import log
from gochat.commands import EXIT_CONFIG, CommandError
from gochat.commands.exposed import exposed
from gochat.commands.link import page_url
from gochat.commands.options import bind_options, config_option, load_settings
from gochat.errors import CantListen, StoreError

if TYPE_CHECKING:
    from gochat.auth.tokens import Issuer
    from gochat.node import Node

#: The folder that is used unless another is named. Not that of `gochat serve`.
DATA: Final = "data-demo"
#: How long the printed links may wait to be opened: people come back to the terminal the next morning.
LINK_S: Final = 86_400
_TOKEN_S: Final = 86_400
_BOT_TOKEN_S: Final = 3_600


@click.command()
@config_option
@click.option("--data", metavar="FOLDER", default=DATA, show_default=True, help="Folder of the demo's database.")
@bind_options
def demo(config: Path | None, data: str, binds: Mapping[str, str | None]) -> int:
    """Try gochat: a node with people, some days of history and a bot.

    It prints a link for each of three people; open them in a browser, each in a tab of its own, and chat. The people
    and their history are made in a folder of the demo's own when that is empty, and kept for the next start. Ctrl-C
    ends it. A node for others is `gochat serve`, which makes nothing up.

    \b
    Examples:
      gochat demo
      gochat demo --http 127.0.0.1:0 --tcp ''     on a free port
      gochat demo --data /tmp/another-demo
    """
    settings, origins, warnings = load_settings(config, {"node.data": data, **binds}, quiet=True)
    if settings.http.tls_cert:
        hint = "take http.tls_cert out of the settings for the demo; `gochat serve` serves with it"
        raise CommandError("the demo serves this machine, without TLS", hint=hint, code=EXIT_CONFIG)
    if not settings.http.page:
        raise CommandError("http.page is off, and the demo is there to show the page", hint="turn it on")
    # The links are what people look for. ./config.toml has every key: nobody asked for the level in it.
    asked = config is not None or origins["log.level"].startswith("environment")
    log.setup(settings.log.level if asked else "warning", settings.log.format)
    for warning in (*warnings, *exposed(settings, origins)):
        click.echo(f"gochat: warning: {warning}", err=True)

    import trio  # all of the server: not for --help

    from gochat import process
    from gochat.auth.secret import make_secret
    from gochat.auth.tokens import issuer
    from gochat.demo.history import ensure_story
    from gochat.store import folder

    place = Path(settings.node.data)
    folder.make(place)
    with folder.locked(place):
        if not settings.auth.configured:
            make_secret(place)
        signs = issuer(settings)
        try:
            trio.run(ensure_story, folder.database(place), datetime.now().astimezone())
        except StoreError as error:
            hint = f"`{_program()} serve --data {shlex.quote(data)}` serves it; --data names another folder"
            raise CommandError(str(error), hint=hint) from error
    try:
        return process.run(settings, partial(_accompany, signs, data, binds["http.bind"] is not None))
    except CantListen as error:
        hint = f"`{_program()} demo --http 127.0.0.1:0 --tcp ''` takes a free one"
        raise CommandError(str(error), hint=hint) from error


async def _accompany(signs: Issuer, data: str, elsewhere: bool, node: Node, tell: Callable[[str], None]) -> None:
    """Print how people come in, and let the bot answer. `elsewhere`: whether other commands must be told the URL."""
    from gochat.demo import bot, story

    name, address = next(each for each in node.addresses if each[0] == "http")
    url = page_url(name, address)
    for line in _lines(signs, url, data, elsewhere):
        tell(line)
    await bot.run_bot(
        url.replace("http", "ws", 1) + "v1/ws",
        lambda: signs.issue(story.BOT, now_s=int(time.time()), ttl_s=_BOT_TOKEN_S, name=story.NAMES[story.BOT]),
    )


def _lines(signs: Issuer, url: str, data: str, elsewhere: bool) -> Iterator[str]:
    from gochat.demo import story

    yield "\nOpen each link in a tab of its own; it signs in once, within a day.\n"
    for user in story.PEOPLE:
        name = story.NAMES[user]
        ticket = signs.ticket(user, now_s=int(time.time()), ttl_s=LINK_S, token_ttl_s=_TOKEN_S, name=name)
        yield f"  {name}: {url}#ticket={ticket}\n"
    where = f"--data {shlex.quote(data)}"
    link, chat = f"{_program()} link ann {where}", f"{_program()} chat --as ann {where}"
    if elsewhere:
        link, chat = f"{link} --url {url}", f"{chat} --url {url.replace('http', 'ws', 1)}v1/ws"
    yield f"Another link, for ann or any other name:  {link}"
    yield f"The same in a terminal:                   {chat}"
    yield f"All of it is kept in {data}; without that folder the next demo begins anew. Ctrl-C ends this one."


def _program() -> str:
    """How this program is called from here."""
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{Path(sys.executable).name} -m gochat"
    return "gochat" if shutil.which("gochat") else sys.argv[0]
