"""`gochat serve`."""

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from pathlib import Path

import click

from gochat import __version__, log, release
from gochat.commands import EXIT_CONFIG, EXIT_FAILED
from gochat.commands.exposed import exposed
from gochat.commands.options import bind_options, config_file, config_option, data_option, load_settings
from gochat.errors import ConfigError, GochatError

logger = logging.getLogger(__name__)


@click.command()
@config_option
@data_option
@click.option("--cluster", "url", metavar="URL", help="Redis or Valkey of the cluster; '' serves alone (cluster.url).")
@bind_options
def serve(config: Path | None, data: str | None, url: str | None, binds: Mapping[str, str | None]) -> int:
    """Run a node until SIGTERM or Ctrl-C.

    It prints a line for each listener when it is ready. Without a configured key it makes a secret in its data folder,
    with which `gochat token issue` and `--as` sign; see `gochat config show`.

    \b
    Examples:
      gochat serve
      gochat serve --data /var/lib/gochat --http 0.0.0.0:8080
      gochat serve --cluster rediss://redis.example:6379
      GOCHAT_LIMITS__MESSAGES_PER_S=0 gochat serve
    """
    settings, origins, warnings = load_settings(config, {"node.data": data, "cluster.url": url, **binds}, quiet=True)
    log.setup(settings.log.level, settings.log.format)
    places = {"data": Path(settings.node.data).absolute(), "settings": config_file(config) or "none"}
    if built_from := release.built():
        places["commit"] = built_from
    logger.info("gochat %s starts", __version__, extra=places)
    for warning in (*warnings, *exposed(settings, origins)):
        logger.warning("%s", warning)
    # The collector would look at every module's objects again and again; process.run sets it up and turns it on.
    gc.disable()
    from gochat import process  # all of the server: not for --help, nor for a setting that is wrong

    try:
        return process.run(settings)
    except GochatError as error:
        if settings.log.format != "json":
            raise
        # A program that collects JSON gets the last line as JSON too.
        logger.critical("%s", error, extra={"hint": error.hint} if isinstance(error, ConfigError) else {})
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAILED
