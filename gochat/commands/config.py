"""`gochat config`: write, check and show settings."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from gochat.auth.secret import FILE_NAME
from gochat.auth.tokens import tokens
from gochat.commands import EXIT_CONFIG, CommandError
from gochat.commands.options import config_file, config_option, data_option, load_settings
from gochat.config import keys, sections
from gochat.policy import load_rules
from gochat.settings import shown


@click.group()
def config() -> None:
    """Write, check and show settings."""


@config.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="config.toml")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def init(file: Path, force: bool) -> None:
    """Write a file with every key, its default, unit and reason.

    \b
    Examples:
      gochat config init
      gochat config init /etc/gochat/config.toml
    """
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(sample())
    except FileExistsError:
        raise CommandError(f"{file} exists", hint="name another file, or replace it with --force") from None
    except OSError as error:
        raise CommandError(f"{file}: {(error.strerror or 'can not be written').lower()}") from error
    click.echo(f"wrote {file}", err=True)


@config.command()
@config_option
@data_option
def check(config: Path | None, data: str | None) -> None:
    """Read all settings, key files and lists, and say whether a node could start with them.

    Ends with 3 at the first thing that is wrong.

    \b
    Example:
      gochat config check --config /etc/gochat/config.toml && systemctl restart gochat
    """
    settings, _, _ = load_settings(config, {"node.data": data})
    if settings.auth.configured or (Path(settings.node.data) / FILE_NAME).exists():
        tokens(settings)
    for path in "tls_cert", "tls_key":
        name = getattr(settings.http, path)
        if name and not Path(name).is_file():
            raise CommandError(f"http.{path}: there is no file {name}", code=EXIT_CONFIG)
    load_rules(settings.policy)
    click.echo(f"{config_file(config) or 'no file'}: ok", err=True)


@config.command()
@config_option
@data_option
@click.option("--origin", is_flag=True, help="Show where each value comes from.")
@click.option("--json", "as_json", is_flag=True, help="Print one object: value and origin of each key.")
def show(config: Path | None, data: str | None, origin: bool, as_json: bool) -> None:
    """Show every setting as a node here would see it. Secrets are masked.

    \b
    Examples:
      gochat config show --origin
      GOCHAT_HTTP__BIND=127.0.0.1:9000 gochat config show --json
    """
    loaded = load_settings(config, {"node.data": data})
    values = {path: shown(loaded.settings, path) for path in loaded.origins}
    if as_json:
        click.echo(json.dumps({p: {"value": v, "origin": loaded.origins[p]} for p, v in values.items()}, indent=2))
        return
    lines = {path: f"{path} = {toml(value)}" for path, value in values.items()}
    width = max(map(len, lines.values())) if origin else 0
    for path, line in lines.items():
        click.echo(f"{line:<{width}}  # {loaded.origins[path]}" if origin else line)


def sample() -> str:
    """A settings file with every key at its default, and why it is there."""
    lines = [
        "# The settings of a gochat node: every key with its reason, unit and default. A flag goes before the",
        "# environment, the environment (GOCHAT_HTTP__BIND for http.bind) before this file. `gochat config check` says",
        "# what is wrong.",
    ]
    for name, section in sections().items():
        lines += ["", *_comment(section.__doc__ or ""), f"[{name}]"]
        for key in keys().values():
            if key.path.startswith(f"{name}."):
                lines += [*_comment(key.why), f"#   {key.allowed}"]
                lines.append(f"{key.path.partition('.')[2]} = {toml(key.default)}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(" ".join(text.split()), 116)]


def toml(value: Any) -> str:
    """A string, number, boolean or list of them as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    # Of TOML's basic strings JSON's are a part, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
