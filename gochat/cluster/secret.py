"""The secret that a cluster's nodes share, and the password of their Redis: from a setting, or a file of one line."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gochat.config import Cluster
from gochat.config.cluster import secret_problem
from gochat.errors import ConfigError

#: A file of one line is no longer.
_MOST_BYTES = 4_096


def cluster_secret(settings: Cluster) -> str:
    """Raises ConfigError, which does not repeat it."""
    if not settings.secret_file:
        return settings.secret
    secret = _line("cluster.secret_file", Path(settings.secret_file))
    problem = secret_problem(secret)
    if problem is not None:
        raise ConfigError("cluster.secret_file", settings.secret_file, problem)
    return secret


def push_secret(cluster: str, secret: str) -> bytes:
    """64 bytes for the key that all nodes sign pushes with, since devices are subscribed with one key. `cluster`: its
    id."""
    key = hashlib.blake2b(secret.encode(), digest_size=64, person=b"gochat secret").digest()
    return hashlib.blake2b(cluster.encode(), key=key, digest_size=64, person=b"gochat push").digest()


def redis_password(settings: Cluster) -> str:
    """Empty where there is none. Raises ConfigError, which does not repeat it."""
    if not settings.password_file:
        return settings.password
    return _line("cluster.password_file", Path(settings.password_file))


def _line(key: str, file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.read(_MOST_BYTES + 1).strip()
    except OSError as error:
        raise ConfigError(key, str(file), (error.strerror or "can't be read").lower()) from error
    except UnicodeDecodeError:
        raise ConfigError(key, str(file), "is no text") from None
    if not text or len(text) > _MOST_BYTES or len(text.splitlines()) > 1:
        raise ConfigError(key, str(file), "must be one line of text")
    return text
