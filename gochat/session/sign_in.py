"""`hello`: proves who the user is, shows what the user has, and settles from where on each room is heard.

The session is in its user's table before the welcome is read, and takes notes of what it is told meanwhile. The
welcome says how new it is; what was committed later is caught up from the log. So nothing falls between, and nothing
comes twice.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time

import trio

from gochat.actors.quota import SIGN_IN
from gochat.actors.timer_wheel import SLOT_S
from gochat.auth.fetched import KeysUnavailable
from gochat.domain.ids import is_dm
from gochat.errors import (
    BAD_TOKEN,
    NO_TOKEN,
    SLOW,
    VIOLATION,
    AuthError,
    Denied,
    Full,
    NotCurrent,
    StoreError,
    store_refusal,
)
from gochat.ports.archive import Snapshot
from gochat.ports.tokens import Identity
from gochat.protocol import replies
from gochat.protocol.catalogue import ADMIN
from gochat.protocol.requests import Hello, Position
from gochat.session.gateway import Gateway, in_trio_time
from gochat.session.positions import NEVER, REPLAY_ALL, Lagging, Replaying, RoomEvent
from gochat.session.replay import start_replays
from gochat.session.session import Session

log = logging.getLogger(__name__)

CONTACTS = 15
RESUME_ROOMS = 1000
NOT_NOW = "this node can't sign anybody in now"


async def greet(session: Session, hello: Hello) -> None:
    """Sign the session in and welcome it, or say why not and close."""
    gateway = session.gateway
    try:
        identity = await identify(session, hello)
        if isinstance(identity, Denied):
            _refuse(session, hello, identity, BAD_TOKEN if identity.code == "unauthorized" else VIOLATION)
            return
        await _allowed(session, identity)
        if session.is_over():
            return  # Gone meanwhile: in the tables it would stay for ever.
        # Asked here, in one step with entering: a user who is shut out at this very moment is not let in.
        refusal = gateway.standing.refusal(identity)
        if refusal is not None:
            _refuse(session, hello, Denied("unauthorized", refusal), BAD_TOKEN)
            return
        if gateway.journal.behind is not None:
            _refuse(session, hello, Denied("unavailable", NOT_NOW, retry_after_ms=1000), SLOW)
            return
        _enter(session, hello, identity)
        is_current = await _passed_barrier(gateway, identity)
        if gateway.notifications.channels:
            # That the user is here is durable before they know it: what was due is not told after a crash either.
            await gateway.notifications.signed_in(identity)
            await gateway.journal.flush_notes()
        else:
            await gateway.journal.flush_positions()
        snapshot = await gateway.archive.welcome(identity.user, CONTACTS, list(hello.resume), _held(session, hello))
        if not is_current and _may_be_ahead(gateway, hello, snapshot):
            raise StoreError("the client may have facts that this node has not")
    except KeysUnavailable as error:
        # Nothing is known against the token: the client shall come again.
        _refuse(session, hello, Denied("unavailable", str(error), retry_after_ms=5000), SLOW)
        return
    except AuthError as error:
        _refuse(session, hello, Denied("unauthorized", str(error)), BAD_TOKEN)
        return
    except (StoreError, Full) as error:
        log.error("no welcome for %s: %s", session.user, error)
        _refuse(session, hello, store_refusal(error, "the store can't be read now"), SLOW)
        return
    if not session.is_over() and session.events is not None:
        _welcome(session, hello, snapshot, is_current=is_current)


async def _passed_barrier(gateway: Gateway, identity: Identity) -> bool:
    """Whether this node has all that was acknowledged to anybody. While the cluster's log is away that can't be told:
    then the user is welcomed with what is here, and told so. So are operators where it is known that this node has not
    all: it may need them. Others get NotCurrent then. Raises StoreError where what is here may be long out of date."""
    try:
        await gateway.journal.barrier()
    except StoreError as error:
        is_welcome = not isinstance(error, NotCurrent) or ADMIN in identity.scopes
        if gateway.journal.behind is not None or not is_welcome:
            raise
        return False
    return True


def _may_be_ahead(gateway: Gateway, hello: Hello, snapshot: Snapshot) -> bool:
    """Whether the client may have facts that the snapshot has not: it must not be told to forget them. The epoch that
    this node does not have may be the newer one, and the user may be in a group by now that is not known here."""
    epochs = (None, gateway.journal.epoch)
    for room, position in hello.resume.items():
        head = snapshot.heads.get(room, snapshot.former.get(room))
        if head is None:
            if position.seq and not is_dm(room) and room not in snapshot.unreadable:
                return True
        elif position.seq > head or position.epoch not in epochs:
            return True
    return False


async def _allowed(session: Session, identity: Identity) -> None:
    """A sign-in counts among the user's reads, and waits for its turn as they do, but not for ever: a flood under the
    user's name must not keep out the user's other devices."""
    quota = session.gateway.users.at(identity.user).quota
    quota.read(SIGN_IN)
    if not quota.held:
        return
    with trio.move_on_after(session.gateway.bounds.hello_s / 2):
        while not session.is_over() and quota.held:  # noqa: ASYNC110 -- for those alone who cost too much
            await trio.sleep(SLOT_S)


def _held(session: Session, hello: Hello) -> dict[str, int]:
    """The seqs up to which the client holds rooms whose log is still the one it knows; empty if it may hear none."""
    if not session.may_read:
        return {}
    epochs = (None, session.gateway.journal.epoch)
    return {room: position.seq for room, position in hello.resume.items() if position.epoch in epochs}


def _refuse(session: Session, hello: Hello, denied: Denied, number: int) -> None:
    hellos = session.gateway.live.counts.hellos
    hellos[denied.code] = hellos.get(denied.code, 0) + 1
    session.gateway.refusals.tell(session.connection.peer, session.connection.transport, denied.message)
    session.fail(denied, number, hello.id)


async def identify(session: Session, hello: Hello) -> Identity | Denied:
    """The identity that the credential proves: the hello's token, else the handshake's. Or why it proves none."""
    token, session.credential = hello.token or session.credential, None
    if len(hello.resume) > RESUME_ROOMS:
        return Denied("bad_request", f"resume: at most {RESUME_ROOMS} rooms")
    if not token:
        return Denied("unauthorized", NO_TOKEN)
    return await session.gateway.tokens.verify(token)


def _enter(session: Session, hello: Hello, identity: Identity) -> None:
    """Into the tables of the node and of the user."""
    gateway, user = session.gateway, identity.user
    session.actor = actor = gateway.users.at(user)
    session.signed_in(identity, None if identity.expires_s is None else in_trio_time(identity.expires_s))
    session.device = hello.device
    # In one step with entering: whoever is in the table when the epoch changes is closed. The connection may be older.
    session.epoch = gateway.journal.epoch
    session.id = secrets.token_urlsafe(12)
    session.signed_in_ns = time.time_ns()
    gateway.sessions[session.id] = session
    by_transport, transport = gateway.live.counts.sessions, session.connection.transport
    by_transport[transport] = by_transport.get(transport, 0) + 1
    gateway.live.sign_ins[session] = trio.current_time()
    actor.enter(session)
    gateway.live.presence.entered(session.id, user, hello.device)
    session.connection.signed_in()
    # Should the node crash, the user was last seen now, or when it was noted later (seen.py), and not a visit before.
    now_ms = session.signed_in_ns // 1_000_000
    gateway.journal.note_user(user, name=shown_name(gateway, identity), last_seen=now_ms)


def shown_name(gateway: Gateway, identity: Identity) -> str:
    """The token's name, as far as the rules for words and links let it be shown; empty: the id is shown."""
    if identity.name is None:
        return ""
    rules = gateway.rules.current
    if rules.passes(identity.name):
        return identity.name
    verdict = rules.check(identity.name, contacts=False)
    return "" if verdict.denied is not None else verdict.text


