"""The secret that a node makes for itself when no key is configured: once, in its data folder, for its eyes alone.

Only a node that starts makes one (`make_secret`). All else reads it (`own_secret`): a second one, made in another
folder by mistake, would sign tokens that the node refuses.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from gochat.config import MIN_SECRET_BYTES
from gochat.durable import make_once
from gochat.errors import ConfigError

FILE_NAME = "auth.secret"


def make_secret(folder: Path) -> bool:
    """Make the secret in `folder` unless there is one; returns whether it was made.

    Two starters at once get the same one. The folder is made too, for its owner only. Raises ConfigError.
    """
    file = folder / FILE_NAME
    try:
        if file.exists():
            return False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return make_once(file, secrets.token_hex(MIN_SECRET_BYTES).encode())
    except OSError as error:
        raise _unusable(file, error) from error


def own_secret(folder: Path) -> str:
    """The secret kept in `folder`. Raises ConfigError; where there is no secret, its hint says how to make one."""
    file = folder.absolute() / FILE_NAME
    try:
        return _read(file)
    except FileNotFoundError:
        problem = "there is no secret here to sign tokens with" if folder.is_dir() else "there is no such folder"
        hint = "`gochat serve` makes it at its first start; --data or --config name the folder of a node that has one"
        raise ConfigError("node.data", str(file.parent), problem, hint=hint) from None
    except PermissionError:
        problem = "permission denied: tokens are signed by the users who may read it"
        raise ConfigError("node.data", str(file), problem, hint="run this as the user who runs the node") from None
    except OSError as error:
        raise _unusable(file, error) from error


def _unusable(file: Path, error: OSError) -> ConfigError:
    return ConfigError("node.data", str(file), (error.strerror or "can't be used").lower())


def _read(file: Path) -> str:
    if file.stat().st_mode & 0o077:
        raise ConfigError("node.data", str(file), f"others may read it; `chmod 600 {file}`, or remove it for a new one")
    secret = file.read_text(encoding="ascii", errors="replace").strip()
    if len(secret) < MIN_SECRET_BYTES:
        raise ConfigError("node.data", str(file), "is damaged; remove it, and tokens made with it end")
    return secret
