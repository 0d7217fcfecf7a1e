"""A server that could lose the log, or could not carry it, is refused with the reason and the way out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis.exceptions import ResponseError

from gochat.cluster.fitness import risks, unfit
from gochat.cluster.link import Link, connector
from tests.cluster.real import PATIENCE_S, RealServer


@pytest.fixture
def link(redis: RealServer) -> Iterator[Link]:
    link = connector(redis.url, PATIENCE_S)()
    link.open()
    yield link
    link.close()


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
def test_a_server_that_drops_nothing_of_the_log_is_fit(redis: RealServer, link: Link, policy: str) -> None:
    redis.command("CONFIG", "SET", "maxmemory-policy", policy)
    try:
        assert unfit(link) == []
    finally:
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
def test_a_server_that_evicts_is_not(redis: RealServer, link: Link, policy: str) -> None:
    redis.command("CONFIG", "SET", "maxmemory-policy", policy)
    try:
        (problem,) = unfit(link)
    finally:
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert policy in problem
    assert "set noeviction" in problem


class Told:
    """A link to a server that tells of itself what the test wants."""

    def __init__(self, **sections: str) -> None:
        self._sections = sections

    def primaries(self) -> list[tuple[str, Told]]:
        return [("", self)]

    def call(self, command: str, *arguments: str | int) -> bytes:
        told = self._sections.get(str(arguments[0]) if command == "INFO" else command, "")
        if told == "refused":
            raise ResponseError("NOPERM this user has no permissions")
        return told.encode()


GOOD = {
    "server": "redis_version:7.2.4\r\n",
    "memory": "maxmemory_policy:noeviction\r\n",
    "cluster": "cluster_enabled:0",
}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"server": "redis_version:6.2.14\r\nredis_mode:standalone"}, "version 6.2.14"),
        ({"server": ""}, "version 0"),
        ({"cluster": "# Cluster\r\ncluster_enabled:1\r\n"}, "Redis Cluster"),
        ({"EVAL": "refused"}, "INFO replication"),
        ({"memory": "refused"}, "INFO is refused"),
    ],
)
def test_what_else_makes_it_unfit(changed: dict[str, str], named: str) -> None:
    assert unfit(Told(**GOOD)) == []  # type: ignore[arg-type]
    (problem,) = unfit(Told(**{**GOOD, **changed}))  # type: ignore[arg-type]
    assert named in problem


def test_a_server_that_may_come_back_with_old_data_is_told_of(link: Link) -> None:
    assert risks(Told(persistence="aof_enabled:1\r\n")) == []  # type: ignore[arg-type]
    (risk,) = risks(link)
    assert "set appendonly yes" in risk