def _welcome(session: Session, hello: Hello, snapshot: Snapshot, *, is_current: bool) -> None:
    gateway = session.gateway
    hears = session.may_read
    events = session.open(snapshot.commit if hears else NEVER)
    gateway.live.sign_ins.pop(session, None)
    session.deadlines.begin()
    session.outbox.reply(session.codec.encode(_frame(session, hello, snapshot, incomplete=not is_current)))
    gateway.live.counts.hellos["ok"] += 1
    connection = session.connection
    log.info(
        "%s signed in",
        session.user,
        extra={"session": session.id, "peer": connection.peer, "transport": connection.transport},
    )
    if hears:
        for name, head in itertools.chain(
            ((entry.room, entry.head) for entry in snapshot.rooms), snapshot.others.items()
        ):
            session.enter_group(name, snapshot.since.get(name, 1))
            room = gateway.rooms.get(name)
            if room is not None and room.delivered > head:
                session.put(name, Replaying(head))
        if snapshot.unreadable:
            _hear_unreadable(session, hello.resume, snapshot)
        _resume(session, hello.resume, snapshot)
        if session.missed is not None:
            _catch_up_missed(session, snapshot)
        for event in events:
            _catch_up(session, event)
        if session.positions is not None:
            start_replays(session)
    session.outbox.flush()
    session.pump()


