"""A look at a cluster from outside: from its server, and from the nodes that live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import trio

from gochat.cluster.access import link_maker
from gochat.cluster.answers import State
from gochat.cluster.beat import BeatCodec
from gochat.cluster.entry import VERSION
from gochat.cluster.fitness import unfit
from gochat.cluster.layout import find, unseal
from gochat.cluster.peers import TIMEOUT_S, PeerAway, Peers, Refused
from gochat.cluster.ports import BEAT_LIFE_S, PARTITIONS, START, Member, Position, ServerAway, Unreadable
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_log import RedisLog
from gochat.cluster.repair import is_in_order
from gochat.cluster.secret import cluster_secret
from gochat.cluster.signing import Signer
from gochat.commands import EXIT_UNREACHABLE, CommandError
from gochat.commands.cluster.server import server
from gochat.config import Settings
from gochat.errors import Lives, UnderWay
from gochat.wall_clock import wall_ms

STATE: Final = "/internal/state"


class Node(NamedTuple):
    instance: str
    name: str
    url: str
    age_ms: int | None
    """Since its latest sign of life; None where the server knows of none."""
    missing: int | None
    """Entries of the log that it has not recorded; None where that is not known."""
    here: bool | None
    """Whether repairs wait for it; None where no node answers."""
    rules: str = ""
    """Names the rules and limits of its settings."""
    reads: int | None = None
    """The highest version of entries that it reads."""
    writes: int | None = None
    """The version that it writes now."""
    problem: str | None = None
    """Why it takes no messages, by its own word."""
    silence: str | None = None
    """Why it could not be asked."""
    answers: bool = False
    """Whether it answered, be it that the server has no sign of life of it."""
    forgotten_by: Sequence[str] = ()
    """The nodes, by name, that are about to go on without it for good."""

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
    def is_beaten(self) -> bool:
        """Whether any node's sign of life came of late. Where none did, the server may be the reason."""
        return any(node.alive for node in self.nodes)

    @property
    def takes_messages(self) -> bool:
        """A node that could not be asked is none that takes nothing: it may be out of the operator's reach alone."""
        return not self.broken and any(node.alive and node.problem is None for node in self.nodes)


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
        if isinstance(error, Unreadable):
            hint = "no node wrote that: change the password of Redis, which somebody else knows"
        raise CommandError(f"{settings.cluster.url}: {error}", hint=hint, code=EXIT_UNREACHABLE) from error


async def _survey(settings: Settings, cluster: str, secret: str, problems: list[str]) -> Survey:
    connect = link_maker(settings.cluster)
    log, bulletin = RedisLog(cluster, connect), RedisBulletin(cluster, connect)
    try:
        members = await bulletin.members()
        refusal = await bulletin.refusal()
        fences, ends = await log.fences(range(PARTITIONS)), await log.ends(range(PARTITIONS))
    finally:
        log.close()
        bulletin.close()
    broken = frozenset(partition for partition in range(PARTITIONS) if not is_in_order(fences, partition))
    codec = BeatCodec(cluster, secret)
    told, strange = _told(members, ends, codec)
    problems += strange
    nodes = sorted(told, key=lambda node: (node.name, node.instance))
    asked = await ask_each(nodes, secret)
    if refusal is not None:
        problems.append(f"the server takes no writes, signs of life among them: {refusal}")
    if broken:
        problems.append(f"{len(broken)} of {PARTITIONS} partitions are to be repaired")
    if not any(node.alive for node in nodes):
        problems += _nobody_beats(nodes, asked, refusal)
    elif not any(isinstance(answer, State) for answer in asked.values()):
        problems.append("no node answers at the address that it advertises")
    nodes = _with_answers(nodes, asked)
    problems += _problems(nodes)
    problems += _newer(nodes)
    problems += [
        f"{node.name} has other settings in [policy], [limits] or [history] than most nodes"
        for node in _with_other_rules(nodes)
    ]
    return Survey(cluster, settings.cluster.name, problems, broken, ends, nodes)


def _nobody_beats(nodes: Sequence[Node], asked: Mapping[str, State | str], refusal: str | None) -> list[str]:
    """The problem where the server has no fresh sign of life. `refusal`: why it takes none, which is told already."""
    names = [node.name for node in nodes if isinstance(asked.get(node.instance), State)]
    if names:
        return [f"the server has no fresh sign of life, though these nodes answer: {', '.join(names)}"]
    return ["no node lives"] if refusal is None else []


def _told(members: Sequence[Member], ends: Mapping[int, Position], codec: BeatCodec) -> tuple[list[Node], list[str]]:
    """The nodes that gave a sign of life, and a problem where there are signs that none of them gave."""
    nodes = [_node(member, ends, codec) for member in members]
    known = [node for node in nodes if node.missing is not None or node.writes is not None]
    if len(known) == len(nodes):
        return known, []
    count = len(nodes) - len(known)
    return known, [f"{count} signs of life are not signed with cluster.secret: somebody else writes to the server"]


