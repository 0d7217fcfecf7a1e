"""Warnings at a node's start: secrets that other users can read, text that travels in the open, and an address that
other nodes do not reach."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from gochat.config import Settings, keys, out_of_reach, unencrypted


def exposed(settings: Settings, origins: Mapping[str, str]) -> Iterator[str]:
    """A line for each, for the log at the start."""
    # Of the other files that settings name, none is secret: a key that verifies alone is public.
    files = [(path, _value(settings, path)) for path in keys() if path.endswith(".tls_key")]
    files += [(path, _value(settings, path)) for path in ("cluster.secret_file", "cluster.password_file")]
    for path in ("auth.secret", "cluster.secret", "cluster.password"):
        if _value(settings, path) and not origins[path].startswith(("environment ", "flag ")):
            files.append((path, origins[path]))
    for path, name in files:
        if name and _is_open(Path(name)):
            yield f"{name} holds a secret ({path}) and other users of this machine can read it: chmod 600 {name}"
    if _is_open(Path(settings.node.data), folder=True):
        folder = settings.node.data
        yield f"{folder} holds all messages and other users can look into it: chmod 700 {folder}"
    if settings.notify.push and settings.notify.allow_private and settings.notify.push_private:
        yield (
            "notify.allow_private holds for the push services that users name as well, so users can have the node post"
            " to private addresses, though not what: notify.push_private = false ends that"
        )
    yield from unencrypted(settings)
    yield from out_of_reach(settings.cluster, settings.http.bind)


def _value(settings: Settings, path: str) -> str:
    section, _, field = path.partition(".")
    return str(getattr(getattr(settings, section), field))


def _is_open(path: Path, *, folder: bool = False) -> bool:
    """Whether others than the owner may read the file, or enter the folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # Whether it is there is judged where it is used.
    if folder and not stat.S_ISDIR(mode):
        return False  # It would be bad advice to shut anything but a folder, for example a file of the system's.
    return bool(mode & (0o055 if folder else 0o044))
