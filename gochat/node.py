"""The composition root: builds every part from the settings, nests their lifetimes, and drains.

Started inside out: store, actors, sessions, listeners. Stopped the other way round: accept no more; say goaway, each
session with another delay; let rooms finish what they hold; flush and close the store. No ack is lost on the way.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

import gochat
from gochat import bounds
from gochat import store as stores
from gochat.actors.actor import Registry
from gochat.actors.foreign import debit, hear
from gochat.actors.live import Live
from gochat.actors.observer import Observer
from gochat.actors.presence import refresh_stale
from gochat.actors.room import RECENT_KEYS, RoomActor
from gochat.actors.room_context import RoomContext
from gochat.actors.run_queue import RunQueue
from gochat.actors.supervisor import Spec, Supervisor
from gochat.actors.timer_wheel import TimerWheel
from gochat.actors.user import UserActor, UserContext
from gochat.auth import tokens as auth
from gochat.auth.secret import FILE_NAME, make_secret
from gochat.auth.standing import Standing
from gochat.cluster.journal import ClusterJournal, joined
from gochat.cluster.others import OtherNodes
from gochat.cluster.shared import Shared
from gochat.collector import Sources, collect
from gochat.config import Settings
from gochat.domain.jumps import Jumps
from gochat.domain.relationship import ContactPolicy
from gochat.domain.turn import RecentKeys
from gochat.endpoints import Endpoints
from gochat.errors import DRAINING, CantListen, ConfigError, Denied, GochatError
from gochat.housekeeping import drop_idle, expire_texts
from gochat.http.readiness import Check
from gochat.http.router import Route
from gochat.listening import TRANSPORTS, Context, Listening
from gochat.metrics import Commits
from gochat.neighbours import Neighbours
from gochat.notify.context import NotifyContext
from gochat.notifying import Notifying
from gochat.overview import overview
from gochat.policy import RulesInForce
from gochat.ports.journal import ForeignBatch, Journal
from gochat.ports.ticks import TurnQueue
from gochat.protocol import replies
from gochat.session import Gateway
from gochat.session.administration import enforce
from gochat.session.seen import keep_seen
from gochat.session.slow import Spreader
from gochat.store import folder
from gochat.store.health import Health
from gochat.transports.admission import Connections
from gochat.transports.outbox import Spawn, WaitingBytes
from gochat.transports.poller import Poller
from gochat.transports.tls import tls_context

log = logging.getLogger(__name__)

#: Awake actors of each kind. An idle room is about 6 KB.
MOST_ACTORS = 200_000
#: How often a drain looks whether it is done.
POLL_S = 0.01

#: Runs since the machine was started, also while it slept. Nobody sets this clock.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


#: The wall clock; tests set another one.
wall_ns = time.time_ns


def now_ms() -> int:
    return wall_ns() // 1_000_000


class Node:
    """A running node; made by `running`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.node.name or socket.gethostname()
        self.addresses: list[tuple[str, str]] = []
        """The name and address of each listener: ("http", "127.0.0.1:8080") and so on."""
        self.draining = trio.Event()
        self.live = Live()
        self.rules: RulesInForce
        self.jumps = Jumps(wall_ns, partial(time.clock_gettime_ns, _STEADY))
        self.timer_wheel = TimerWheel()
        self.poller = Poller()
        self.gateway: Gateway
        self.connections: Connections
        self.endpoints: Endpoints
        self.database: Path
        self.commits: Commits
        self.health: Health
        self.notifying: Notifying
        self.supervisors: tuple[Supervisor, ...] = ()
        self.internal: list[Route] = []
        """Answers to other nodes of the cluster."""
        self._listening: list[Listening] = []

    def drain(self) -> None:
        """Begin to stop. A second call changes nothing."""
        self.draining.set()

    def readiness(self) -> list[Check]:
        accepting = Check("accepting", "the node is draining" if self.draining.is_set() else None)
        journal = self.gateway.journal
        if not isinstance(journal, ClusterJournal):
            return [accepting, Check("store", self.health.problem or journal.problem)]
        return [
            accepting,
            Check("store", self.health.problem),
            Check("log", journal.problem),
            Check("behind", journal.behind or journal.serving.lag),
            Check("clock", journal.registry.clock_problem),
            Check("newer", journal.newer),
            Check("diverged", journal.serving.diverged),
            Check("server", journal.server_problem),
        ]

    def reload(self) -> None:
        """Read the files again that the settings name: lists of words and suffixes, certificate and key. A file that
        can't be used is logged, and its earlier content stays. For a thread: it reads files and compiles the lists."""
        self.rules.reload()
        try:
            context = tls_context(self.settings)
        except GochatError as error:
            log.error("the certificate stays as it was: %s", error)
            return
        if context is not None:
            for listening in self._listening:
                listening.renew_tls(context)
            log.info("the certificate is read again, for new connections")

    def metrics(self) -> bytes:
        """The content of `/metrics`."""
        return collect(self._sources())

    def overview(self) -> replies.Overview:
        """The state of the node, for its operators."""
        return overview(self._sources())

    def _sources(self) -> Sources:
        return Sources(
            self.gateway,
            self.connections,
            self.commits,
            self.health,
            self.supervisors,
            self.readiness,
            self.database,
            self.endpoints.responses,
            self.notifying.counts,
        )


