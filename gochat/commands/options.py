"""The options that find a node's settings, for every command that works with them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from gochat.commands.files import note
from gochat.config import Key, keys
from gochat.domain import durations
from gochat.settings import Loaded, load

Function = TypeVar("Function", bound=Callable[..., Any])


class Duration(click.ParamType[int]):
    """Seconds, or a number with s, m, h or d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        span = durations.seconds(str(value))
        if span is None:
            self.fail(f"{value!r} is not {durations.FORM}", param, ctx)
        return span


def config_option(function: Function) -> Function:
    """Adds `--config`."""
    return click.option(
        "--config",
        "config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="GOCHAT_CONFIG",
        metavar="FILE",
        help="Settings file.  [default: ./config.toml if there is one]",
    )(function)


def data_option(function: Function) -> Function:
    """Adds `--data`."""
    return click.option("--data", metavar="FOLDER", help="Folder of the database (node.data).")(function)


def bind_options(function: Function) -> Function:
    """Adds an option for each setting that says where to listen. The function is given them as `binds`, by path."""
    with_binds = functools.wraps(function)(functools.partial(_with_binds, function))
    for path, key in reversed(_binds().items()):
        metavar = "URL" if " " in key.unit else key.unit
        option = click.option(key.flag, _parameter(path), metavar=metavar, help=f"{key.does} ({path}).")
        with_binds = option(with_binds)
    return cast(Function, with_binds)


def free_port_flags() -> str:
    """The flags with which a node listens for HTTP at any free port, and for nothing else."""
    places = {"http.bind": "127.0.0.1:0"}
    return " ".join(f"{key.flag} {places.get(path) or repr('')}" for path, key in _binds().items())


def _with_binds(function: Callable[..., Any], **arguments: Any) -> Any:
    binds = {path: arguments.pop(_parameter(path)) for path in _binds()}
    return function(binds=binds, **arguments)


def _binds() -> dict[str, Key]:
    return {path: key for path, key in keys().items() if key.flag and path.endswith(".bind")}


def _parameter(path: str) -> str:
    return path.replace(".", "__")


def config_file(config: Path | None) -> Path | None:
    """The settings file to read: the one that was named, else ./config.toml if there is one."""
    if config is not None:
        return config
    local = Path("config.toml")
    return local if local.is_file() else None


def load_settings(config: Path | None, flags: Mapping[str, str | None] | None = None, *, quiet: bool = False) -> Loaded:
    """The settings from file, environment and flags (by path; None is not given), with their origins.

    Warnings go to standard error, a line each, unless `quiet`: then the caller tells them. Raises ConfigError.
    """
    given = {path: value for path, value in (flags or {}).items() if value is not None}
    loaded = load(config_file(config), os.environ, given)
    for warning in () if quiet else loaded.warnings:
        note(f"gochat: warning: {warning}")
    return loaded
