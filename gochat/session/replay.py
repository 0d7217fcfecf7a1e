"""Reading the log to a session until it is level with what its room has begun to deliver; then it is live.

Replay is pulled, a piece at a time, as the outbox empties. The last look at the room and going live are one step
without a checkpoint, so that no fact falls between. The decisions are made by `positions`.
"""

from __future__ import annotations

import logging
from functools import partial

import trio

from gochat.domain.ids import dm_users, is_dm, is_room
from gochat.domain.turn import NO_ROOM, NOT_MEMBER
from gochat.errors import Denied, NotCurrent, StoreError
from gochat.ports.archive import Snapshot
from gochat.protocol import replies
from gochat.protocol.requests import Resume
from gochat.session.positions import CLOSED, OPEN, Lagging, Replaying, goal
from gochat.session.session import Session

log = logging.getLogger(__name__)

#: Facts that are read at a time.
PIECE = 100
#: How long until the head of a room that a session lags behind is read again, where it can't be.
HEAD_AGAIN_S = 1.0
#: How long a membership that is recorded may take to be delivered, before the client is asked to come again.
MEMBERSHIP_S = 1.0
NOT_ALL_HERE = Denied("unavailable", "this node has not all of the room's facts yet", retry_after_ms=1000)


def start_replays(session: Session) -> None:
    """Begin with what the positions of a fresh session say."""
    for room, position in list((session.positions or {}).items()):
        if isinstance(position, Replaying):
            session.start_job(partial(replay, session, room, position))
    session.tell_lag()


async def replay(session: Session, room: str, position: Replaying) -> None:
    """Bring the session level with the room, unless something else is decided about its position meanwhile."""
    gateway = session.gateway
    token = object()
    try:
        while session.is_at(room, position):
            gateway.live.readings.pop(token, None)
            gateway.live.readings[token] = trio.current_time()
            upto = await _goal(session, room, position)
            if position.after >= upto and not position.next_stay():
                # One step from the look at the room to here.
                hears = is_dm(room) or room in (session.groups or ())
                delivers = gateway.rooms.get(room) is not None or gateway.journal.coming(room)
                session.end_replay(room, position, delivering=hears and delivers)
                return
            if position.after < upto:
                await _piece(session, room, position, upto)
    except StoreError as error:
        log.error("the replay of %s to %s failed: %s", room, session.user, error)
        session.fail_replay(room, position)
        session.tell_lag()
    finally:
        gateway.live.readings.pop(token, None)


async def _goal(session: Session, room: str, position: Replaying) -> int:
    """Raises StoreError."""
    upto = goal(position, _delivered(session, room))
    while upto is None:
        head = await session.gateway.archive.head(room)
        # While the head was read the room may have woken, or delivered more.
        upto = goal(position, _delivered(session, room), head)
    return upto


def _delivered(session: Session, room: str) -> int | None:
    awake = session.gateway.rooms.get(room)
    return None if awake is None else awake.delivered


async def _piece(session: Session, room: str, position: Replaying, upto: int) -> None:
    """Read and send the next facts, once there is space for them."""
    await session.wait_space()
    if session.state != OPEN:
        return
    facts = await session.gateway.archive.replay(
        room, position.after, upto, PIECE, reader=session.user, admin=session.principal.admin
    )
    if not session.is_at(room, position):
        return
    if not facts and (is_dm(room) or position.until is not None):
        # A request waits: nothing of it is told, and the room not heard, until it is let in. Or the user's time in
        # the group ended, they were added again, and what was before is hidden: the delivery of that is on its way.
        if not position.next_stay():
            session.put(room, None)
        return
    if not facts:
        raise StoreError(f"{room} has no facts from {position.after + 1} to {upto}")
    session.outbox.put(session.codec.encode_all(facts))
    session.outbox.flush()
    session.replayed(position, facts[-1].seq)


async def say_lag(session: Session, room: str, position: Lagging) -> None:
    """Tell the peer that facts of the room were left out."""
    while session.is_at(room, position):
        try:
            head = session.lag_head(room, position, await _head(session, room))
        except StoreError as error:
            # Not told, the peer would take what it has for all there is.
            log.error("the head of %s can't be told to %s: %s", room, session.user, error)
            await trio.sleep(HEAD_AGAIN_S)
            continue
        if head is not None:
            session.send(replies.Lag(room=room, epoch=session.gateway.journal.epoch, head=head))
        return


async def resume(session: Session, request: Resume) -> Denied | replies.Ok:
    """`resume`: restart the room at the seq that the client holds."""
    room, gateway = request.room, session.gateway
    if not is_room(room):
        return Denied("bad_request", "room: not a room id")
    if is_dm(room) and session.user not in dm_users(room):
        return NO_ROOM
    try:
        # With what is about the site comes the epoch, and the session ends where that is another one.
        await gateway.journal.barrier([room, ""])
    except NotCurrent:
        return NOT_ALL_HERE
    except StoreError:
        is_current = False
    else:
        is_current = True
    snapshot = await _settled(session, room)
    if snapshot is None:
        return Denied("unavailable", "the membership is changing", retry_after_ms=1000)
    ended = snapshot.former.get(room)
    head = snapshot.heads.get(room) if ended is None else ended
    # Where others may have decided what is not known here, nobody is sent away, or told to forget anything.
    if head is None or session.state == CLOSED:
        if is_dm(room) and session.state == OPEN:
            session.put(room, None)  # Let in, it is heard from there on, whatever was missed before.
        return NO_ROOM if is_current else NOT_ALL_HERE
    if ended is not None and not (gateway.after_leaving or session.principal.admin):
        return NOT_MEMBER if is_current else NOT_ALL_HERE
    is_same = request.epoch in (None, gateway.journal.epoch)
    if not is_current and (request.seq > head or not is_same):
        return NOT_ALL_HERE
    if request.seq > head or not is_same:
        session.start_job(partial(_reset, session, room, head, ended))
    else:
        position = session.go_on(room, max(request.seq, snapshot.hidden_up_to.get(room, 0)), head, ended)
        if isinstance(position, Replaying):
            session.start_job(partial(replay, session, room, position))
        else:
            session.tell_lag()
    return replies.Ok(id=request.id, head=head)


async def _settled(session: Session, room: str) -> Snapshot | None:
    """A reading of the room that agrees with what the session was told: to be added or removed is delivered a moment
    after it is recorded. None where that does not come. Raises StoreError."""
    # Only the wait for the delivery has an end: a read may take its time when much is asked of the disk.
    deadline = None
    while True:
        changed = session.membership()
        snapshot = await session.gateway.archive.welcome(session.user, 0, [room])
        ended = snapshot.former.get(room)
        unknown = ended is None and room not in snapshot.heads
        if is_dm(room) or unknown or (ended is None) == (room in (session.groups or ())):
            return snapshot
        deadline = deadline or trio.current_time() + MEMBERSHIP_S
        with trio.move_on_at(deadline) as wait:
            await changed.wait()
        if wait.cancelled_caught:
            return None


async def _reset(session: Session, room: str, head: int, ended: int | None) -> None:
    """The client starts the room anew at `head`; from there on it is live."""
    session.send(replies.Reset(room=room, epoch=session.gateway.journal.epoch, head=head))
    position = Replaying(head, ended)
    session.put(room, position)
    await replay(session, room, position)


async def _head(session: Session, room: str) -> int:
    delivered = _delivered(session, room)
    if delivered is not None and delivered >= 0:
        return delivered
    return await session.gateway.archive.head(room)
