"""The way of other nodes' facts to the rooms of this one."""

from __future__ import annotations

from gochat.actors.actor import Registry
from gochat.actors.live import Live
from gochat.actors.room import RoomActor
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
