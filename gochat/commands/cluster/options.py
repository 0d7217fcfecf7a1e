"""The option that names the server, for every command about a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gochat.commands import EXIT_CONFIG, CommandError

if TYPE_CHECKING:
    from gochat.config import Settings

Function = TypeVar("Function", bound=Callable[..., Any])


def cluster_option(function: Function) -> Function:
    """Adds `--cluster`."""
    return click.option("--cluster", "url", metavar="URL", help="Redis or Valkey of the cluster (cluster.url).")(
        function
    )


def require_url(settings: Settings) -> None:
    """Raises CommandError where the settings are those of a node alone."""
    if not settings.cluster.url:
        raise CommandError(
            "cluster.url is not set: which Redis or Valkey do the nodes share?",
            hint="--cluster redis://HOST:6379 names it, or cluster.url in the settings",
            code=EXIT_CONFIG,
        )
