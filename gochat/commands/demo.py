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
from typing import TYPE_CHECKING, Final, NamedTuple

import click
import msgspec

from gochat import log
from gochat.commands import EXIT_CONFIG, CommandError
from gochat.commands.exposed import exposed
from gochat.commands.files import note
from gochat.commands.link import page_url
from gochat.commands.options import bind_options, config_option, free_port_flags, load_settings
from gochat.config import Auth, Cluster, Notify, Retention, Settings, keys, parse_address
from gochat.config import binds as listening_at
from gochat.errors import CantListen, StoreError
from gochat.protocol.catalogue import ADMIN
from gochat.settings import env_name

if TYPE_CHECKING:
    from gochat.auth.tokens import Issuer
    from gochat.node import Node

#: The folder that is used unless another is named. Not that of `gochat serve`.
DATA: Final = "data-demo"
#: How long the printed links may wait to be opened: people come back to the terminal the next morning.
LINK_S: Final = 86_400
_TOKEN_S: Final = 86_400
_BOT_TOKEN_S: Final = 3_600


class Told(NamedTuple):
    """Printed beside the links."""

    data: str
    others: list[str]
    """Addresses at which other machines reach the demo."""
    url: bool
    """Whether other commands must be told the URL, since http.bind is another one in their settings."""
    file: bool
    """Whether other commands must not read the settings file: the demo would refuse tokens that are made with it."""
    variables: list[str]
    """Variables of the environment that would lead to tokens like those."""


@click.command()
@config_option
@click.option("--data", metavar="FOLDER", default=DATA, show_default=True, help="Folder of the demo's database.")
@bind_options
def demo(config: Path | None, data: str, binds: Mapping[str, str | None]) -> int:
    """Try gochat: a node with people, some days of history and a bot.

    It prints a link for each of three people; open them in a browser, each in a tab of its own, and chat. The people
    and their history are made in a folder of the demo's own when that is empty, and kept for the next start. Ctrl-C
    ends it. A node for others is `gochat serve`, which makes nothing up.

    The demo signs with a secret of its own, notifies nobody, stands alone and keeps everything, whatever the settings
    say in auth, notify, cluster and retention. Other machines reach it only where --http, --tcp or --nng says so.

    \b
    Examples:
      gochat demo
      gochat demo --data /tmp/another-demo
    """
    loaded, origins, warnings = load_settings(config, {"node.data": data, **binds}, quiet=True)
    settings, strange = _own(loaded)
    others = _reached(settings, origins)
    if settings.http.tls_cert:
        hint = "take http.tls_cert out of the settings for the demo; `gochat serve` serves with it"
        raise CommandError("the demo serves this machine, without TLS", hint=hint, code=EXIT_CONFIG)
    if not settings.http.page:
        raise CommandError("http.page is off, and the demo is there to show the page", hint="turn it on")
    # The links are what people look for. ./config.toml has every key: nobody asked for the level in it.
    asked = config is not None or origins["log.level"].startswith("environment")
    log.setup(settings.log.level if asked else "warning", settings.log.format)
    unused = [f"the demo does without these settings: {', '.join(strange)}"] if strange else []
    for warning in (*warnings, *unused, *exposed(settings, origins)):
        note(f"gochat: warning: {warning}")
    auth = [path for path in strange if path.startswith("auth.")]
    variables = [env_name(path) for path in auth if origins[path].startswith("environment ")]
    told = Told(data, others, binds["http.bind"] is not None, len(variables) < len(auth), variables)

    import trio  # all of the server: not for --help

    from gochat import process
    from gochat.auth.secret import make_secret
    from gochat.auth.tokens import issuer
    from gochat.demo.history import ensure_story
    from gochat.store import folder

    place = Path(settings.node.data)
    folder.make(place)
    with folder.locked(place):
        make_secret(place)
        signs = issuer(settings)
        try:
            trio.run(ensure_story, folder.database(place), datetime.now().astimezone())
        except StoreError as error:
            hint = f"`{_program()} serve --data {shlex.quote(data)}` serves it; --data names another folder"
            raise CommandError(str(error), hint=hint) from error
    try:
        return process.run(settings, partial(_accompany, signs, told))
    except CantListen as error:
        hint = f"`{_program()} demo {free_port_flags()}` takes a free one"
        raise CommandError(str(error), hint=hint) from error