def _hear_unreadable(session: Session, asked: dict[str, Position], snapshot: Snapshot) -> None:
    """Rooms that can't be read are heard all the same, from here on. Where that may leave something out, they lag."""
    for name in snapshot.unreadable:
        if not is_dm(name) and name in snapshot.since and name not in snapshot.others:
            session.enter_group(name, snapshot.since[name])
        room = session.gateway.rooms.get(name)
        if name in asked and name not in snapshot.heads:
            session.put(name, Lagging(told=True))  # The welcome told it.
        elif room is not None and room.delivered > 0 and not is_dm(name):
            session.put(name, Lagging())
            session.tell_lag()


def _catch_up_missed(session: Session, snapshot: Snapshot) -> None:
    """Take in what rooms left out while the welcome was read, as far as it does not hold it."""
    missed = session.take_missed()
    heads = {entry.room: entry.head for entry in snapshot.contacts}
    heads.update((entry.room, entry.head) for entry in snapshot.rooms)
    heads |= snapshot.others | snapshot.heads
    for room, last in missed.items():
        if is_dm(room) or room in (session.groups or ()):
            session.catch_up_missed(room, last, heads.get(room))


def _catch_up(session: Session, event: RoomEvent) -> None:
    """Take in an event that came while the welcome was read, and is newer than it."""
    if event.kind == "left":
        session.leave_group(event.room)
    elif event.kind == "entered":
        session.enter_group(event.room, event.seq)
    session.catch_up(event)


def _resume(session: Session, asked: dict[str, Position], snapshot: Snapshot) -> None:
    """Put each room where the client left it, as far as may be."""
    epoch = session.gateway.journal.epoch
    budget = REPLAY_ALL
    for room, position in asked.items():
        ended = snapshot.former.get(room)
        head = snapshot.heads.get(room) if ended is None else ended
        if head is None or (ended is not None and not (session.gateway.after_leaving or session.principal.admin)):
            continue
        if position.seq > head or position.epoch not in (None, epoch):
            session.send(replies.Reset(room=room, epoch=epoch, head=head))
            continue
        held = max(position.seq, snapshot.hidden_up_to.get(room, 0))
        missed = snapshot.missed.get(room)
        if missed:
            session.outbox.put(session.codec.encode_all(missed))
            budget -= len(missed)
            held = missed[-1].seq
        if head == held and session.position(room) is None:
            continue
        if isinstance(session.go_on(room, held, head, ended, budget), Replaying):
            budget -= head - held


def _frame(session: Session, hello: Hello, snapshot: Snapshot, *, incomplete: bool) -> replies.Welcome:
    gateway = session.gateway
    read = session.may_read
    for contact in snapshot.contacts:
        contact.online = contact.online and gateway.live.presence.is_online(contact.user)
    return replies.Welcome(
        id=hello.id,
        user=session.user,
        session=session.connection.secret or session.id,
        node=gateway.node,
        server=gateway.server,
        heartbeat_s=gateway.bounds.heartbeat_s,
        limits=gateway.limits,
        contacts=snapshot.contacts if read else [],
        rooms=snapshot.rooms if read else [],
        requests=snapshot.requests if read else [],
        rooms_next=snapshot.rooms[-1].room if read and snapshot.others else None,
        unreadable=list(snapshot.unreadable) if read else [],
        incomplete=incomplete,
        epoch=session.epoch,
    )
