"""The deadlines of a session: a hello in time, signs of life, the end of its token, a peer that reads nothing."""

from __future__ import annotations

import math
from typing import Protocol

import trio

from gochat.connections import Connection, Outbox
from gochat.errors import NO_HEARTBEAT, SLOW, TOKEN_ENDED, Denied
from gochat.protocol.codec import Codec
from gochat.session.gateway import Gateway
from gochat.session.positions import GREETING, NEW, OPEN


class Timed(Protocol):
    """A session, as its deadlines see it."""

    state: int
    waiting: bool
    """Whether frames wait here, so that nothing more is read."""
    gateway: Gateway
    connection: Connection
    outbox: Outbox
    codec: Codec

    def close(self, number: int, reason: str, denied: Denied | None = None) -> None:
        """Close in order, with a number of errors.CLOSES."""

    def abort(self) -> None:
        """Close at once."""


class Deadlines:
    """One session's. It is in the node's timer wheel from `begin` on, until the session is closed or is no more."""

    __slots__ = ("_check_at", "_ends_at", "_pinged_at", "_session")

    def __init__(self, session: Timed) -> None:
        """The session has `hello_s` to be welcomed in."""
        self._session: Timed | None = session
        self._check_at = math.inf
        self._ends_at: float | None = None
        """When the session ends with its token."""
        self._pinged_at: float | None = None
        gateway = session.gateway
        if gateway.bounds.slow_s < gateway.bounds.heartbeat_s:
            session.outbox.when_blocked(self._blocked)
        gateway.timer_wheel.add(_HelloDeadline(session), trio.current_time() + gateway.bounds.hello_s)

    def begin(self) -> None:
        """The session is open: its deadlines count from now on."""
        session = self._session
        assert session is not None
        self._check_by(session, trio.current_time() + session.gateway.bounds.heartbeat_s)
        if self._ends_at is not None:
            self._check_by(session, self._ends_at)

    def end_at(self, expires_at: float | None) -> None:
        """The token ends then, on trio's clock; None: never."""
        session = self._session
        if session is None:
            return
        self._ends_at = None if expires_at is None else expires_at + session.gateway.bounds.token_grace_s
        if self._ends_at is not None and self._check_at < math.inf:
            self._check_by(session, self._ends_at)

    def forget(self) -> None:
        """The session is over."""
        if self._session is not None:
            self._session.outbox.when_blocked(None)
            self._session = None  # The two would hold each other.

    def _check_by(self, session: Timed, at: float) -> None:
        """Be checked at `at`, or earlier. The wheel keeps the later entry: `check` drops it when it comes. Deadlines
        move forward at most once in `slow_s` and once a `refresh`, so that few such entries wait."""
        if at < self._check_at:
            self._check_at = at
            session.gateway.timer_wheel.add(self, at)

    def _blocked(self) -> None:
        """The kernel takes no more bytes. Asked for only where the next heartbeat may be later than `slow_s`."""
        if self._session is not None and self._check_at < math.inf:
            self._check_by(self._session, trio.current_time() + self._session.gateway.bounds.slow_s)

    # ------------------------------------------------------------------------------------------ what is due

    def check(self, now: float) -> float | None:
        if self._session is None or now < self._check_at:
            return None  # An entry from before the deadline came nearer.
        due = self._check(self._session, now)
        self._check_at = math.inf if due is None else due
        return due

    def _check(self, session: Timed, now: float) -> float | None:
        """Do what is due; when there will be something due again, or None: never."""
        connection, bounds = session.connection, session.gateway.bounds
        if session.state != OPEN or connection.closing is not None:
            return None
        if self._ends_at is not None and now >= self._ends_at:
            session.close(TOKEN_ENDED, "the token has ended", Denied("unauthorized", "the token has ended"))
            return None
        outbox, due = session.outbox, now + bounds.heartbeat_s
        if outbox.broken:
            session.abort()
            return None
        if connection.max_silence_s is not None:
            due = _silence(session, now, connection.max_silence_s)
        elif not outbox.writing:
            due = min(due, self._heartbeat(session, now))
        elif now - outbox.progress_at >= bounds.slow_s:
            session.close(SLOW, "nothing was read", Denied("unavailable", "nothing was read"))
            session.abort()
            return None
        if outbox.writing and connection.max_silence_s is None:
            due = min(due, outbox.progress_at + bounds.slow_s)  # A ping may have been what was not taken.
        return due if self._ends_at is None else min(due, self._ends_at)

    def _heartbeat(self, session: Timed, now: float) -> float:
        connection, beat = session.connection, session.gateway.bounds.heartbeat_s
        if session.waiting:
            return now + beat  # The server itself is not reading: silence says nothing of the peer.
        if now - connection.heard < beat:
            self._pinged_at = None
            return connection.heard + beat
        if self._pinged_at is None or self._pinged_at < connection.heard:
            self._pinged_at = now
            connection.ping(session.codec)
            return now + beat
        if now - self._pinged_at >= beat:
            if connection.peer_answers:
                session.close(NO_HEARTBEAT, "no sign of life", Denied("unavailable", "no sign of life"))
                return now + beat
            # A peer that never answered may be unable to, as `nc` is: TCP itself finds out whether the peer lives.
            self._pinged_at = now
            connection.ping(session.codec)
        return now + beat


def _silence(session: Timed, now: float, max_silence_s: float) -> float:
    """The peer can't be pinged: it is given up when it has asked nothing for that long."""
    ends_at = session.connection.heard + max_silence_s
    if now >= ends_at:
        session.close(NO_HEARTBEAT, "no sign of life", Denied("unavailable", "no sign of life"))
        return now + max_silence_s
    return ends_at


class _HelloDeadline:
    """Ends a session that has not been welcomed in time."""

    __slots__ = ("_session",)

    def __init__(self, session: Timed) -> None:
        self._session = session

    def check(self, now: float) -> None:
        session = self._session
        if session.state in (NEW, GREETING):
            session.close(NO_HEARTBEAT, "no hello in time", Denied("unauthorized", "no hello in time"))
