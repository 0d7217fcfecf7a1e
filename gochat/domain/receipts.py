"""Receipts: how far the others of a room have read, how far its messages have come to their devices, and who is told of
it. Pure.

Users tell how far they have read to those whom they let write, in private rooms and in groups of up to 50; and what has
come to their devices, to those of them who may see their presence as well. Live events, the welcome, lists and
histories all ask here.
"""

from __future__ import annotations

from typing import Final

from gochat.domain.ids import dm_users, is_dm
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import ContactPolicy, Relation, way

#: Only in groups up to this size are members told who reads and who types (protocol.md).
SMALL_ROOM: Final = 50


def is_small(record: RoomRecord) -> bool:
    """Whether the others of the room may be told who reads and who types."""
    return len(record.members) <= SMALL_ROOM


def has_seat(record: RoomRecord, user: str) -> bool:
    """An admin looks on without one."""
    return user in dm_users(record.room) if is_dm(record.room) else user in record.members


def keeps_got(record: RoomRecord) -> bool:
    """Whether anything is kept or told of what the devices of a room's users confirm: not in a large group, nor where a
    user is alone."""
    return record.relation is not None if is_dm(record.room) else is_small(record)


def tells_read(relation: Relation, reader: str, policy: ContactPolicy, now_ms: int) -> bool:
    """Whether the other of a private room is told how far `reader` has read: a message of theirs would come to the
    reader as any other."""
    return way(relation, relation.peer(reader), policy, now_ms) == "open"


def tells_got(relation: Relation, receiver: str, policy: ContactPolicy, now_ms: int) -> bool:
    """Whether the other of a private room is told how far messages have come to the receiver's devices: `tells_read`,
    and their relation lets the other see whether the receiver is there. A common group, which would let them too, is
    not asked: it can't be seen from here."""
    if not tells_read(relation, receiver, policy, now_ms):
        return False
    # Where strangers may write, two who were never anything to each other see each other: see ports.Archive.acquainted.
    return relation.one.contact or relation.other.contact or not relation.changes