def _own(settings: Settings) -> tuple[Settings, list[str]]:
    """The settings of the demo, and the keys that were set otherwise. A settings file is that of a node: its secret
    must not sign the tickets of people who are made up, nor may its webhooks and mails tell of them, nor its cluster
    have them. Their history is older than what some nodes keep."""
    own = msgspec.structs.replace(
        settings,
        auth=Auth(),
        notify=Notify(),
        cluster=Cluster(),
        retention=Retention(),
        http=msgspec.structs.replace(settings.http, metrics_bind=""),
    )
    return own, [path for path in keys() if _value(settings, path) != _value(own, path)]


def _value(settings: Settings, path: str) -> object:
    section, _, field = path.partition(".")
    return getattr(getattr(settings, section), field)


def _reached(settings: Settings, origins: Mapping[str, str]) -> list[str]:
    """The addresses at which other machines reach the demo. Raises CommandError where nobody asked for that here."""
    found = []
    for path, address in listening_at(settings):
        parsed = parse_address(address)
        if parsed.loopback:
            continue
        if not origins[path].startswith("flag "):
            flag, bind = keys()[path].flag, _value(settings, path)
            problem = f"other machines would reach the demo: {path} is {bind} ({origins[path]})"
            here = str(bind).replace(address, f"127.0.0.1:{parsed.port}")
            hint = f"`{flag} {here}` keeps it on this one, `{flag} {bind}` lets them in"
            raise CommandError(problem, hint=hint, code=EXIT_CONFIG)
        found.append(address)
    return found


async def _accompany(signs: Issuer, told: Told, node: Node, tell: Callable[[str], None]) -> None:
    """Print how people come in, and let the bot answer."""
    from gochat.demo import bot, story

    name, address = next(each for each in node.addresses if each[0] == "http")
    url = page_url(name, address)
    for line in _lines(signs, url, told):
        tell(line)
    await bot.run_bot(
        url.replace("http", "ws", 1) + "v1/ws",
        lambda: signs.issue(story.BOT, now_s=int(time.time()), ttl_s=_BOT_TOKEN_S, name=story.NAMES[story.BOT]),
    )


def _lines(signs: Issuer, url: str, told: Told) -> Iterator[str]:
    from gochat.auth.claims import DEFAULT_SCOPES
    from gochat.demo import story

    now_s = int(time.time())
    yield "\nOpen each link in a tab of its own; it signs in once, within a day.\n"
    for user in story.PEOPLE:
        name = story.NAMES[user]
        ticket = signs.ticket(user, now_s=now_s, ttl_s=LINK_S, token_ttl_s=_TOKEN_S, name=name)
        yield f"  {name}: {url}#ticket={ticket}\n"
    scopes = DEFAULT_SCOPES | {ADMIN}
    ticket = signs.ticket(story.OPERATOR, now_s=now_s, ttl_s=LINK_S, token_ttl_s=_TOKEN_S, scopes=scopes)
    yield f"  The operators' page: {url}admin#ticket={ticket}\n"
    if told.others:
        where = ", ".join(told.others)
        yield f"Other machines reach this demo at {where}: the first to open a link there is its person.\n"
    program = " ".join((*(f"env -u {name}" for name in told.variables), _program()))
    where = f"--data {shlex.quote(told.data)}" + " --config /dev/null" * told.file
    link, chat = f"{program} link ann {where}", f"{program} chat --as ann {where}"
    if told.url or told.file:
        link, chat = f"{link} --url {url}", f"{chat} --url {url.replace('http', 'ws', 1)}v1/ws"
    yield f"Another link, for ann or any other name:  {link}"
    yield f"The same in a terminal:                   {chat}"
    yield f"All of it is kept in {told.data}; without that folder the next demo begins anew. Ctrl-C ends this one."


def _program() -> str:
    """How this program is called from here."""
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{Path(sys.executable).name} -m gochat"
    return "gochat" if shutil.which("gochat") else sys.argv[0]
