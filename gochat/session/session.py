"""One client's conversation: frames in, commands out; replies and facts in, frames out.

Frames are carried out in the order they came. At most `window` requests are unsettled, and with the outbox over half
full no further one is carried out; what has been read by then waits here, and the transport reads no more. Nothing in
this class waits: what must wait is a job. A session runs its jobs one after the other in two lanes: searches, and all
else, so that a list does not wait behind the session's own search.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import trio

from gochat.connections import BURST, Connection
from gochat.errors import INVALID_TEXT, TOO_LARGE, VIOLATION, Denied
from gochat.ports.tokens import Identity
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import ADMIN, READ, RequestType, granted
from gochat.protocol.codec import Codec
from gochat.protocol.conversation import Principal
from gochat.session.deadlines import Deadlines
from gochat.session.gateway import Gateway
from gochat.session.listener import Job, Listener
from gochat.session.pending import error_frame
from gochat.session.positions import CLOSED, GREETING, NEVER, NEW, OPEN, Lagging

log = logging.getLogger(__name__)

#: The requests that a session may make before it has signed in.
NOTHING: Mapping[type[req.AnyRequest], RequestType] = MappingProxyType({})


class Dispatch(Protocol):
    """Does what frames ask for; one serves all sessions (dispatch.py)."""

    def carry_out(self, session: Session, payload: bytes) -> None:
        """Do what the frame asks for. Must not raise."""

    async def say_lag(self, session: Session, room: str, position: Lagging) -> None:
        """See Listener."""


class Session(Listener):
    """See the module. Transports call it as their Receiver, rooms as their Subscriber."""

    __slots__ = (
        "_inbox",
        "_jobs",
        "_pumping",
        "_readable",
        "_searches",
        "burst_left",
        "credential",
        "deadlines",
        "dispatch",
        "epoch",
        "granted",
        "identity",
        "in_flight",
        "principal",
        "waiting",
        "window",
    )  # fmt: skip

    def __init__(
        self, gateway: Gateway, connection: Connection, codec: Codec, credential: str | None, dispatch: Dispatch
    ) -> None:
        super().__init__(gateway, connection, codec)
        self.dispatch = dispatch
        self.credential = credential
        self.principal = Principal("", False)
        self.granted: Mapping[type[req.AnyRequest], RequestType] = NOTHING
        """The rows of the requests that the token allows."""
        self.identity: Identity | None = None
        self.burst_left = BURST
        self.waiting = False
        self._inbox: deque[bytes] | None = None
        self._readable: trio.Event | None = None
        self.in_flight = 0
        self.window = gateway.limits.window
        """Requests that may be unsettled now; less than usual while the user has cost too much (actors/quota.py)."""
        self.epoch = ""
        """Of the log as the welcome tells it: that of the moment at which the session signed in. With another one the
        session is closed."""
        self._pumping = False
        self._jobs: deque[Job] | None = None
        self._searches: deque[Job] | None = None
        self.outbox.when_space(self._on_space)
        self.deadlines = Deadlines(self)

    # ------------------------------------------------------------------------------------------ from the transport

    def receive(self, payload: bytes) -> None:
        outbox = self.outbox
        if self._inbox is not None:
            self._inbox.append(payload)
        elif (  # The same as `_may_go_on`, without the call: this is asked for every frame.
            self.in_flight < self.window
            and self.burst_left > 0
            and outbox.size * 2 <= outbox.limit
            and self.state != GREETING
        ):
            self.dispatch.carry_out(self, payload)
        else:
            self._inbox = deque((payload,))
            self.waiting = True

    async def wait_readable(self) -> None:
        while self.waiting and not self.is_over() and not self.outbox.broken:
            if self.burst_left <= 0:
                await trio.lowlevel.checkpoint()
                self.burst_left = BURST
                self.pump()
                continue
            if self._readable is None:
                self._readable = trio.Event()
            await self._readable.wait()

    @property
    def oversees(self) -> bool:
        return self.principal.admin

    async def wait_settled(self) -> None:
        while self._owes_replies() and not self.outbox.crowded:
            if self.is_over() or self.outbox.broken:
                return
            await self._next_settling()
        if not self._inbox:
            self._inbox = None
            self.waiting = False

    def wake(self) -> None:
        self._wake_reader()

    async def wait_answered(self) -> None:
        while self._owes() and not self.is_over() and not self.outbox.broken:
            await self._next_settling()
        self.since = NEVER

    async def _next_settling(self) -> None:
        """Return when something that was received has been carried out or answered."""
        if self._inbox is None:
            self._inbox = deque()
        self.waiting = True  # The next request to be settled pumps, which wakes this task.
        if self.burst_left <= 0:
            await trio.lowlevel.checkpoint()
            self.burst_left = BURST
            self.pump()
            return
        if self._readable is None:
            self._readable = trio.Event()
        await self._readable.wait()

    def _owes_replies(self) -> bool:
        return bool(self._inbox) or self.in_flight > 0 or self.state == GREETING

    def _owes(self) -> bool:
        """Whether something that was received has not been answered to its end, replays included."""
        return self._owes_replies() or self._jobs is not None or self._searches is not None

    def too_large(self) -> None:
        most = self.gateway.limits.frame_bytes
        if self.state == NEW:
            most = max(most, req.FIRST_FRAME_BYTES)
        self.fail(Denied("too_large", f"a frame has at most {most} bytes"), TOO_LARGE)

    def invalid_text(self) -> None:
        self.close(INVALID_TEXT, "text that is not UTF-8")

    def violated(self, problem: str) -> None:
        self.fail(Denied("bad_request", problem), VIOLATION)

    def ended(self) -> None:
        if self.state == CLOSED:
            return
        self.state = CLOSED
        if self.actor is not None:
            self.leave_all()
            _, reason = self.connection.closing or (0, "the peer left")
            log.info("%s: session ended: %s", self.user, reason, extra={"session": self.id})
        self._inbox = None
        for lane in (self._jobs, self._searches):
            if lane is not None:
                lane.clear()
        self.waiting = False
        self.outbox.when_space(None)
        self.deadlines.forget()
        self._wake_for_space()
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._readable is not None:
            self._readable.set()
            self._readable = None

    # ------------------------------------------------------------------------------------------ carrying out

    def _may_go_on(self) -> bool:
        outbox = self.outbox
        return (
            self.state != GREETING
            and self.burst_left > 0
            and self.in_flight < self.window
            and outbox.size * 2 <= outbox.limit
        )

    def pump(self) -> None:
        """Carry out what waits, as far as may be."""
        if self._inbox is None or self._pumping:
            return
        self._pumping = True
        try:
            while self._inbox and self._may_go_on() and self.state != CLOSED:
                self.dispatch.carry_out(self, self._inbox.popleft())
        finally:
            self._pumping = False
        if not self._inbox:
            self._inbox = None
            self.waiting = False
        if not self.waiting or self.burst_left <= 0:
            self._wake_reader()

    # ------------------------------------------------------------------------------------------ to the peer

    def denied(self, denied: Denied, close: int | None = None) -> None:
        """Count a refusal, and with which number it closes."""
        if self.actor is not None:  # Before the sign-in any refusal closes.
            self.actor.quota.refused()
        counts = self.gateway.live.counts
        counts.denials[denied.code] += 1
        counts.refused_by(denied.rule)
        if close is not None:
            counts.closes[close] += 1

    def repeated(self) -> None:
        """A request had been carried out before: it costs the user as much as one that is refused."""
        if self.actor is not None:
            self.actor.quota.refused()

    def deny(self, request_id: replies.ReplyId, denied: Denied) -> None:
        self.denied(denied)
        self.reply(error_frame(request_id, denied))

    def fail(self, denied: Denied, number: int, request_id: replies.ReplyId = None) -> None:
        """Say what is wrong, and close."""
        if self.state == CLOSED or self.connection.closing is not None:
            return
        self.denied(denied, number)
        self.reply(error_frame(request_id, denied, number))
        self.connection.finish(number, denied.message[:120])
        self._wake_reader()

    def close(self, number: int, reason: str, denied: Denied | None = None) -> None:
        """Close without an error of the peer's; where there is no close frame the number stands in a last error."""
        if self.connection.closing is None:
            self.gateway.live.counts.closes[number] += 1
            if not self.connection.tells_close:
                why = denied or Denied("unavailable", reason)
                self.send(error_frame(None, why, number))
        self.connection.finish(number, reason)
        self._wake_reader()

    def abort(self) -> None:
        super().abort()
        self._wake_reader()

    async def say_lag(self, room: str, position: Lagging) -> None:
        await self.dispatch.say_lag(self, room, position)

    # ------------------------------------------------------------------------------------------ jobs

    def start_job(self, job: Job) -> None:
        """Run something that waits; these jobs run one at a time, in order. Their number is bounded: each is a request
        within the window, or the one replay of a room."""
        if self._jobs is not None:
            self._jobs.append(job)
            return
        self._jobs = deque((job,))
        self.gateway.spawn(self._work)

    def start_search(self, job: Job) -> None:
        """The same in the lane of searches."""
        if self._searches is not None:
            self._searches.append(job)
            return
        self._searches = deque((job,))
        self.gateway.spawn(self._search)

    def _on_space(self) -> None:
        self._wake_for_space()
        if self.outbox.broken:
            self._wake_reader()  # It finds out that the peer is gone.
            return
        if self.state == OPEN:
            self.tell_lag()
            self.pump()

    async def _work(self) -> None:
        try:
            await self._run_all(self._jobs)
        finally:
            self._jobs = None
            self._wake_reader()

    async def _search(self) -> None:
        try:
            await self._run_all(self._searches)
        finally:
            self._searches = None
            self._wake_reader()

    async def _run_all(self, lane: deque[Job] | None) -> None:
        try:
            while lane:
                await lane.popleft()()
        except Exception:
            # A job answers for itself; what it did not foresee leaves the session in a state that nobody knows.
            log.exception("a job of %s crashed", self.user)
            self.abort()

    # ------------------------------------------------------------------------------------------ signing in and out

    def signed_in(self, identity: Identity, expires_at: float | None) -> None:
        """Take an identity on: at hello, and at each refresh."""
        self.identity = identity
        self.user = identity.user
        self.principal = Principal(identity.user, ADMIN in identity.scopes)
        self.granted = granted(identity.scopes)
        self.deadlines.end_at(expires_at)

    @property
    def may_read(self) -> bool:
        return self.identity is not None and (READ in self.identity.scopes or self.principal.admin)
