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
#: How long until the head of a room that a session lags behind is read again, where it can't be.
HEAD_AGAIN_S = 1.0
#: How often, and how long apart, a membership is looked at that changes at this very moment.
LOOKS, LOOK_AGAIN_S = 20, 0.05


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
            upto = await _upto(session, room, place)
            if place.after >= upto:
                _level(session, room, place)
                return
            await _piece(session, room, place, upto)
    except StoreError as error:
        log.error("the replay of %s to %s failed: %s", room, session.user, error)
        if (session.places or {}).get(room) is place:
            session.place(room, Lagging())
            session.tell_lag()
    finally:
        gateway.live.readings.pop(token, None)


async def _upto(session: Session, room: str, place: Replaying) -> int:
    """How far to read before the session is level: to what the room has begun to deliver. Who has read further already
    goes on to the head, for only there no stretch of facts is cut in two. The caller looks at it without a checkpoint.
    """
    gateway = session.gateway
    if place.until is not None:
        return place.until
    while True:
        awake = gateway.rooms.get(room)
        if awake is not None and 0 <= awake.delivered >= place.after:
            return awake.delivered
        head = await gateway.archive.head(room)
        # While the head was read the room may have woken, or delivered more.
        awake = gateway.rooms.get(room)
        if awake is None or awake.delivered <= head:
            return head


def _level(session: Session, room: str, place: Replaying) -> None:
    """Live from here on; or done with the room, where the user's time in it has ended.

    A room that is awake may still deliver what was read, or what its last commit brought: below `after` it is passed
    over, above it is taken, whether the welcome held it or not.
    """
    hears = is_dm(room) or room in (session.groups or ())
    awake = session.gateway.rooms.get(room) is not None
    session.place(room, From(place.after + 1) if awake and hears else None)


async def _piece(session: Session, room: str, place: Replaying, upto: int) -> None:
    """Read and send the next facts, once there is space for them."""
    await session.space()
    if session.state != OPEN:
        return
    facts = await session.gateway.archive.replay(
        room, place.after, upto, PIECE, reader=session.user, admin=session.speaker.admin
    )  # fmt: skip
    if session.state != OPEN or (session.places or {}).get(room) is not place:
        return
    if not facts and (is_dm(room) or place.until is not None):
        # A request waits: what it says is not told, and the room not heard, until it is let in. Or the user's time in
        # the group ended, they were added again, and what was before is hidden: the delivery of that is on its way.
        session.place(room, None)
        return
    if not facts:
        raise StoreError(f"{room} has no facts from {place.after + 1} to {upto}")
    session.outbox.put(session.codec.encode_all(facts))
    session.outbox.flush()
    place.after = facts[-1].seq


async def say_lag(session: Session, room: str) -> None:
    """Tell the peer that facts of the room were left out."""
    while session.state == OPEN and isinstance(place := (session.places or {}).get(room), Lagging):
        try:
            head = await _head(session, room)
        except StoreError as error:
            # Not told, the peer would take what it has for all there is.
            log.error("the head of %s can't be told to %s: %s", room, session.user, error)
            await trio.sleep(HEAD_AGAIN_S)
            continue
        head = head if place.until is None else place.until
        session.send(replies.Lag(room=room, epoch=session.gateway.journal.epoch, head=head))
        return


async def resume(session: Session, request: Resume) -> Denied | replies.Ok:
    """`resume`: restart the room at the seq that the client holds."""
    room, gateway = request.room, session.gateway
    if not is_room(room):
        return Denied("bad_request", "room: not a room id")
    if is_dm(room) and session.user not in dm_users(room):
        return Denied("not_found", "there is no such room")
    for _ in range(LOOKS):
        snapshot = await gateway.archive.welcome(session.user, 0, [room])
        ended = snapshot.former.get(room)
        head = snapshot.heads.get(room) if ended is None else ended
        # Being added or removed is delivered a moment after it is recorded; what the session was told must agree.
        settled = is_dm(room) or head is None or (ended is None) == (room in (session.groups or ()))
        if settled:
            break
        await trio.sleep(LOOK_AGAIN_S)
    else:
        return Denied("unavailable", "the membership is changing", retry_after_ms=1000)
    if head is None or session.state == CLOSED:
        if is_dm(room) and session.state == OPEN:
            session.place(room, None)  # Let in, it is heard from there on, whatever was missed before.
        return Denied("not_found", "there is no such room")
    if ended is not None and not (gateway.after_leaving or session.speaker.admin):
        return Denied("not_member", "you are no longer a member of this room")
    epoch = gateway.journal.epoch
    if request.seq > head or request.epoch not in (None, epoch):
        session.start_job(partial(_reset, session, room, head, ended))
    else:
        place = place_after(head, max(request.seq, snapshot.hidden.get(room, 0)), head, ended)
        session.place(room, place)
        if isinstance(place, Replaying):
            session.start_job(partial(replay, session, room, place))
        else:
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
