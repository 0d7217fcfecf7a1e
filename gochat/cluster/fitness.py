"""Whether a server is fit to carry a cluster's log: asked before a node serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from redis.exceptions import ResponseError

from gochat.cluster.link import Link

#: The first release whose XADD numbers entries within a term (`term-*`). Valkey tells it as its own of Redis too.
LEAST_VERSION: Final = (7, 0)
#: Policies by which a server that is full refuses writes, or drops keys that have an end, which the log has not.
KEEPING: Final = ("noeviction", "volatile-")
_NO_FILE: Final = (
    "It keeps no append-only file: after a restart it may have data that is older than what the nodes keep, and "
    "then has to be emptied: set appendonly yes."
)
_REPLICATION: Final = "return redis.call('INFO', 'replication')"


def unfit(link: Link) -> list[str]:
    """The reasons why the server, or one of a Redis Cluster's primaries, can't be used, each a sentence with the way
    out; none where all are fit. Raises RedisError or OSError."""
    return [
        f"{address}: {problem}" if address else problem
        for address, primary in link.primaries()
        for problem in _unfit(primary, alone=not address)
    ]


def _unfit(link: Link, *, alone: bool) -> list[str]:
    """Of one server. `alone`: it is to hold the whole log."""
    try:
        server, memory, cluster = (_fields(link.call("INFO", part)) for part in ("server", "memory", "cluster"))
    except ResponseError as error:
        return [f"INFO is refused ({error}): allow it to the user that gochat signs in as."]
    problems = []
    version = server.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        problems.append(f"It is of version {version}: install Redis {least} or later, or Valkey.")
    policy = memory.get("maxmemory_policy", "noeviction")
    if not policy.startswith(KEEPING):
        problems.append(f"It may drop the log when memory is short (maxmemory-policy is {policy}): set noeviction.")
    if alone and cluster.get("cluster_enabled") == "1":
        problems.append(
            "It is one of a Redis Cluster, whose nodes hold a part of the log each: set cluster.url to "
            "redis+cluster://HOST1,HOST2."
        )
    try:
        link.call("EVAL", _REPLICATION, 0)
    except ResponseError as error:
        problems.append(f"Scripts may not read INFO replication ({error}): allow INFO and EVALSHA to gochat's user.")
    return problems


def risks(link: Link) -> list[str]:
    """Sentences about a server that is fit, and may still stop the cluster one day. Raises RedisError or OSError."""
    return [
        f"{address}: {_NO_FILE}" if address else _NO_FILE
        for address, primary in link.primaries()
        if _fields(primary.call("INFO", "persistence")).get("aof_enabled", "1") != "1"
    ]


def _fields(info: bytes) -> Mapping[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}
