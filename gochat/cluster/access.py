"""Makes connections to the server or servers that the settings name."""

from __future__ import annotations

from collections.abc import Callable

from gochat.cluster.link import TIMEOUT_S, Link, connector
from gochat.cluster.redis_cluster import PREFIXES as CLUSTERS
from gochat.cluster.redis_cluster import RedisCluster
from gochat.cluster.secret import redis_password
from gochat.cluster.sentinel import PREFIXES, Sentinels
from gochat.config import Cluster
from gochat.errors import ConfigError


def link_maker(settings: Cluster, timeout_s: float = TIMEOUT_S) -> Callable[[], Link]:
    """Makes links to the primary, or to those of a Redis Cluster, which are still to be opened; a call may raise
    RedisError or OSError. Raises ConfigError."""
    password = redis_password(settings)
    scheme = settings.url.partition(":")[0]
    try:
        if scheme in PREFIXES:
            return Sentinels(settings.url, timeout_s, password=password)
        if scheme in CLUSTERS:
            return RedisCluster(settings.url, timeout_s, password=password)
        return connector(settings.url, timeout_s, password=password)
    except ValueError as error:
        raise ConfigError("cluster.url", "settings", str(error)) from None
