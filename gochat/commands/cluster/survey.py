"""A look at a cluster from outside: from its server, and from a node that lives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import trio

from gochat.cluster.access import link_maker
from gochat.cluster.fitness import unfit
from gochat.cluster.layout import find, unseal
from gochat.cluster.peers import PeerAway, Peers
from gochat.cluster.ports import BEAT_LIFE_S, PARTITIONS, Position, ServerAway
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_log import RedisLog
from gochat.cluster.secret import cluster_secret
from gochat.cluster.signing import Signer
from gochat.commands import EXIT_UNREACHABLE, CommandError
from gochat.commands.cluster.server import server
from gochat.config import Settings

STATE: Final = "/internal/state"


class Node(NamedTuple):
    instance: str
    name: str
    url: str
    age_ms: int | None
    """Since its latest sign of life; None where the server knows of none."""
    behind: int | None
    """Entries of the log that it has not recorded; None where that is not known."""
    here: bool | None
    """Whether repairs wait for it; None where no node answers."""

    @property
    def alive(self) -> bool:
        return self.age_ms is not None and self.age_ms <= BEAT_LIFE_S * 1000


class Survey(NamedTuple):
    cluster: str
    name: str
    problems: list[str]
    """Why no messages are taken, or may not be for long."""
    broken: frozenset[int]
    """Partitions that are being repaired, or wait for it."""
    ends: Mapping[int, Position]
    nodes: list[Node]

    @property
    def takes_messages(self) -> bool:
        return not self.broken and any(node.alive for node in self.nodes)


def survey(settings: Settings) -> Survey:
    """Raises CommandError and ConfigError."""
    secret = cluster_secret(settings.cluster)
    with server(settings) as link:
        problems = unfit(link)
        found = find(link, settings.cluster.name)
        if found is None:
            raise CommandError(
                f"{settings.cluster.url} knows no cluster of the name {settings.cluster.name}",
                hint="`gochat cluster create` makes one; after a loss the first node that serves puts the name back",
            )
        if found[1]:
            unseal(found[1], secret)
    try:
        return trio.run(partial(_survey, settings, found[0], secret, problems))
    except ServerAway as error:
        hint = "is the server running, and cluster.url right?"
        raise CommandError(f"{settings.cluster.url}: {error}", hint=hint, code=EXIT_UNREACHABLE) from error


async def _survey(settings: Settings, cluster: str, secret: str, problems: list[str]) -> Survey:
    connect = link_maker(settings.cluster)
    log, bulletin = RedisLog(cluster, connect), RedisBulletin(cluster, connect)
    try:
        members = await bulletin.members()
        fences, ends = await log.fences(range(PARTITIONS)), await log.ends(range(PARTITIONS))
    finally:
        log.close()
        bulletin.close()
    broken = frozenset(
        partition
        for partition in range(PARTITIONS)
        if partition not in fences.by_partition or fences.by_partition[partition].server != fences.server
    )
    nodes = [_node(member.instance, member.age_ms, member.info, ends) for member in members]
    state = await ask_any(nodes, secret)
    if broken:
        problems.append(f"{len(broken)} of {PARTITIONS} partitions are to be repaired")
    if not any(node.alive for node in nodes):
        problems.append("no node lives")
    elif state is None:
        problems.append("no node answers at the address that it advertises")
    elif state.get("problem"):
        problems.append(str(state["problem"]))
    here = None if state is None else state.get("here")
    if isinstance(here, list):
        nodes = [node._replace(here=node.instance in here) for node in nodes]
        known = {node.instance for node in nodes}
        nodes += [Node(one, "?", "", None, None, True) for one in here if one not in known]
    return Survey(cluster, settings.cluster.name, problems, broken, ends, nodes)


async def ask_any(nodes: list[Node], secret: str, path: str = STATE, body: bytes = b"") -> dict[str, Any] | None:
    """The answer of the first node that gives one; None where none does."""
    peers = Peers(Signer(secret, lambda: time.time_ns() // 1_000_000))
    try:
        for node in nodes:
            if node.alive and node.url:
                try:
                    answer: dict[str, Any] = msgspec.json.decode(await peers.ask(node.url, path, body), type=dict)
                    return answer
                except (PeerAway, msgspec.MsgspecError):
                    continue
        return None
    finally:
        await peers.aclose()


def _node(instance: str, age_ms: int, info: bytes, ends: Mapping[int, Position]) -> Node:
    """A node, by the news of itself in its beats (cluster/registry.py)."""
    try:
        told: dict[str, Any] = msgspec.msgpack.decode(info, type=dict)
    except msgspec.MsgspecError:
        told = {}
    seen = told.get("seen")
    behind = None
    if isinstance(seen, dict):
        behind = sum(max(0, end.n - int(seen.get(p, (0, 0))[1])) for p, end in ends.items())
    return Node(instance, str(told.get("name") or "?"), str(told.get("url") or ""), age_ms, behind, None)
