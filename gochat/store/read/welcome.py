"""The welcome: a user's rooms, requests and missed facts, as one transaction left them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from gochat.domain.facts import AnyFact, Edit, Message
from gochat.domain.ids import dm_users, is_dm
from gochat.errors import Damaged
from gochat.ports.archive import Snapshot, Viewer
from gochat.store.health import is_damage
from gochat.store.read import contacts, groups, pages, people
from gochat.store.read.entries import ListRead
from gochat.store.read.separate import FAULTS, SeparateRooms
from gochat.store.read.sight import View, view
from gochat.store.schema import LAST_COMMIT

#: Facts that a welcome brings along of all rooms that a client resumes, and the characters in them. More facts
#: that are missing are read piece by piece, as there is space for them.
MISSED, MISSED_CHARS = 200, 100_000


def welcome(reading: ListRead, private: int, rooms: Sequence[str], held: Mapping[str, int]) -> Snapshot:
    """At most `private` of the private rooms; with none of them, the user's lists are not looked at. `rooms` are those
    that the client resumes, and `held` is how far it has some of them."""
    connection, user = reading.connection, reading.user
    (commit,) = connection.execute(LAST_COMMIT).fetchone()
    heads, former, hidden = _positions(connection, user, rooms, reading.separate_rooms)
    # The private rooms first: of groups there may be more than can tell it.
    latest = contacts.latest(reading, private) if private else []
    entries, others, since = groups.welcomed(reading) if private else ([], {}, {})
    return Snapshot(
        commit=commit,
        contacts=latest,
        rooms=entries,
        others=others,
        since=since,
        requests=people.latest_requests(connection, user, private, reading.separate_rooms) if private else [],
        unreadable=reading.separate_rooms.rooms,
        former=former,
        heads=heads,
        hidden_up_to=hidden,
        missed=_missed(connection, user, heads, hidden, held) if held else {},
    )


def _positions(
    connection: sqlite3.Connection, user: str, rooms: Sequence[str], separate_rooms: SeparateRooms
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Of these rooms: heads of those the user is in, where the user's time in the others ended, and up to which seq
    they are hidden."""
    heads: dict[str, int] = {}
    former: dict[str, int] = {}
    hidden: dict[str, int] = {}
    for room in rooms:
        if is_dm(room) and (room.count(":") != 2 or user not in dm_users(room)):
            continue
        try:
            seen = _heard(connection, user, room)
        except FAULTS as error:
            separate_rooms.bear(error)
            # A user who is not in a room does not learn that it is damaged, nor that it is there.
            if is_dm(room) or _is_in(connection, user, room):
                separate_rooms.leave_out(room, error)
            continue
        if seen is None:
            continue
        if seen.former:
            former[room] = seen.head
        else:
            heads[room] = seen.head
        if seen.low:
            hidden[room] = seen.low
    return heads, former, hidden


def _heard(connection: sqlite3.Connection, user: str, room: str) -> View | None:
    """A private room that waits for an answer is not heard yet."""
    if is_dm(room) and people.waits(connection, user, room):
        return None
    return view(connection, Viewer(user), room, closed=True)


def _is_in(connection: sqlite3.Connection, user: str, group: str) -> bool:
    found = connection.execute("SELECT 1 FROM seat WHERE user = ? AND name = ?", (user, group))
    return found.fetchone() is not None


def _missed(
    connection: sqlite3.Connection,
    user: str,
    heads: Mapping[str, int],
    hidden: Mapping[str, int],
    held: Mapping[str, int],
) -> dict[str, list[AnyFact]]:
    """The facts between what is held and the head, room by room while they are few."""
    found: dict[str, list[AnyFact]] = {}
    facts, chars = MISSED, MISSED_CHARS
    for room, seq in held.items():
        head, low = heads.get(room, 0), max(seq, hidden.get(room, 0))
        if not 0 < head - low <= facts or chars <= 0:
            continue
        try:
            found[room] = pages.replay(connection, room, low, head, facts, Viewer(user), chars=chars)
        except (sqlite3.Error, Damaged) as error:
            if not is_damage(error):
                raise
            continue  # A damaged room keeps nobody out: its replay, piece by piece, meets the same and says so.
        facts -= len(found[room])
        chars -= sum(len(fact.body or "") for fact in found[room] if isinstance(fact, Message | Edit))
    return found
