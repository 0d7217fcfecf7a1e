"""`gochat config`: write, check and show settings."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from gochat.commands import EXIT_CONFIG, EXIT_OK, EXIT_USAGE, CommandError
from gochat.commands.checks import mistakes
from gochat.commands.files import note, replacing
from gochat.commands.options import config_file, config_option, data_option, load_settings
from gochat.commands.presets import PRESETS
from gochat.config import keys, sections
from gochat.log import inert
from gochat.settings import read, shown

#: Mistakes that leave nothing, or not enough, to look further with.
_READING = frozenset({"file", "syntax"})


@click.group()
def config() -> None:
    """Write, check and show settings."""


@config.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default="config.toml")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="community",
    show_default=True,
    metavar="NAME",
    help=f"Who the users are to each other. {'; '.join(f'{name}: {each.help}' for name, each in PRESETS.items())}.",
)
def init(file: Path, force: bool, preset: str) -> None:
    """Write a file with every key, its value, unit and reason.

    Its owner alone may read it, since it may come to hold secrets. An older file is replaced when the new one is whole,
    or not at all; the new one has its owner and group, and nobody else may read it.

    \b
    Examples:
      gochat config init
      gochat config init --preset team
      gochat config init /etc/gochat/config.toml
    """
    target = Path(os.path.realpath(file)) if file.is_symlink() else file  # The link stays, and leads to the new file.
    older: os.stat_result | None = None
    try:
        older = target.stat()
    except FileNotFoundError:
        pass  # It is a new file.
    except OSError as error:
        raise CommandError(f"{file}: {(error.strerror or 'can not be read').lower()}") from error
    if older is not None:
        if not stat.S_ISREG(older.st_mode):
            raise CommandError(f"{file} is no regular file", code=EXIT_USAGE)
        if not force:
            raise CommandError(f"{file} exists", hint="name another file, or replace it with --force")
    with replacing(target) as part:
        part.write_text(sample(preset), encoding="utf-8")
        if older is not None:
            with suppress(PermissionError):  # Where the group can't be the same, none is to read it.
                os.chown(part, older.st_uid, older.st_gid)
                part.chmod(stat.S_IMODE(older.st_mode) & 0o770)
    note(f"wrote {file}")


@config.command()
@config_option
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects: key, origin, problem, hint.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
def check(config: Path | None, data: str | None, as_json: bool, file: Path | None) -> int:
    """Say whether a node could start: settings, key files, lists.

    FILE is the settings file, as --config. Every mistake is a line, with the way out; the exit status is 3 if there
    is one.

    \b
    Examples:
      gochat config check /etc/gochat/config.toml && systemctl restart gochat
      gochat config check --json | jq -r '.[].key'
    """
    config = file or config
    loaded, found = read(config_file(config), os.environ, {} if data is None else {"node.data": data})
    for warning in loaded.warnings:
        note(f"gochat: warning: {warning}")
    told = {mistake.key for mistake in found}
    if not told & _READING:
        found += mistakes(loaded, told)
    if found and click.get_current_context().find_root().obj:
        raise found[0]  # `--debug` shows where.
    if as_json:
        rows = [{"key": each.key, "origin": each.source, "problem": each.problem, "hint": each.hint} for each in found]
        click.echo(json.dumps(rows, indent=2))
    else:
        for mistake in found:
            note(f"gochat: {inert(str(mistake))}")
        for hint in dict.fromkeys(mistake.hint for mistake in found):
            note(f"hint: {hint}")
        if not found:
            note(f"{config_file(config) or 'no file'}: ok")
    return EXIT_CONFIG if found else EXIT_OK


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


def sample(preset: str = "community") -> str:
    """A settings file with every key at its default, or as the preset has it, and why it is there."""
    other = PRESETS[preset].values
    lines = [
        "# The settings of a gochat node: every key with its reason, unit and default. A flag goes before the",
        "# environment, the environment (GOCHAT_HTTP__BIND for http.bind) before this file. `gochat config check` says",
        "# what is wrong.",
    ]
    if other:
        lines += ["#", *_comment(f"This is the preset {preset}: {PRESETS[preset].help}. It sets {', '.join(other)}.")]
    for name, section in sections().items():
        lines += ["", *_comment(section.__doc__ or ""), f"[{name}]"]
        for key in keys().values():
            if key.path.startswith(f"{name}."):
                lines += [*_comment(key.why), f"#   {key.allowed}"]
                lines += [f"#   default: {toml(key.default)}"] if key.path in other else []
                lines.append(f"{key.path.partition('.')[2]} = {toml(other.get(key.path, key.default))}")
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
