"""The way of other nodes' facts to the rooms of this one, and to the limits of the users who made them."""

from __future__ import annotations

from gochat.actors.actor import Registry
from gochat.actors.live import Live
from gochat.actors.room import RoomActor
from gochat.actors.user import UserActor
from gochat.domain.facts import Message
from gochat.domain.side_records import Added, Related
from gochat.errors import Full
from gochat.ports import ForeignBatch


def hear(rooms: Registry[RoomActor], live: Live, batch: ForeignBatch) -> None:
    """Have the room tell the batch; it is loaded if it is not in memory. Where too many are in memory, the listeners
    are told that they lag, and read the log; the other observers are told nothing. See `ports.OnForeign`."""
    try:
        room = rooms.at(batch.room)
    except Full:
        if batch.facts:
            for session in live.listeners(batch.room):
                session.lag(batch.room, batch.facts[-1].seq)
        return
    room.hear(batch)


def debit(users: Registry[UserActor], batch: ForeignBatch) -> None:
    """Take what the batch's senders did on another node from what they may do here. Users who are not in memory get an
    actor, which is let go of once forgetting it changes nothing; with too many of these nothing is taken."""
    try:
        for fact in batch.facts:
            users.at(fact.sender).debit(is_message=type(fact) is Message)
    except Full:
        return
    for record in batch.side_records:
        # Whoever is not in memory has it read from the store when it is needed.
        if isinstance(record, Related) and record.change.change == "ask":
            user = users.get(record.change.user)
            if user is not None and user.asks.known:
                user.asks.take(record.change.ts)
        elif isinstance(record, Added):
            user = users.get(record.user)
            if user is not None and user.adds is not None and user.adds.known:
                user.adds.take(record.ts, record.users)
