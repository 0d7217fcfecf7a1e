"""Checks that a node could start with its settings: each mistake comes with the key and the way out."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator, Set
from pathlib import Path

from gochat.auth.secret import FILE_NAME
from gochat.auth.tokens import tokens
from gochat.cluster.secret import cluster_secret, redis_password
from gochat.config import Settings, binds, parse_address
from gochat.errors import ConfigError, GochatError
from gochat.policy import load_rules
from gochat.settings import Loaded
from gochat.transports.tls import tls_context


def mistakes(loaded: Loaded, told: Set[str] = frozenset()) -> Iterator[ConfigError]:
    """Beyond the values themselves, and the keys of `told`: keys, lists and certificates that can't be read, addresses
    that are not this machine's, a data folder that can't be one. A port or a folder that a running node uses is no
    mistake."""
    yield from (mistake for mistake in _mistakes(loaded, told) if mistake.key not in told)


def _mistakes(loaded: Loaded, told: Set[str]) -> Iterator[ConfigError]:
    settings, origins = loaded.settings, loaded.origins
    yield from _raised(lambda: _check_key(settings))
    yield from _raised(lambda: load_rules(settings.policy))
    yield from _raised(lambda: _check_tls(loaded))
    if settings.cluster.url:
        yield from _raised(lambda: cluster_secret(settings.cluster))
        yield from _raised(lambda: redis_password(settings.cluster))
    for path, text in binds(settings):
        if path in told:
            continue
        error = why_not_here(path, text)
        if error is not None and error.errno != errno.EADDRINUSE:
            yield ConfigError(path, origins[path], f"{text}: {(error.strerror or str(error)).lower()}")
    problem = _folder_problem(Path(settings.node.data))
    if problem is not None:
        yield ConfigError("node.data", origins["node.data"], problem)


def why_not_here(path: str, text: str) -> OSError | None:
    """Why nobody can listen at HOST:PORT now, if nobody can. `path`: the key that has the address."""
    address = parse_address(text)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if path.startswith("cluster.shared_"):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            probe.bind(place)
    except OSError as error:
        return error
    return None


def _raised(check: Callable[[], object]) -> Iterator[ConfigError]:
    try:
        check()
    except ConfigError as mistake:
        yield mistake


def _check_key(settings: Settings) -> None:
    """A node without a key of its own makes one at its first start."""
    if settings.auth.configured or (Path(settings.node.data) / FILE_NAME).exists():
        tokens(settings)


def _check_tls(loaded: Loaded) -> None:
    try:
        tls_context(loaded.settings)
    except GochatError as error:
        raise ConfigError("http.tls_cert", loaded.origins["http.tls_cert"], str(error)) from error


def _folder_problem(folder: Path) -> str | None:
    if folder.exists() and not folder.is_dir():
        return f"{folder} is no folder"
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} can't be written to by the user who runs this"
    return None
