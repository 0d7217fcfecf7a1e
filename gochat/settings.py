"""Reads the settings: a flag, else the environment (`GOCHAT_HTTP__BIND`), else the file, else the default.

It remembers where each value came from. A key that the file should not have is an error, since it is a slip of
whoever wrote the file; a `GOCHAT_*` name that means nothing is a warning, since machines outlive releases.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gochat.config import Key, Settings, keys, problems, sections
from gochat.errors import ConfigError

ENV_PREFIX = "GOCHAT_"
#: Names that commands read; they are no settings of a node.
ENV_OTHERS = frozenset({"GOCHAT_CONFIG", "GOCHAT_TOKEN", "GOCHAT_URL"})
DEFAULT = "default"
MASK = "********"


class Old(NamedTuple):
    """A value that earlier releases wrote into settings files, and its use today."""

    value: Any
    """The value that is read in its place; None where the key is gone."""
    told: str


_NO_DEV = "signing in by name alone is gone: `gochat chat --as USER` signs a token with the secret of the node"
#: By path and value.
OLD = {
    ("auth.dev", "auto"): Old(None, f"remove it; {_NO_DEV}"),
    ("http.metrics", "loopback"): Old(
        "token",
        'read as "token": behind a proxy everybody seems to come from this machine; '
        "`gochat token issue NAME --scope metrics` makes a token for what reads /metrics",
    ),
    ("auth.dev", "off"): Old(None, "remove it; there is nothing left that it turns off"),
}
#: Keys that are gone: a value that has no row above is an error, which says this.
GONE = {"auth.dev": f"{_NO_DEV}, `gochat token issue USER` makes one for others; remove auth.dev"}


class Loaded(NamedTuple):
    settings: Settings
    origins: dict[str, str]
    """Where the value of each key came from, such as `environment GOCHAT_HTTP__BIND`."""
    warnings: list[str]


def env_name(path: str) -> str:
    """The environment's name for a key: `http.bind` is GOCHAT_HTTP__BIND."""
    return ENV_PREFIX + path.upper().replace(".", "__")


def load(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> Loaded:
    """The settings of a node. `flags` are values by path; `file` None is none. Raises ConfigError: the first mistake.

    In the environment a list is written with commas, and an empty value counts as given.
    """
    loaded, mistakes = read(file, environ, flags)
    if mistakes:
        raise mistakes[0]
    return loaded


def read(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> tuple[Loaded, list[ConfigError]]:
    """As `load`, but with every mistake instead of the first. A key that is wrong has its default then."""
    mistakes: list[ConfigError] = []
    values, origins = _read_file(file, mistakes) if file is not None else ({}, {})
    for path in (*keys(), *GONE):
        name = env_name(path)
        if name in environ:
            values[path], origins[path] = environ[name], f"environment {name}"
        if path in flags:
            values[path], origins[path] = flags[path], f"flag {keys()[path].flag}"
    warnings = [*_replace_old(values, origins, mistakes), *_env_warnings(environ)]
    document: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, _, field = path.partition(".")
        try:
            document.setdefault(section, {})[field] = _convert(keys()[path], value, origins[path])
        except ConfigError as mistake:
            mistakes.append(mistake)
    settings = msgspec.convert(document, Settings)
    wrong = {mistake.key for mistake in mistakes}
    mistakes += [
        ConfigError(path, origins.get(path, DEFAULT), problem)
        for path, problem in problems(settings)
        if path not in wrong
    ]
    return Loaded(settings, {path: origins.get(path, DEFAULT) for path in keys()}, warnings), mistakes


def shown(settings: Settings, path: str) -> Any:
    """The value of a key, fit to be shown: a secret is masked."""
    section, _, field = path.partition(".")
    value = getattr(getattr(settings, section), field)
    return MASK if keys()[path].secret and value else value


def _read_file(file: Path, mistakes: list[ConfigError]) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's values by path, and where they came from."""
    name = str(file)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        mistakes.append(ConfigError("file", name, (error.strerror or "can't be read").lower()))
        return {}, {}
    except UnicodeDecodeError as error:
        mistakes.append(ConfigError("syntax", name, f"is not UTF-8 text, from byte {error.start + 1} on"))
        return {}, {}
    except tomllib.TOMLDecodeError as error:
        mistakes.append(ConfigError("syntax", name, str(error)))
        return {}, {}
    values: dict[str, Any] = {}
    for section, content in document.items():
        if section not in sections():
            kind = "section" if isinstance(content, dict) else "key"
            mistakes.append(ConfigError(section, name, f"no such {kind}; {_hint(section)}"))
        elif not isinstance(content, dict):
            mistakes.append(ConfigError(section, name, f"is a section: write [{section}] and its keys below it"))
        else:
            values |= _read_section(section, content, name, mistakes)
    return values, dict.fromkeys(values, name)


def _read_section(
    section: str, content: Mapping[str, Any], name: str, mistakes: list[ConfigError]
) -> Iterator[tuple[str, Any]]:
    for field, value in content.items():
        path = f"{section}.{field}"
        if path in keys() or path in GONE:
            yield path, value
        else:
            mistakes.append(ConfigError(path, name, f"no such key; {_hint(path)}"))


def _replace_old(values: dict[str, Any], origins: Mapping[str, str], mistakes: list[ConfigError]) -> Iterator[str]:
    """Put what is meant today in the place of what earlier releases wrote; a warning for each. A key that is gone is a
    mistake, where its value can't be passed over."""
    for path, value in list(values.items()):
        old = OLD.get((path, value)) if isinstance(value, str) else None
        if old is not None:
            if old.value is None:
                del values[path]
            else:
                values[path] = old.value
            yield f"{origins[path]}: {path} = {value!r}: {old.told}"
        elif path in GONE:
            del values[path]
            mistakes.append(ConfigError(path, origins[path], GONE[path]))


def _hint(path: str) -> str:
    """The nearest names there are for one that there is not; failing that, all of them."""
    section, _, field = path.partition(".")
    if section in sections() and field:
        near = difflib.get_close_matches(path, keys(), 2, 0.8) or [p for p in keys() if p.endswith(f".{field}")]
        rest = ", ".join(key.partition(".")[2] for key in keys() if key.startswith(f"{section}."))
        return f"did you mean {' or '.join(near)}?" if near else f"[{section}] has {rest}"
    near = difflib.get_close_matches(section, sections(), 1, 0.6)
    if near:
        return f"did you mean [{near[0]}]?"
    near = [p for p in keys() if p.endswith(f".{section}")]
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sections())}"


def _convert(key: Key, value: Any, origin: str) -> Any:
    from_text = not isinstance(key.default, str) and origin.startswith(("environment ", "flag "))
    if from_text and isinstance(key.default, list):
        value = [item.strip() for item in value.split(",") if item.strip()]
    try:
        return msgspec.convert(value, key.type, strict=not from_text)
    except msgspec.ValidationError as error:
        said = "this value" if key.secret else _shortened(value)
        raise ConfigError(key.path, origin, f"{said} is not allowed; allowed: {key.allowed}") from error


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _env_warnings(environ: Mapping[str, str]) -> list[str]:
    known = {env_name(path) for path in (*keys(), *GONE)} | ENV_OTHERS
    warnings = []
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.8)
            hint = f" (did you mean {near[0]}?)" if near else ""
            warnings.append(f"environment {name} is not a setting; ignored{hint}")
    return warnings