@contextlib.asynccontextmanager
async def running(settings: Settings, shared: Shared | None = None) -> AsyncIterator[Node]:
    """A node that serves until the block is left, which drains it; with `shared` as one of a cluster. Raises
    GochatError if it can't start."""
    data = Path(settings.node.data)
    folder.make(data)
    with folder.locked(data):
        async with running_in_locked(settings, shared) as node:
            yield node


@contextlib.asynccontextmanager
async def running_in_locked(settings: Settings, shared: Shared | None = None) -> AsyncIterator[Node]:
    """The same in a folder that the caller has locked; for a node of a cluster since before it read there which node
    that is."""
    data = Path(settings.node.data)
    if shared is None:
        folder.check_servable(data)
    if not settings.auth.configured and make_secret(data):
        log.info("made the secret that signs tokens", extra={"file": str(data / FILE_NAME)})
    open_store = partial(stores.open, folder.database(data))
    async with running_on(open_store, RulesInForce(settings.policy), settings, shared) as node:
        yield node


class OpenStore(Protocol):
    """Opens a node's store."""

    def __call__(
        self, *, policy: ContactPolicy, ticks: TurnQueue, notices: bool
    ) -> contextlib.AbstractAsyncContextManager[stores.Store]:
        """See `store.open_store`."""


@contextlib.asynccontextmanager
async def running_on(
    open_store: OpenStore, rules: RulesInForce, settings: Settings, shared: Shared | None = None
) -> AsyncIterator[Node]:
    """The same over a store that the caller opens, which no lock keeps to one process; a key must be configured, or be
    in the folder. Raises GochatError if it can't start."""
    if shared is not None and (settings.retention.group_days or settings.retention.private_days):
        raise ConfigError("retention", "the settings", "texts can't expire in a cluster yet: set both periods to 0")
    node = Node(settings)
    node.database = folder.database(Path(settings.node.data))
    node.rules = rules
    async with _started(node, auth.tokens(settings), open_store, shared):
        yield node


@contextlib.asynccontextmanager
async def _in_cluster(store: stores.Store, shared: Shared | None) -> AsyncIterator[stores.Store]:
    """The store with the journal of the cluster, or as it is."""
    if shared is None:
        yield store
        return
    async with joined(store.replica, shared) as journal:
        yield store._replace(journal=journal)


