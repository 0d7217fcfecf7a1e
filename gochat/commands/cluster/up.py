"""`gochat cluster up`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from gochat.commands import EXIT_CONFIG, CommandError
from gochat.commands.cluster.options import cluster_option
from gochat.commands.files import note
from gochat.commands.options import config_file, config_option
from gochat.config import Auth, Settings
from gochat.settings import read

DATA: Final = "data-cluster"


@click.command()
@click.option(
    "-n", "nodes", type=click.IntRange(1, 9), default=3, show_default=True, metavar="N", help="How many nodes."
)
@click.option("--data", metavar="FOLDER", default=DATA, show_default=True, help="Folder of all nodes, and of Redis.")
@click.option("--http", metavar="HOST:PORT", help="Where all nodes serve HTTP together (http.bind).")
@click.option("--tcp", metavar="HOST:PORT", help="Where all nodes serve raw TCP together (tcp.bind).")
@cluster_option
@click.option("--json", "as_json", is_flag=True, help="Print an object a line: redis, each node, ready.")
@config_option
def up(
    nodes: int,
    data: str,
    http: str | None,
    tcp: str | None,
    url: str | None,
    as_json: bool,
    config: Path | None,
) -> int:
    """Try a cluster on this machine, with a Redis if none is configured.

    All nodes listen at one port together, where the system gives each connection to one of them, and each has ports of
    its own. Ctrl-C ends all of it; nothing goes on running if this command is killed. The folder keeps everything: the
    next start goes on with it, with more nodes if more are asked for. A node that is killed is not started again; the
    others go on.

    All nodes use the secret in the folder, unless the settings have a key: `gochat chat --as ann --data data-cluster`
    signs in on any.

    \b
    Examples:
      gochat cluster up -n 3
      gochat cluster up -n 2 --http 127.0.0.1:9000 --tcp 127.0.0.1:9001
      gochat cluster up --json | jq -r 'select(.node) | .http'
    """
    from gochat.auth.secret import make_secret
    from gochat.commands.cluster.local import run
    from gochat.store import folder

    flags = {"http.bind": http, "tcp.bind": tcp, "cluster.url": url, "node.data": data}
    place = Path(data)
    folder.make(place)
    with folder.locked(place):
        make_secret(place)
        settings = _settings(config_file(config), flags, place)
        return run(settings, place, nodes, config_file(config), as_json=as_json)


def _settings(file: Path | None, flags: Mapping[str, str | None], place: Path) -> Settings:
    """As they were set, but with the folder's secret where they have none. Raises ConfigError, and CommandError where
    they ask for TLS."""
    from gochat.auth.secret import FILE_NAME, own_secret

    loaded, mistakes = read(file, os.environ, {path: value for path, value in flags.items() if value is not None})
    settings = loaded.settings
    section = settings.cluster
    missing = set()
    if not settings.auth.configured:
        missing.add("auth.secret")
        settings = msgspec.structs.replace(settings, auth=Auth(secret=own_secret(place)))
    if not (section.secret or section.secret_file):
        missing.add("cluster.secret")
        section = msgspec.structs.replace(section, secret_file=str((place / FILE_NAME).absolute()))
    for mistake in mistakes:
        if mistake.key not in missing:
            raise mistake
    if settings.http.tls_cert:
        hint = "take http.tls_cert out of the settings for it; `gochat serve` serves with it"
        raise CommandError("a cluster on one machine serves without TLS", hint=hint, code=EXIT_CONFIG)
    for warning in loaded.warnings:
        note(f"gochat: warning: {warning}")
    return msgspec.structs.replace(settings, cluster=section)
