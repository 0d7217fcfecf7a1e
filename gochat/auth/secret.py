"""The secret that a node makes for itself when no key is configured: once, in its data folder, for its eyes alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from gochat.config import MIN_SECRET_BYTES
from gochat.errors import ConfigError

FILE_NAME = "auth.secret"


def own_secret(folder: Path) -> str:
    """The secret kept in `folder`; made if there is none. Two starters at once get the same one.

    The folder is made too, for its owner only. Raises ConfigError.
    """
    file = folder / FILE_NAME
    try:
        if not file.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(file)
        return _read(file)
    except OSError as error:
        raise ConfigError("node.data", str(file), (error.strerror or "can't be used").lower()) from error


def _make(file: Path) -> None:
    """Write a new secret under a name of its own, then link it: `file` is never seen half written, or replaced."""
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(MIN_SECRET_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):  # the other starter was first: its secret counts
            os.link(draft, file)
    finally:
        draft.unlink()
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(file: Path) -> str:
    if file.stat().st_mode & 0o077:
        raise ConfigError("node.data", str(file), f"others may read it; `chmod 600 {file}`, or remove it for a new one")
    secret = file.read_text(encoding="ascii", errors="replace").strip()
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError("node.data", str(file), "is damaged; remove it, and tokens made with it end")
    return secret