@contextlib.asynccontextmanager
async def _started(
    node: Node, tokens: auth.JwtTokens, open_store: OpenStore, shared: Shared | None
) -> AsyncIterator[None]:
    settings = node.settings
    run_queue = RunQueue()
    async with (
        open_store(
            policy=bounds.contact_policy(settings), ticks=run_queue, notices=bool(settings.notify.channels)
        ) as opened,
        _in_cluster(opened, shared) as store,
        Supervisor("node") as services,
        Supervisor("actors") as actors,
        trio.open_nursery() as sessions,
    ):
        node.commits, node.health, node.supervisors = store.commits, store.health, (services, actors)
        spawn = partial(_spawn, sessions)
        since_ms = now_ms() - (settings.auth.max_lifetime_s + 2 * settings.auth.leeway_s) * 1000
        standing = Standing(await store.lookups.standing(since_ms), node.jumps)
        neighbours = None if shared is None else Neighbours(shared, node.live, store, settings.limits.sessions, now_ms)
        if neighbours is None:
            notifying = Notifying(settings, store.notices, store.journal, node.live, standing, now_ms)
        else:
            notifying = Notifying(
                settings,
                neighbours.notices,
                store.journal,
                node.live,
                standing,
                now_ms,
                neighbours.notifier,
                neighbours.push_secret,
            )
        rooms, users = _registries(node, store, actors, run_queue, notifying.observers, shared is not None)
        others = None if neighbours is None else neighbours.others
        node.gateway = _gateway(node, store, tokens, standing, users, rooms, spawn, notifying.context, others)
        node.notifying = notifying
        store.journal.enforce(partial(enforce, node.gateway))
        if neighbours is not None:
            node.internal = neighbours.serve(node.gateway, services)
        # From here on batches of other nodes are told: nothing of them may come before all who hear of them are there.
        store.journal.listen(partial(_hear, rooms, users, node.live, notifying.observers))
        if neighbours is not None:
            neighbours.listen(rooms, node.gateway.sessions)
            services.start(Spec("neighbours", neighbours.soft.run))
        _start_services(services, node, store, rooms, users)
        await _listen(node, spawn, sessions)
        services.start(Spec("compile rules", partial(trio.to_thread.run_sync, node.rules.warm_up), "temporary"))
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                await _drain(node, rooms)
            sessions.cancel_scope.cancel()


def _start_services(
    services: Supervisor, node: Node, store: stores.Store, rooms: Registry[RoomActor], users: Registry[UserActor]
) -> None:
    settings = node.settings
    services.start(Spec("wheel", node.timer_wheel.run))
    services.start(Spec("poller", node.poller.run))
    services.start(Spec("slow readers", _spreader(node).run))
    services.start(Spec("seen", partial(keep_seen, node.live.users, _seen_by(store.journal), now_ms)))
    services.start(Spec("sweep", partial(drop_idle, node.live, rooms, users, settings.rooms.idle_s)))
    services.start(Spec("notifications", node.notifying.run, "temporary"))
    if settings.retention.group_days or settings.retention.private_days:
        # The clock is looked up each time: tests set another one.
        expiring = partial(expire_texts, settings.retention, store.retention, rooms, lambda: now_ms())
        services.start(Spec("retention", expiring))


def _hear(
    rooms: Registry[RoomActor],
    users: Registry[UserActor],
    live: Live,
    observers: tuple[Observer, ...],
    batch: ForeignBatch,
) -> bool:
    """See `ports.OnForeign`."""
    concerns_us = hear(rooms, live, batch, observers)
    debit(users, batch)
    return concerns_us


def _spreader(node: Node) -> Spreader:
    limits, sessions = node.settings.limits, node.gateway.sessions
    return Spreader(
        node.gateway.waiting,
        lambda: (session.outbox for session in sessions.values()),
        limits.outbox_total_bytes,
        limits.outbox_bytes,
    )


def _seen_by(journal: Journal) -> Callable[[str, int], None]:
    return lambda user, ts: journal.note_user(user, last_seen=ts)


