"""Starts the cluster that is measured, by `gochat cluster up`: nodes and a Redis, together on the server's cores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from bench.load.client import Address
from bench.server import SETTINGS, Gochat, Running, _process


class Nodes(NamedTuple):
    """A cluster that is ready."""

    nodes: list[Running]
    redis: int
    """The process of Redis."""


class Cluster(Gochat):
    """The cluster under test. Its data is new."""

    @contextmanager
    def run_all(self, count: int) -> Iterator[Nodes]:
        place = ["--data", str(self._folder / "data"), "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]
        program = ["-m", "gochat", "cluster", "up", "-n", str(count), "--json", *place]
        settings = {**SETTINGS, **self._settings, "GOCHAT_AUTH__SECRET": self.issuer.secret}
        log = self._folder / "server.log"
        with _process(program, settings, self._cores, log, ['"ready": true'], checkout=self._checkout):
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
            (redis,) = [line["redis"] for line in lines if "redis" in line]
            yield Nodes([self._running(line) for line in lines if "node" in line], _process_of(redis))

    def _running(self, told: dict[str, str]) -> Running:
        host, http = _place(told["http"])
        _, tcp = _place(told["tcp"])
        port = http if self._wire.name == "ws" else tcp
        return Running(int(told["pid"]), Address(host, port, self._wire), (host, http))


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.partition("://")[2].rpartition(":")
    return host, int(port)


def _process_of(redis: str) -> int:
    """The server's process id, as it tells it."""
    from gochat.cluster.link import connector  # redis-py: only where there is a cluster

    with closing(connector(redis)()) as link:
        info = link.call("INFO", "server").decode()
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    return int(fields["process_id"])
