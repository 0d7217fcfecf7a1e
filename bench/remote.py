"""A server that runs already: where it is, and who may speak to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.faults import Misused
from bench.load.client import Address
from bench.load.wire import LINES, NNG, WEBSOCKET
from bench.server import Running
from bench.tokens import Issuer, TokenFile

_PATH = "/v1/ws"


class Place(NamedTuple):
    """The server, as `--url` and the options beside it describe it."""

    address: Address
    http: tuple[str, int]
    issuer: Issuer | TokenFile
    pid: int

    @classmethod
    def parse(cls, url: str, http: str, secret: str, tokens: Path | None, pid: int) -> Place:
        """`url` is ws://HOST:PORT[/v1/ws], tcp://HOST:PORT or nng+tcp://HOST:PORT; `http` is http://HOST:PORT, for REST
        beside TCP. Raises Broken."""
        where = urlsplit(url)
        if where.scheme not in ("ws", "tcp", "nng+tcp") or not where.hostname or not where.port:
            raise Misused(f"--url {url}: give ws://HOST:PORT, tcp://HOST:PORT or nng+tcp://HOST:PORT")
        if bool(secret) == bool(tokens):
            raise Misused("--url needs --secret (or GOCHAT_BENCH_SECRET) to sign tokens with, or --tokens")
        host, port = where.hostname, where.port
        if where.scheme == "ws":
            address = Address(host, port, WEBSOCKET, path=where.path if where.path not in ("", "/") else _PATH)
        else:
            address = Address(host, port, LINES if where.scheme == "tcp" else NNG)
        rest = urlsplit(http)
        door = (rest.hostname or host, rest.port or port) if http or where.scheme == "ws" else ("", 0)
        return cls(address, door, TokenFile(tokens) if tokens else Issuer(secret), pid)


class Remote:
    """Has what a `Gochat` has, but can't be started anew. Users and groups get names of their own, since what other
    runs left is still there."""

    def __init__(self, place: Place) -> None:
        self.issuer = place.issuer
        self._place = place
        self._tag = secrets.token_hex(3)
        self.series = self._tag
        self._given = 0

    @contextmanager
    def run(self) -> Iterator[Running]:
        yield Running(self._place.pid, self._place.address, self._place.http)

    def names(self, prefix: str, count: int) -> list[str]:
        """Raises Broken where the file of tokens has too few."""
        if isinstance(self.issuer, TokenFile):
            self._given += count
            return self.issuer.users(self._given - count, count)
        return [f"{prefix}{self._tag}{number:04d}" for number in range(count)]

    def group(self, name: str) -> str:
        return f"{name}-{self._tag}"
