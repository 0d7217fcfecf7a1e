"""Lists: the welcome, groups, members, users."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from gochat.domain.facts import AnyFact, Edit, Message
from gochat.domain.ids import dm_users, is_dm, peer
from gochat.ports import Asker, Snapshot
from gochat.protocol.replies import ContactEntry, GroupEntry, Last, MemberEntry, RoomEntry
from gochat.store import pages, people
from gochat.store.schema import LAST_COMMIT, SEQ_BITS
from gochat.store.sight import LOW, view

#: Facts that a welcome brings along of all rooms that a client resumes, and the characters in them. What is missing
#: beyond that is read piece by piece, as there is space for it.
MISSED, MISSED_CHARS = 200, 100_000

# One row of a list of rooms. Who sends has read their own message, so nothing of one's own is above `read`: what is
# unread is a difference of two counts, less what was deleted between.
_ENTRY = f"""
    SELECT r.id, r.num, r.head, s.read, r.title, s.role,
        r.messages - coalesce((SELECT n FROM fact WHERE id = (r.num << {SEQ_BITS}) + s.read), 0)
          - (SELECT count(*) FROM fact d WHERE d.delete_seq IS NOT NULL
             AND d.id > (r.num << {SEQ_BITS}) + s.read AND d.id <= (r.num << {SEQ_BITS}) + r.head),
        s.since_seq, l.id - (r.num << {SEQ_BITS}), l.ts, l.sender, substr(l.body, 1, {people.LAST_CHARS}), l.delete_ts
    FROM seat s JOIN room r ON r.num = s.num
    LEFT JOIN fact l ON l.id = (r.num << {SEQ_BITS}) + r.last AND r.last > 0
        AND r.last > {LOW}
    WHERE s.user = ? """
_IN_GROUPS = _ENTRY + "AND s.role IN ('owner', 'moderator', 'member') ORDER BY r.id"
# Which are the latest is found first: what an entry shows is looked up for those alone. Who is blocked, waits for an
# answer or was declined stands elsewhere.
_CONTACTS = f"""{_ENTRY} AND s.num IN (
        SELECT t.num FROM seat t JOIN room q ON q.num = t.num JOIN fact m ON m.id = (q.num << {SEQ_BITS}) + q.last
        WHERE t.user = ? AND t.role = 'dm' AND q.last >= t.since_seq AND t.num NOT IN (
            SELECT num FROM relation WHERE user = ? AND (blocked_at IS NOT NULL OR withheld_at IS NOT NULL))
        ORDER BY m.ts DESC, m.id DESC LIMIT ?)
    ORDER BY l.ts DESC, l.id DESC"""


def welcome(
    connection: sqlite3.Connection, epoch: str, user: str, contacts: int, rooms: Sequence[str], held: Mapping[str, int]
) -> Snapshot:
    (commit,) = connection.execute(LAST_COMMIT).fetchone()
    heads, former, hidden = _positions(connection, user, rooms)
    entries, since = _groups(connection, epoch, user) if contacts else ([], {})
    return Snapshot(
        commit=commit,
        contacts=_contacts(connection, epoch, user, contacts) if contacts else [],
        rooms=entries,
        since=since,
        requests=people.latest_requests(connection, user, contacts) if contacts else [],
        former=former,
        heads=heads,
        hidden=hidden,
        missed=_missed(connection, user, heads, hidden, held) if held else {},
    )  # fmt: skip


def _last(seq: int | None, ts: int, sender: str, body: str | None, deleted: int | None) -> Last | None:
    return Last(seq=seq, ts=ts, sender=sender, body=body or "", deleted=deleted) if seq is not None else None


def _groups(connection: sqlite3.Connection, epoch: str, user: str) -> tuple[list[RoomEntry], dict[str, int]]:
    """The groups, and where the user came in, of those where that was not the beginning."""
    entries, begun = [], {}
    for room, _, head, read, title, role, unread, since, *last in connection.execute(_IN_GROUPS, (user,)):
        entries.append(
            RoomEntry(
                room=room, title=title, role=role, epoch=epoch, head=head, read=read, unread=unread, last=_last(*last)
            )
        )
        if since > 1:
            begun[room] = since
    return entries, begun


def _contacts(connection: sqlite3.Connection, epoch: str, user: str, most: int) -> list[ContactEntry]:
    rows = connection.execute(_CONTACTS, (user, user, user, most)).fetchall()
    others = [peer(row[0], user) for row in rows]
    known = users(connection, others)
    visible = people.acquainted(connection, user, others) | {user}
    entries = []
    for room, _, head, read, _, _, unread, _, *last in rows:
        other = peer(room, user)
        name, seen = known.get(other, (other, None))
        entries.append(
            ContactEntry(
                user=other, name=name, online=other in visible, last_seen=seen if other in visible else None,
                room=room, epoch=epoch, head=head, read=read,
                unread=unread, last=_last(*last),
            )
        )  # fmt: skip
    return entries


def _positions(
    connection: sqlite3.Connection, user: str, rooms: Sequence[str]
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Of these rooms: heads of those the user is in, where the user's time in the others ended, and up to which seq
    they are hidden."""
    heads: dict[str, int] = {}
    former: dict[str, int] = {}
    hidden: dict[str, int] = {}
    for room in rooms:
        if is_dm(room) and (room.count(":") != 2 or people.waits(connection, user, room)):
            continue  # What waits for an answer is not heard yet.
        seen = view(connection, Asker(user), room, closed=True)
        if seen is None:
            continue
        if seen.former:
            former[room] = seen.head
        else:
            heads[room] = seen.head
        if seen.low:
            hidden[room] = seen.low
    return heads, former, hidden