def _with_answers(nodes: list[Node], asked: Mapping[str, State | str]) -> list[Node]:
    """The nodes with what they said themselves, and those that a repair waits for and the server knows nothing of."""
    nodes = list(nodes)
    states = [answer for answer in asked.values() if isinstance(answer, State)]
    # One that serves nobody may be the last to know which nodes count.
    trusted = next((state for state in states if state.problem is None), states[0] if states else None)
    if trusted is not None:
        nodes = [node._replace(here=node.instance in trusted.here) for node in nodes]
        names = {instance: name for state in states for instance, name in state.names.items()}
        known = {node.instance for node in nodes}
        nodes += [Node(one, names.get(one, "?"), "", None, None, True) for one in trusted.here if one not in known]
    called = {node.instance: node.name for node in nodes}
    for place, node in enumerate(nodes):
        answer = asked.get(node.instance)
        by = tuple(called.get(of.instance, of.instance) for of in states if node.instance in of.forgetting)
        if isinstance(answer, State):
            nodes[place] = node._replace(problem=answer.problem, answers=True, forgotten_by=by)
        else:
            nodes[place] = node._replace(silence=answer, forgotten_by=by)
    return nodes


def _problems(nodes: list[Node]) -> list[str]:
    """Each problem of a node once, with the names of all that have it."""
    names: dict[str, list[str]] = {}
    for node in nodes:
        problem = node.problem or node.silence
        if problem is not None:
            names.setdefault(problem, []).append(node.name)
    return [f"{', '.join(those)}: {problem}" for problem, those in names.items()]


def _newer(nodes: list[Node]) -> list[str]:
    """Of nodes that live, those that can't read what others write now, or this command can't."""
    alive = [node for node in nodes if node.alive]
    found = []
    for node in alive:
        if node.writes is None or node.writes < 2:
            continue
        name = node.name if node.name != "?" else node.instance
        behind = [other.name for other in alive if other.reads is not None and other.reads < node.writes]
        behind += ["this command"] if node.writes > VERSION else []
        if behind:
            found.append(
                f"{name} writes entries of version {node.writes}, which {', '.join(behind)} can't read: install there "
                "the release that it has"
            )
    return found


def _with_other_rules(nodes: list[Node]) -> list[Node]:
    alive = [node for node in nodes if node.alive]
    counts = Counter(node.rules for node in alive)
    if len(counts) < 2:
        return []
    (most, _), *_rest = counts.most_common(1)
    return [node for node in alive if node.rules != most]


class Asked(NamedTuple):
    """The outcome of a question."""

    answer: dict[str, Any] | None
    """That of the first node that gave one."""
    problems: list[str]
    """Why others gave none, in the order in which they were asked."""
    under_way: str | None = None
    """When it will be done by a node that goes on with it; no further one was asked."""
    is_known: bool = True
    """Whether those that gave none have done nothing."""


async def ask_any(nodes: list[Node], secret: str, path: str, body: bytes = b"", timeout_s: float = TIMEOUT_S) -> Asked:
    """Ask one node that lives after the other, until one answers."""
    problems: list[str] = []
    is_known = True
    peers = Peers(Signer(secret, wall_ms), timeout_s=timeout_s)
    try:
        for node in nodes:
            if node.alive and node.url:
                try:
                    answer: dict[str, Any] = msgspec.json.decode(await peers.ask(node.url, path, body), type=dict)
                    return Asked(answer, problems, is_known=is_known)
                except UnderWay as error:
                    return Asked(None, problems, str(error), is_known)
                except Lives as error:
                    # Another node might not see that.
                    return Asked(None, [*problems, str(error)], is_known=is_known)
                except PeerAway as error:
                    is_known = is_known and isinstance(error, Refused)
                    problems.append(str(error))
                except msgspec.MsgspecError:
                    is_known = False
                    problems.append(f"{node.url} answers in a form that this release does not know")
        return Asked(None, problems, is_known=is_known)
    finally:
        await peers.aclose()


async def ask_each(nodes: list[Node], secret: str) -> Mapping[str, State | str]:
    """Ask all nodes that live, at once, how they see the cluster: by instance the answer, or why there is none. Where
    none gave a sign of life of late, all are asked: the server may take none."""
    found: dict[str, State | str] = {}
    nobody_beats = not any(node.alive for node in nodes)
    peers = Peers(Signer(secret, wall_ms))

    async def ask_one(node: Node) -> None:
        try:
            found[node.instance] = msgspec.json.decode(await peers.ask(node.url, STATE), type=State)
        except PeerAway as error:
            found[node.instance] = str(error)
        except msgspec.MsgspecError:
            found[node.instance] = f"{node.url} answers in a form that this release does not know"

    try:
        async with trio.open_nursery() as nursery:
            for node in nodes:
                if node.url and (node.alive or nobody_beats):
                    nursery.start_soon(ask_one, node)
    finally:
        await peers.aclose()
    return {node.instance: found[node.instance] for node in nodes if node.instance in found}


def _node(member: Member, ends: Mapping[int, Position], codec: BeatCodec) -> Node:
    told = codec.decode(member)
    if told is None:
        return Node(member.instance, "?", "", member.age_ms, None, None, writes=codec.writes(member))
    missing = sum(max(0, end.n - told.seen.get(p, START)[1]) for p, end in ends.items()) if told.seen else None
    return Node(
        member.instance, told.name or "?", told.url, member.age_ms, missing, None, told.rules, told.reads, told.writes
    )
