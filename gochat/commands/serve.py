"""`gochat serve`."""

from __future__ import annotations

from pathlib import Path

import click

from gochat import log
from gochat.commands.options import config_option, load_settings


@click.command()
@config_option
@click.option("--data", metavar="FOLDER", help="Folder of the database (node.data).")
@click.option("--http", metavar="HOST:PORT", help="Where HTTP and WebSocket listen (http.bind).")
@click.option("--tcp", metavar="HOST:PORT", help="Where raw TCP listens; '' turns it off (tcp.bind).")
def serve(config: Path | None, data: str | None, http: str | None, tcp: str | None) -> int:
    """Run a node until SIGTERM or Ctrl-C.

    It prints a line for each listener when it is ready. Without a configured key anyone on this machine may sign in by
    name; see `gochat config show`.

    \b
    Examples:
      gochat serve
      gochat serve --data /var/lib/gochat --http 0.0.0.0:8080
      GOCHAT_LIMITS__MESSAGES_PER_S=0 gochat serve
    """
    settings, _, _ = load_settings(config, {"node.data": data, "http.bind": http, "tcp.bind": tcp})
    log.setup(settings.log.level, settings.log.format)
    from gochat import process  # all of the server: not for --help, nor for a setting that is wrong

    return process.run(settings)
