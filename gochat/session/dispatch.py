"""How a session carries out a frame, by its request's row in the catalogue.

Commands go to the user's actor; a `Pending` turns their outcome into the reply. Requests that are answered from data
run as jobs of the session (`queries`). A `hello` signs the session in (`sign_in`).
"""

from __future__ import annotations

import logging
from functools import partial

from gochat.actors.actor import INTERNAL
from gochat.actors.user import UserActor
from gochat.errors import VIOLATION, Denied, Full
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import CATALOGUE
from gochat.protocol.codec import BadFrame
from gochat.protocol.problems import DECODING
from gochat.session import replay
from gochat.session.pending import Pending
from gochat.session.positions import CLOSED, NEW
from gochat.session.queries import answer
from gochat.session.session import Session
from gochat.session.sign_in import greet

log = logging.getLogger(__name__)


class ClientSession(Session):
    """The session of one client, as a transport's connection makes it."""

    __slots__ = ()

    def _carry_out(self, payload: bytes) -> None:
        if self.state == CLOSED or self.connection.closing is not None:
            return
        self.budget -= 1
        try:
            try:
                request = self.codec.decode_request(payload)
            except DECODING as error:
                self._bad_frame(self.codec.bad_frame(payload, error))
                return
            actor = self.actor
            if actor is None:
                self._first(request)
                return
            row = self.granted.get(type(request))
            if row is None:
                self._not_granted(actor, request)
                return
            if row.to_command is None:
                self._answer(actor, request)
                return
            if row.cost == "ephemeral":
                actor.quota.read()
            command = row.to_command(request, self.principal, self.gateway.limits)
            if isinstance(command, Denied):
                self.deny(request.id, command)
                return
            self.in_flight += 1
            mail = Pending(
                command=command, session=self, request_id=request.id, confirmation=row.confirmation, origin=self
            )
            try:
                actor.tell(mail)
            except Full as full:
                mail.reply(Denied("busy", str(full), retry_after_ms=200))
                mail.flush()
            except Exception:
                log.exception("a command of %s could not be told to its actor", self.user)
                mail.reply(INTERNAL)  # The request's credit comes back.
                mail.flush()
        except Exception:
            log.exception("a frame of %s crashed its session", self.user or self.connection.peer)
            # Read again, for its id: where nothing crashes nobody has to keep that.
            crashed = self.codec.decode(payload).id
            self.reply(replies.Error(id=crashed, code="internal", message="a fault of the server", temporary=False))

    def _answer(self, actor: UserActor, request: req.AnyRequest) -> None:
        """Answer a request that makes no command: at once, or by a job. Each of them counts as a read."""
        kind = type(request)
        actor.quota.read()
        if kind is req.Ping:
            self.reply(replies.Pong(id=request.id))
        elif kind is req.Pong:
            self.connection.peer_answers = True
        elif kind is req.Hello:
            self.deny(request.id, Denied("conflict", "this session has said hello"))
        else:
            self.in_flight += 1
            job = partial(answer, self, request)
            if CATALOGUE[kind].cost == "search":
                self.start_search(job)
            else:
                self.start_job(job)

    def _not_granted(self, actor: UserActor, request: req.AnyRequest) -> None:
        row = CATALOGUE[type(request)]
        if row.to_command is None:
            actor.quota.read()
        self.deny(request.id, Denied("forbidden", f"the token lacks the scope {row.scope}"))

    def _first(self, request: req.AnyRequest) -> None:
        if not isinstance(request, req.Hello):
            self.fail(Denied("bad_request", "the first frame is always a hello"), VIOLATION, request.id)
            return
        self.begin_greeting()
        self.gateway.spawn(partial(greet, self, request))

    def _bad_frame(self, frame: BadFrame) -> None:
        denied = Denied("bad_request", frame.problem)
        if self.state == NEW:
            self.fail(denied, VIOLATION)
        else:
            self.deny(frame.id, denied)

    async def say_lag(self, room: str) -> None:
        await replay.say_lag(self, room)
