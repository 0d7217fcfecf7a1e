"""A node's part in a cluster, put together from the settings and its folder: who it is, and its connections.

Nothing here is loaded, redis-py least of all, where cluster.url is empty.
"""

from __future__ import annotations

import hashlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import trio

from gochat.cluster import identity, layout
from gochat.cluster.access import link_maker
from gochat.cluster.fitness import risks
from gochat.cluster.identity import Identity
from gochat.cluster.layout import Layout, UnfitServer
from gochat.cluster.link import REPLICATION, Link, primary_id
from gochat.cluster.link_thread import LinkThread
from gochat.cluster.peers import Peers
from gochat.cluster.ports import Refused, ServerAway
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_log import RedisLog
from gochat.cluster.secret import cluster_secret
from gochat.cluster.shared import ServerWatch, Shared
from gochat.cluster.signing import Signer
from gochat.config import Settings
from gochat.errors import ConfigError, GochatError
from gochat.store import folder
from gochat.store.portable import cluster as of_cluster
from gochat.store.portable.cluster import Copy
from gochat.wall_clock import wall_ms

log = logging.getLogger(__name__)

#: How long a start waits for a server that does not answer: after a power failure it may come up later than the nodes.
PATIENCE_S: Final = 30.0
RETRY_S: Final = 0.5
#: How often the name and the layout are put back where the server has lost them.
REGISTER_S: Final = 1.0
#: How long connections to other nodes may take to be closed.
CLOSE_S: Final = 1.0
#: How often it is looked whether the server is still fit.
LOOK_S: Final = 5.0


class Part(NamedTuple):
    """All that a folder says of its cluster, checked against the settings."""

    identity: Identity
    copy: Copy
    layout: Layout


def part_of(settings: Settings) -> Part:
    """The folder as a node of the cluster that the settings name. Raises ConfigError and StoreError: it is none, or is
    one of another cluster."""
    place = Path(settings.node.data)
    where = str(place.absolute())
    marker = identity.read(place)
    if marker is None:
        folder.check_servable(place)
        hint = "`gochat cluster create` makes a cluster of it, `gochat cluster join` one more node of a cluster"
        raise ConfigError("node.data", where, "belongs to no cluster, and cluster.url is set", hint=hint)
    database = folder.database(place)
    copy = of_cluster.read(database) if database.is_file() else None
    if copy is None or copy.cluster != marker.cluster or not copy.begun:
        hint = "run `gochat cluster create`, `join` or `leave` again, whichever it was"
        raise ConfigError("node.data", where, "became a cluster's folder by half", hint=hint)
    if settings.cluster.name != marker.name:
        hint = f"set cluster.name to {marker.name}, or node.data to another folder"
        raise ConfigError("cluster.name", where, f"the folder belongs to the cluster {marker.name}", hint=hint)
    secret = cluster_secret(settings.cluster)
    try:
        laid_out = layout.unseal(copy.layout, secret)
    except UnfitServer as error:
        raise ConfigError("cluster.secret", where, str(error), hint=error.hint) from None
    one = Identity(
        cluster=marker.cluster,
        secret=secret,
        instance=marker.instance,
        boot=identity.new_id(),
        above=laid_out.above,
        joined=marker.joined,
    )
    return Part(one, copy, laid_out)


async def find_server(settings: Settings) -> Part:
    """Wait for the cluster's server, and see whether it is fit and this cluster's. Raises GochatError where it does not
    answer within PATIENCE_S, ConfigError and StoreError where the node can't take part."""
    part = part_of(settings)
    url = settings.cluster.url
    registry = LinkThread("registry", link_maker(settings.cluster))
    until = trio.current_time() + PATIENCE_S
    told = False
    try:
        while True:
            try:
                server = await registry.call(partial(_look, part))
            except ServerAway as error:
                if trio.current_time() > until:
                    # No mistake in the settings, as far as one can see: started again, the node may find it.
                    hint = "start it, or set cluster.url to where it is; a password goes to cluster.password"
                    raise GochatError(f"cluster.url: {url} can't be used: {error}; {hint}") from None
                if not told:
                    log.warning("the cluster's server can't be used yet: %s", error)
                    told = True
                await trio.sleep(RETRY_S)
            else:
                log.info("node %s of the cluster %s", part.identity.instance, part.copy.name, extra={"server": server})
                return part
    except UnfitServer as error:
        raise ConfigError("cluster.url", url, str(error), hint=error.hint) from None
    finally:
        registry.close()


def _look(part: Part, link: Link) -> str:
    layout.check_server(link)
    layout.register(link, *part.copy[:3])
    for risk in risks(link):
        log.warning("the cluster's server: %s", risk)
    return ", ".join(primary_id(primary.call(*REPLICATION)) for _, primary in link.primaries())


def _register(part: Part, looks: bool, link: Link) -> bool:
    """Whether name or layout were missing. With `looks`, raises UnfitServer where the server is not fit, too."""
    if looks:
        layout.check_server(link)
    return layout.register(link, *part.copy[:3])


def advertised(settings: Settings) -> str:
    """Where other nodes reach this one's HTTP."""
    scheme = "https" if settings.http.tls_cert else "http"
    return settings.cluster.advertise.rstrip("/") or f"{scheme}://{settings.http.bind}"


def rules_of(settings: Settings) -> str:
    """A short name for the rules and limits that all nodes should have alike."""
    rules = msgspec.json.encode([settings.policy, settings.limits, settings.history])
    return hashlib.blake2b(rules, digest_size=6).hexdigest()


@asynccontextmanager
async def shared(settings: Settings, part: Part) -> AsyncIterator[Shared]:
    """The log and the bulletin of the cluster, and who this node is there."""
    connect = link_maker(settings.cluster)
    cluster = part.identity.cluster
    threads = RedisLog(cluster, connect), RedisBulletin(cluster, connect), LinkThread("registry", connect)
    watch, peers = ServerWatch(), Peers(Signer(part.identity.secret, wall_ms))
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_keep_registered, threads[2], part, watch)
            name = settings.node.name or socket.gethostname()
            url, rules = advertised(settings), rules_of(settings)
            yield Shared(threads[0], threads[1], part.identity, name, url, rules, watch, peers.ask)
            nursery.cancel_scope.cancel()
    finally:
        for each in threads:
            each.close()
        with trio.CancelScope(shield=True), trio.move_on_after(CLOSE_S):
            await peers.aclose()


async def _keep_registered(registry: LinkThread, part: Part, watch: ServerWatch) -> None:
    """Put name and layout back where the server has lost them, and look now and then whether it is still fit: its
    settings may be changed, and a replica that takes over may have others. Nothing that was acknowledged is lost by
    that."""
    look_at = trio.current_time() + LOOK_S
    told: str | None = None
    while True:
        await trio.sleep(REGISTER_S)
        looks = watch.problem is not None or trio.current_time() >= look_at
        try:
            lost = await registry.call(partial(_register, part, looks))
        except Refused as error:
            if told != str(error):
                told = str(error)
                log.warning("the server lacks the cluster's name or layout, and does not take them: %s", told)
            continue
        except ServerAway:
            continue  # So it is for the log, which tells of it.
        except UnfitServer as error:
            problem = f"{error}: {error.hint}"
            if watch.problem != problem:
                log.error("the node is not ready: %s", problem)
            watch.problem = problem
            continue
        told = None
        if looks:
            look_at = trio.current_time() + LOOK_S
            if watch.problem is not None:
                log.info("the cluster's server is fit again")
            watch.problem = None
        if lost:
            log.warning("the server had lost the cluster's name or layout; they are back")