def _registries(
    node: Node,
    store: stores.Store,
    actors: Supervisor,
    run_queue: RunQueue,
    observers: tuple[Observer, ...],
    shared: bool,
) -> tuple[Registry[RoomActor], Registry[UserActor]]:
    settings, mailbox = node.settings, node.settings.limits.mailbox
    actors.start(Spec("run queue", run_queue.run))
    actors.start(Spec("broadcaster", node.live.broadcaster.run))
    live, archive = node.live, store.archive
    actors.start(
        Spec("presence", partial(refresh_stale, live.watches, live.presence, archive.acquainted, archive.onlookers))
    )
    room_context = RoomContext(
        store.journal,
        store.lookups,
        node.live,
        bounds.room_rules(settings),
        node.jumps,
        mailbox,
        RecentKeys(RECENT_KEYS),
        settings.policy.group_adds == "contacts",
        store.archive.users,
        observers,
        shared,
    )
    rooms: Registry[RoomActor] = Registry(actors, run_queue, partial(RoomActor, context=room_context), MOST_ACTORS)
    user_context = UserContext(
        node.live,
        rooms,
        store.journal,
        node.jumps,
        node.timer_wheel,
        bounds.user_limits(settings),
        node.rules,
        mailbox,
    )
    users: Registry[UserActor] = Registry(actors, run_queue, partial(UserActor, context=user_context), MOST_ACTORS)
    return rooms, users


def _gateway(
    node: Node,
    store: stores.Store,
    tokens: auth.JwtTokens,
    standing: Standing,
    users: Registry[UserActor],
    rooms: Registry[RoomActor],
    spawn: Spawn,
    notifications: NotifyContext,
    others: OtherNodes | None,
) -> Gateway:
    settings = node.settings
    return Gateway(
        node=node.name,
        server=f"gochat/{gochat.__version__}",
        journal=store.journal,
        archive=store.archive,
        tokens=tokens,
        standing=standing,
        notifications=notifications,
        rules=node.rules,
        after_leaving=settings.history.after_leaving,
        live=node.live,
        users=users,
        rooms=rooms,
        limits=bounds.told_limits(settings),
        bounds=bounds.session_bounds(settings),
        timer_wheel=node.timer_wheel,
        spawn=spawn,
        overview=node.overview,
        sessions={},
        waiting=WaitingBytes(),
        others=others,
    )


def _spawn(nursery: trio.Nursery, task: Callable[[], Awaitable[None]]) -> None:
    """Start a task whose failure is its own affair."""
    nursery.start_soon(_walled, task)


async def _walled(task: Callable[[], Awaitable[None]]) -> None:
    try:
        await task()
    except Exception:
        log.exception("a task of a session crashed")


# ---------------------------------------------------------------------------------------------- listening


async def _listen(node: Node, spawn: Spawn, nursery: trio.Nursery) -> None:
    settings = node.settings
    node.connections = bounds.connections(settings)
    node.endpoints = endpoints = Endpoints(
        node.gateway, spawn, settings, node.readiness, node.metrics, node.poller, node.internal
    )
    context = Context(settings, node.connections, endpoints, tls_context(settings), nursery)
    for row in TRANSPORTS:
        if row.session_label:
            node.live.counts.sessions[row.session_label] = 0
        if bind := row.bind(settings):
            try:
                listening = await row.listen(row, bind, context)
            except CantListen as error:
                raise CantListen(f"{row.setting}: {error}") from error
            node._listening.append(listening)
            node.addresses += ((listening.name, address) for address in listening.addresses)


# ---------------------------------------------------------------------------------------------- stopping


async def _drain(node: Node, rooms: Registry[RoomActor]) -> None:
    """Let everybody go in order, within `node.drain_s`."""
    node.drain()
    grace = node.settings.node.drain_s
    for listening in node._listening:
        listening.stop(grace)
    node.endpoints.drain()
    sessions = list(node.gateway.sessions.values())
    # Half of the time for the sessions, spread so that they do not all knock at the next node in one instant.
    spread_ms = int(grace * 1000 / 2)
    for session in sessions:
        session.send(replies.Goaway(reason="draining", reconnect_ms=random.randint(0, spread_ms)))
    with trio.move_on_after(grace / 2):
        # Polled, once in a node's life: an event would cost every turn of every room.
        while not all(room.idle for room in rooms):  # noqa: ASYNC110
            await trio.sleep(POLL_S)
    for session in sessions:
        session.close(DRAINING, "draining", Denied("unavailable", "the node is draining"))
    with trio.move_on_after(grace / 4):
        while node.connections.statistics().open:  # noqa: ASYNC110
            await trio.sleep(POLL_S)
