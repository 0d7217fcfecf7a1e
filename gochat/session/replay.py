"""Reading the log to a session until it is level with what its room has begun to deliver; then it is live.

Replay is pulled, a piece at a time, as the outbox empties. The last look at the room and going live are one step
without a checkpoint, so that no fact falls between.
"""

from __future__ import annotations

import logging
from functools import partial

import trio

from gochat.domain.ids import dm_users, is_dm, is_room
from gochat.errors import Denied, StoreError
from gochat.protocol import replies
from gochat.protocol.requests import Resume
from gochat.session.listener import CLOSED, OPEN
from gochat.session.places import From, Lagging, Replaying, place_after
from gochat.session.session import Session

log = logging.getLogger(__name__)

#: Facts that are read at a time.
PIECE = 100


def start_replays(session: Session) -> None:
    """Begin what the places of a fresh session say."""
    for room, place in list((session.places or {}).items()):
        if isinstance(place, Replaying):
            session.start_job(partial(replay, session, room, place))
    session.tell_lag()


async def replay(session: Session, room: str, place: Replaying) -> None:
    """Bring the session level with the room, unless something else is decided about the place meanwhile."""
    gateway = session.gateway
    token = object()
    try:
        while session.state == OPEN and (session.places or {}).get(room) is place:
            gateway.live.readings.pop(token, None)
            gateway.live.readings[token] = trio.current_time()
            awake = gateway.rooms.get(room)
            upto = awake.delivered if awake is not None and awake.delivered >= 0 else None
            if upto is None:
                head = await gateway.archive.head(room)
                awake = gateway.rooms.get(room)
                if awake is not None and awake.delivered > head:
                    continue
                upto = head
            if place.until is not None:
                upto = place.until
            if place.after >= upto:
                _level(session, room, place, upto, delivering=awake is not None and awake.busy)
                return
            await _piece(session, room, place, upto)
    except StoreError as error:
        log.error("the replay of %s to %s failed: %s", room, session.user, error)
        if (session.places or {}).get(room) is place:
            session.place(room, Lagging())
            session.tell_lag()
    finally:
        gateway.live.readings.pop(token, None)


def _level(session: Session, room: str, place: Replaying, upto: int, *, delivering: bool) -> None:
    """Live from here on; or done with the room, where the user's time in it has ended."""
    session.place(room, From(upto + 1) if delivering and place.until is None else None)


async def _piece(session: Session, room: str, place: Replaying, upto: int) -> None:
    """Read and send the next facts, once there is space for them."""
    await session.space()
    if session.state != OPEN:
        return
    facts = await session.gateway.archive.replay(room, place.after, upto, PIECE)
    if session.state != OPEN or (session.places or {}).get(room) is not place:
        return
    if not facts:
        raise StoreError(f"{room} has no facts from {place.after + 1} to {upto}")
    session.outbox.put(session.codec.encode_all(facts))
    session.outbox.flush()
    place.after = facts[-1].seq


async def say_lag(session: Session, room: str) -> None:
    """Tell the peer that facts of the room were left out."""
    if session.state == OPEN and isinstance((session.places or {}).get(room), Lagging):
        head = await _head(session, room)
        session.send(replies.Lag(room=room, epoch=session.gateway.journal.epoch, head=head))


async def resume(session: Session, request: Resume) -> Denied | replies.Ok:
    """`resume`: restart the room at the seq that the client holds."""
    room, gateway = request.room, session.gateway
    if not is_room(room):
        return Denied("bad_request", "room: not a room id")
    if is_dm(room) and session.user not in dm_users(room):
        return Denied("not_found", "there is no such room")
    snapshot = await gateway.archive.welcome(session.user, 0, [room])
    ended = snapshot.former.get(room)
    head = snapshot.heads.get(room) if ended is None else ended
    if head is None or session.state == CLOSED:
        return Denied("not_found", "there is no such room")
    epoch = gateway.journal.epoch
    if request.seq > head or request.epoch not in (None, epoch):
        session.start_job(partial(_reset, session, room, head, ended))
    else:
        place = place_after(head, max(request.seq, snapshot.hidden.get(room, 0)), head)
        if isinstance(place, Replaying):
            place.until = ended
            session.place(room, place)
            session.start_job(partial(replay, session, room, place))
        else:
            session.place(room, place)
            session.tell_lag()
    return replies.Ok(id=request.id, head=head)


async def _reset(session: Session, room: str, head: int, ended: int | None) -> None:
    """The client starts the room anew at `head`; from there on it is live."""
    session.send(replies.Reset(room=room, epoch=session.gateway.journal.epoch, head=head))
    place = Replaying(head, ended)
    session.place(room, place)
    await replay(session, room, place)


async def _head(session: Session, room: str) -> int:
    awake = session.gateway.rooms.get(room)
    if awake is not None and awake.delivered >= 0:
        return awake.delivered
    return await session.gateway.archive.head(room)