def _missed(
    connection: sqlite3.Connection, user: str, heads: Mapping[str, int], hidden: Mapping[str, int],
    held: Mapping[str, int],
) -> dict[str, list[AnyFact]]:  # fmt: skip
    """The facts between what is held and the head, room by room while they are few."""
    found: dict[str, list[AnyFact]] = {}
    facts, chars = MISSED, MISSED_CHARS
    for room, seq in held.items():
        head, low = heads.get(room, 0), max(seq, hidden.get(room, 0))
        if not 0 < head - low <= facts or chars <= 0:
            continue
        found[room] = pages.replay(connection, room, low, head, facts, Asker(user), chars=chars)
        facts -= len(found[room])
        chars -= sum(len(fact.body or "") for fact in found[room] if isinstance(fact, Message | Edit))
    return found


def seat(connection: sqlite3.Connection, user: str, room: str) -> str | None:
    if is_dm(room):
        return "member" if user in dm_users(room) else None
    row = connection.execute(
        "SELECT s.role, r.closed FROM room r JOIN seat s ON s.num = r.num AND s.user = ? WHERE r.id = ?", (user, room)
    ).fetchone()
    return None if row is None or row[1] else row[0]


def groups(
    connection: sqlite3.Connection, user: str, owner: str | None, limit: int, cursor: str | None
) -> tuple[list[GroupEntry], str | None]:
    where, values = "", [user, cursor or ""]
    if owner is not None:
        where = "AND EXISTS (SELECT 1 FROM seat o WHERE o.user = ? AND o.num = r.num AND o.role = 'owner')"
        values.append(owner)
    rows = connection.execute(
        f"""SELECT r.id, r.title, s.role, (SELECT count(*) FROM seat m WHERE m.num = r.num AND m.role <> 'dm'
                AND m.role <> 'former')
            FROM seat s JOIN room r ON r.num = s.num
            WHERE s.user = ? AND s.role IN ('owner', 'moderator', 'member') AND r.id > ? {where}
            ORDER BY r.id LIMIT ?""",
        (*values, limit + 1),
    ).fetchall()
    entries = [GroupEntry(room=room, title=title, role=role, members=size) for room, title, role, size in rows[:limit]]
    return entries, entries[-1].room if len(rows) > limit else None


def members(
    connection: sqlite3.Connection, asker: Asker, room: str, limit: int, cursor: str | None
) -> tuple[list[MemberEntry], str | None] | None:
    seen = view(connection, asker, room)
    if seen is None or seen.former:
        return None
    if is_dm(room):
        both = sorted(set(dm_users(room)))
        known = users(connection, both)
        return [MemberEntry(user=u, name=known.get(u, (u, None))[0], role="member", since=0) for u in both], None
    rows = connection.execute(
        """SELECT s.user, coalesce(nullif(u.name, ''), s.user), s.role, s.since_ts
           FROM seat s LEFT JOIN user u ON u.id = s.user
           WHERE s.num = ? AND s.role <> 'dm' AND s.role <> 'former' AND s.user > ? ORDER BY s.user LIMIT ?""",
        (seen.num, cursor or "", limit + 1),
    ).fetchall()
    entries = [MemberEntry(user=user, name=name, role=role, since=ts) for user, name, role, ts in rows[:limit]]
    return entries, entries[-1].user if len(rows) > limit else None


def users(connection: sqlite3.Connection, asked: Sequence[str]) -> dict[str, tuple[str, int | None]]:
    """Shown name and time last seen of those that ever signed in."""
    if not asked:
        return {}
    marks = ", ".join("?" * len(asked))
    rows = connection.execute(f"SELECT id, name, last_seen FROM user WHERE id IN ({marks})", list(asked))
    return {user: (name or user, seen) for user, name, seen in rows}
