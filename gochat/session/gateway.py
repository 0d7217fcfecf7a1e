"""The parts of a node that all of its sessions share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
import trio

from gochat.actors.actor import Registry
from gochat.actors.live import Live
from gochat.actors.mailbox_watch import MailboxWatch
from gochat.actors.room import RoomActor
from gochat.actors.timer_wheel import TimerWheel
from gochat.actors.user import CurrentRules, UserActor
from gochat.auth.standing import Standing
from gochat.connections import Connection, Outbox
from gochat.errors import Denied
from gochat.notify.context import NotifyContext
from gochat.ports.archive import Archive
from gochat.ports.journal import Journal
from gochat.ports.tokens import Identity, Tokens
from gochat.protocol.replies import Limits, Overview
from gochat.session.refusals import Refusals
from gochat.transports.outbox import Spawn, WaitingBytes

T = TypeVar("T")


class SessionBounds(msgspec.Struct, frozen=True):
    """A session's deadlines, in seconds, and the bound of its outbox in bytes."""

    hello_s: float = 10.0
    heartbeat_s: float = 30.0
    slow_s: float = 30.0
    token_grace_s: float = 25.0
    outbox_bytes: int = 1 << 20


class SignedIn(Protocol):
    """A session in the node's table, as the code sees it that walks the table."""

    id: str
    user: str
    device: str | None
    signed_in_ns: int
    """On the wall clock."""
    identity: Identity | None
    connection: Connection

    @property
    def outbox(self) -> Outbox:
        """The connection's."""

    def send(self, frame: msgspec.Struct) -> None:
        """An event that must arrive; queued whatever the outbox holds."""

    def close(self, number: int, reason: str, denied: Denied | None = None) -> None:
        """Close in order, with a number of errors.CLOSES. `denied` says more where there is no close frame."""

    def ended(self) -> None:
        """It is over: out of all tables, this one too."""


class OtherNodes(Protocol):
    """The other nodes of the cluster, as they are asked for something that one user wants to know."""

    async def ask_all(
        self,
        path: str,
        question: bytes,
        decode: Callable[[bytes], T],
        *,
        within_s: float,
        enough: Callable[[T], bool] | None = None,
    ) -> tuple[list[T], list[str]]:
        """Ask all of them at once. Returns what `decode` made of the answers, and the names of the nodes that gave
        none within that time, or one that `decode` refused with msgspec's errors; they may have done what was asked
        all the same. Nodes that were silent a moment ago count as silent and are not asked. `enough`: with an answer
        for which it holds the others are waited for no more, and counted as silent no more."""


def unknown() -> Overview:
    """The overview of a gateway that belongs to no node."""
    return Overview(node="", server="", ts=0, ready=False, checks=[], metrics={}, supervisors=[])


class Gateway(msgspec.Struct, kw_only=True, frozen=True):
    """Built once by the node. `spawn` starts a task that lives as long as the node's sessions; what it raises ends
    no other."""

    node: str
    server: str
    journal: Journal
    archive: Archive
    tokens: Tokens
    live: Live
    users: Registry[UserActor]
    rooms: Registry[RoomActor]
    limits: Limits
    bounds: SessionBounds
    timer_wheel: TimerWheel
    after_leaving: bool
    """Whether a group may still be read up to where one's time in it ended."""
    rules: CurrentRules
    """The rules for words and links, for the names that are shown."""
    notifications: NotifyContext
    """The part of notifications that sessions use."""
    standing: Standing
    """Tells which users and tokens are shut out although the token is good."""
    spawn: Spawn
    refusals: Refusals = msgspec.field(default_factory=Refusals)
    sessions: dict[str, SignedIn]
    """Live sessions by their id."""
    mailboxes: MailboxWatch = msgspec.field(default_factory=MailboxWatch)
    overview: Callable[[], Overview] = msgspec.field(default=unknown)
    """The state of the node, as the node composes it: sessions know only a part."""
    others: OtherNodes | None = None
    """None: there are none, or they can't be asked."""
    waiting: WaitingBytes
    """Counts the bytes that wait for the readers of all sessions."""


def in_trio_time(unix_s: float) -> float:
    """A moment of the wall clock on trio's clock, which no step of the wall clock moves."""
    return trio.current_time() + unix_s - time.time()
