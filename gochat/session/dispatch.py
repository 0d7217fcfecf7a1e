"""How a session carries out a frame, by its request's row in the catalogue.

Commands go to the user's actor; a `Pending` turns their outcome into the reply. Requests that are answered from data
run as jobs of the session (`queries`). A `hello` signs the session in (`sign_in`).
"""

from __future__ import annotations

import logging
from functools import partial

from gochat.actors.actor import INTERNAL
from gochat.actors.user import UserActor
from gochat.connections import Connection
from gochat.errors import VIOLATION, Denied, Full
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import CATALOGUE
from gochat.protocol.codec import BadFrame, Codec
from gochat.protocol.problems import DECODING
from gochat.session import replay
from gochat.session.gateway import Gateway
from gochat.session.pending import Pending
from gochat.session.positions import CLOSED, NEW, Lagging
from gochat.session.queries import answer
from gochat.session.session import Session
from gochat.session.sign_in import greet

log = logging.getLogger(__name__)


class Requests:
    """The Dispatch of a node's sessions. It keeps nothing."""

    __slots__ = ()

    def carry_out(self, session: Session, payload: bytes) -> None:
        if session.state == CLOSED or session.connection.closing is not None:
            return
        session.burst_left -= 1
        try:
            try:
                request = session.codec.decode_request(payload)
            except DECODING as error:
                _bad_frame(session, session.codec.bad_frame(payload, error))
                return
            actor = session.actor
            if actor is None:
                _first(session, request)
                return
            row = session.granted.get(type(request))
            if row is None:
                _not_granted(session, actor, request)
                return
            if row.to_command is None:
                _answer(session, actor, request)
                return
            if row.cost == "ephemeral":
                actor.quota.read()
            command = row.to_command(request, session.principal, session.gateway.limits)
            if isinstance(command, Denied):
                session.deny(request.id, command)
                return
            session.in_flight += 1
            mail = Pending(
                command=command, session=session, request_id=request.id, confirmation=row.confirmation, origin=session
            )
            try:
                actor.tell(mail)
            except Full as full:
                mail.reply(Denied("busy", str(full), retry_after_ms=200))
                mail.flush()
            except Exception:
                log.exception("a command of %s could not be told to its actor", session.user)
                mail.reply(INTERNAL)  # The request's credit comes back.
                mail.flush()
        except Exception:
            log.exception("a frame of %s crashed its session", session.user or session.connection.peer)
            # Read again, for its id: where nothing crashes nobody has to keep that.
            crashed = session.codec.decode(payload).id
            session.reply(replies.Error(id=crashed, code="internal", message="a fault of the server", temporary=False))

    async def say_lag(self, session: Session, room: str, position: Lagging) -> None:
        await replay.say_lag(session, room, position)


def _answer(session: Session, actor: UserActor, request: req.AnyRequest) -> None:
    """Answer a request that makes no command: at once, or by a job. Each of them counts as a read."""
    kind = type(request)
    actor.quota.read()
    if kind is req.Ping:
        session.reply(replies.Pong(id=request.id))
    elif kind is req.Pong:
        session.connection.peer_answers = True
    elif kind is req.Hello:
        session.deny(request.id, Denied("conflict", "this session has said hello"))
    else:
        session.in_flight += 1
        job = partial(answer, session, request)
        if CATALOGUE[kind].cost == "search":
            session.start_search(job)
        else:
            session.start_job(job)


def _not_granted(session: Session, actor: UserActor, request: req.AnyRequest) -> None:
    row = CATALOGUE[type(request)]
    if row.to_command is None:
        actor.quota.read()
    session.deny(request.id, Denied("forbidden", f"the token lacks the scope {row.scope}"))


def _first(session: Session, request: req.AnyRequest) -> None:
    if not isinstance(request, req.Hello):
        session.fail(Denied("bad_request", "the first frame is always a hello"), VIOLATION, request.id)
        return
    session.begin_greeting()
    session.gateway.spawn(partial(greet, session, request))


def _bad_frame(session: Session, frame: BadFrame) -> None:
    denied = Denied("bad_request", frame.problem)
    if session.state == NEW:
        session.fail(denied, VIOLATION)
    else:
        session.deny(frame.id, denied)


_REQUESTS = Requests()


def client_session(gateway: Gateway, connection: Connection, codec: Codec, credential: str | None) -> Session:
    """The session of one client, as a transport's connection makes it."""
    return Session(gateway, connection, codec, credential, _REQUESTS)
