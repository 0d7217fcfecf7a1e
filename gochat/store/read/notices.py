"""Reads what decides who is notified: rooms with news, their members, what waits for a channel."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gochat.domain.ids import dm_users, is_dm, peer
from gochat.domain.notices import (
    Candidate,
    NoticeEntry,
    Notified,
    QuietHours,
    Reader,
    RoomLook,
    Subscription,
    UnseenRoom,
    WaitingNotice,
    Wishes,
)
from gochat.ports.archive import Viewer
from gochat.store.bulk import json_array
from gochat.store.read.names import shown
from gochat.store.read.overlay import column_of
from gochat.store.read.source import reading
from gochat.store.rows import MESSAGE, mentions_in
from gochat.store.schema import SEQ_BITS, SEQ_MASK

#: Messages of a room that are looked at: the latest of all, the latest that are old enough, and the first, which name
#: bursts.
LATEST, RIPE, FIRST = 50, 200, 50
#: Messages of a burst that are looked at when it is sent, and how many of them are counted.
SHOWN, COUNTED = 20, 1_000
#: How far back it is looked for messages of others where somebody whom a user has blocked fills the room; and for how
#: many users of a slice, who have blocked the same.
SCANNED, HIDDEN = 5_000, 8
#: Characters of a body that are read for a template.
BODY_CHARS: Final = 200

_IN_GROUP = "s.role IN ('owner', 'moderator', 'member')"
_READER = """
    SELECT s.user, s.since_seq, s.read, coalesce(u.last_seen, 0), w.room IS NOT NULL, n.upto, n.read, n.ts,
        EXISTS (SELECT 1 FROM mention_notice m WHERE m.user = s.user)
    FROM seat s LEFT JOIN user u ON u.id = s.user LEFT JOIN notified n ON n.user = s.user AND n.room_pk = s.num
    LEFT JOIN silent_room w ON w.user = s.user AND w.room = :room AND (w.until IS NULL OR w.until > :now)"""
# Bounded by the members that are passed over, not by those that are found.
_MEMBERS = f"""{_READER}
    WHERE s.num = :room_pk AND s.user IN (
        SELECT user FROM seat s WHERE num = :room_pk AND {_IN_GROUP} AND user > :after ORDER BY user LIMIT :limit)
    ORDER BY s.user"""
_LAST_OF_SLICE = f"""SELECT max(user), count(*) FROM (
    SELECT user FROM seat s WHERE num = :room_pk AND {_IN_GROUP} AND user > :after ORDER BY user LIMIT :limit)"""
_ONE = f"{_READER} WHERE s.num = :room_pk AND s.user = :user"
#: Whether a user has blocked another, or declined since a time: one row, however many they have refused.
_REFUSED = """EXISTS (SELECT 1 FROM relation WHERE user = {} AND peer = {}
    AND (blocked_at IS NOT NULL OR declined_ts > {}))"""
_REFUSALS = f"""SELECT u.value, s.value FROM json_each(?1) AS u CROSS JOIN json_each(?2) AS s
    WHERE {_REFUSED.format("u.value", "s.value", "?3")}"""
_MESSAGES = f"""SELECT id, ts, sender, substr(body, 1, {BODY_CHARS}), data FROM fact
    WHERE id >= ? AND id <= ? AND kind = {MESSAGE} AND delete_seq IS NULL"""


def unseen(connection: sqlite3.Connection, after: int, limit: int) -> list[UnseenRoom]:
    rows = connection.execute(
        f"""SELECT n.room_pk, r.id, coalesce((SELECT ts FROM fact WHERE id = (n.room_pk << {SEQ_BITS}) + n.seq), 0)
            FROM notice_room n JOIN room r ON r.num = n.room_pk WHERE n.room_pk > ? ORDER BY n.room_pk LIMIT ?""",
        (after, limit),
    )
    return [UnseenRoom(*row) for row in rows]


def look(
    connection: sqlite3.Connection,
    room: UnseenRoom,
    after_user: str,
    limit: int,
    ripe_ts: int,
    oldest_ts: int,
    now_ms: int,
    declined_since: int,
) -> RoomLook:
    """`declined_since`: when a user must have declined another one for that to hold still."""
    row = connection.execute("SELECT seq FROM notice_room WHERE room_pk = ?", (room.room_pk,)).fetchone()
    if row is None:
        return RoomLook([], [], 0, None)
    since, base = row[0], room.room_pk << SEQ_BITS
    messages, upto = _news(connection, base, since, ripe_ts, oldest_ts)
    if not messages:
        return RoomLook([], [], upto, None)
    names = {"room_pk": room.room_pk, "room": room.room, "now": now_ms, "after": after_user, "limit": limit}
    if is_dm(room.room):
        users = sorted(set(dm_users(room.room)))
        rows = [row for user in users for row in connection.execute(_ONE, {**names, "user": user})]
        last, count = None, 0
    else:
        rows = connection.execute(_MEMBERS, names).fetchall()
        last, count = connection.execute(_LAST_OF_SLICE, names).fetchone()
    newest = messages[0]
    rows = [row for row in rows if row[2] < newest.seq and row[3] <= newest.ts and (not row[4] or row[8])]
    # Of a silent room, whatever else is said in it: the mentions of those who want them.
    mentions = {row[0]: _mentions(connection, base, since, row[0], oldest_ts, declined_since) for row in rows if row[4]}
    if mentions:
        messages = _together(messages, [message for found in mentions.values() for message in found])
        rows = [row for row in rows if not row[4] or mentions[row[0]]]
    readers = _readers(connection, room.room, rows, messages, declined_since)
    hidden = [] if is_dm(room.room) else _hidden(connection, base, since, readers, messages, ripe_ts, oldest_ts)
    if hidden:
        messages = _together(messages, hidden)
        readers = _readers(connection, room.room, rows, messages, declined_since)
    return RoomLook(readers, messages, upto, last if count == limit else None)


def _news(
    connection: sqlite3.Connection, base: int, since: int, ripe_ts: int, oldest_ts: int
) -> tuple[list[Candidate], int]:
    """Messages from the seq `since` on, the newest first; and the last seq of those that are old enough."""
    bounds = (base | since, base | SEQ_MASK)
    latest = connection.execute(f"{_MESSAGES} AND ts >= ? ORDER BY id DESC LIMIT ?", (*bounds, oldest_ts, LATEST))
    ripe = connection.execute(
        f"{_MESSAGES} AND ts BETWEEN ? AND ? ORDER BY id DESC LIMIT ?", (*bounds, oldest_ts, ripe_ts, RIPE)
    )
    first = connection.execute(
        f"{_MESSAGES} AND ts BETWEEN ? AND ? ORDER BY id LIMIT ?", (*bounds, oldest_ts, ripe_ts, FIRST)
    )
    found = {row[0]: _candidate(row) for row in [*latest.fetchall(), *ripe.fetchall(), *first.fetchall()]}
    # Times never fall as seqs grow, so everything up to the last one that is old enough has been looked at.
    last = connection.execute(
        "SELECT id FROM fact WHERE id >= ? AND id <= ? AND ts <= ? ORDER BY id DESC LIMIT 1", (*bounds, ripe_ts)
    ).fetchone()
    return [found[row_id] for row_id in sorted(found, reverse=True)], since - 1 if last is None else last[0] & SEQ_MASK


def _together(messages: Sequence[Candidate], more: Sequence[Candidate]) -> list[Candidate]:
    """All of them, each once, the newest first."""
    found = {message.seq: message for message in [*messages, *more]}
    return [found[seq] for seq in sorted(found, reverse=True)]


def _mentions(
    connection: sqlite3.Connection, base: int, since: int, user: str, oldest_ts: int, declined_since: int
) -> list[Candidate]:
    """The latest messages from the seq `since` on that mention the user, without those of users whom the user refuses:
    however often these mention the user, the mentions of others are still found."""
    ts, sender, body, data = (column_of(each, "f", "?1 + m.seq") for each in ("ts", "sender", "body", "data"))
    rows = connection.execute(
        f"""SELECT ?1 + m.seq, {ts}, {sender}, substr({body}, 1, {BODY_CHARS}), {data}
            FROM (SELECT seq, sender FROM mention WHERE user = ?2 AND room_pk = ?1 >> {SEQ_BITS} AND seq >= ?3
                ORDER BY seq DESC LIMIT {SCANNED}) m
            LEFT JOIN main.fact f ON f.id = ?1 + m.seq
            WHERE NOT {_REFUSED.format("?2", "m.sender", "?5")} AND {ts} >= ?4 AND f.delete_seq IS NULL
            LIMIT {SHOWN}""",
        (base, user, since, oldest_ts, declined_since),
    )
    return list(map(_candidate, rows))


def _hidden(
    connection: sqlite3.Connection,
    base: int,
    since: int,
    readers: Sequence[Reader],
    messages: Sequence[Candidate],
    ripe_ts: int,
    oldest_ts: int,
) -> list[Candidate]:
    """Messages that stand behind those of users whom a reader has blocked: however much these write, the messages of
    others are still found."""
    shown = {message.sender for message in messages if message.ts <= ripe_ts}
    refused = {reader.refuses for reader in readers if shown and shown <= {*reader.refuses, reader.user}}
    found: list[Candidate] = []
    for senders in sorted(refused, key=sorted)[:HIDDEN]:
        rows = connection.execute(
            f"""SELECT * FROM ({_MESSAGES} AND ts BETWEEN ? AND ? ORDER BY id DESC LIMIT {SCANNED})
                WHERE sender NOT IN (SELECT value FROM json_each(?)) LIMIT {SHOWN}""",
            (base | since, base | SEQ_MASK, oldest_ts, ripe_ts, json_array(senders)),
        )
        found += map(_candidate, rows)
    return found


def _readers(
    connection: sqlite3.Connection,
    room: str,
    rows: Sequence[Sequence[Any]],
    messages: Sequence[Candidate],
    declined_since: int,
) -> list[Reader]:
    senders = {message.sender for message in messages}
    refused = _refused(connection, {row[0] for row in rows}, senders, declined_since)
    return [_reader(connection, room, row, refused) for row in rows]


def _refused(
    connection: sqlite3.Connection, users: Collection[str], senders: Collection[str], declined_since: int
) -> Mapping[str, Collection[str]]:
    """The senders whom each of the users refuses; nothing of users who refuse none. One statement for all."""
    found: dict[str, set[str]] = {}
    for user, sender in connection.execute(_REFUSALS, (json_array(users), json_array(senders), declined_since)):
        found.setdefault(user, set()).add(sender)
    return found


def _candidate(row: Sequence[Any]) -> Candidate:
    row_id, ts, sender, body, data = row
    return Candidate(row_id & SEQ_MASK, ts, sender, body, mentions_in(data) or ())


def _reader(
    connection: sqlite3.Connection, room: str, row: Sequence[Any], refused: Mapping[str, Collection[str]]
) -> Reader:
    user, since, read, seen, silent, upto, read_then, ts, mentions = row
    asked_at = None
    if is_dm(room):
        found = connection.execute(
            "SELECT asked_at FROM relation WHERE user = ? AND peer = ?", (user, peer(room, user))
        ).fetchone()
        asked_at = found[0] if found else None
    return Reader(
        user=user,
        since=since,
        read=read,
        seen_ms=seen,
        muted=bool(silent),
        mentions=bool(mentions),
        refuses=frozenset(refused.get(user, ())),
        asked_at=asked_at,
        notified=None if upto is None else Notified(upto, read_then, ts),
    )


_DUE = """FROM notice n INDEXED BY notice_next JOIN room r ON r.num = n.room_pk
    LEFT JOIN quiet_hours q ON q.user = n.user LEFT JOIN push_device d ON d.id = n.target AND d.user = n.user
    LEFT JOIN mail_address m ON m.user = n.user
    WHERE n.channel = ? AND n.dead_ts IS NULL AND n.next_ts <= ? AND n.user NOT IN (SELECT value FROM json_each(?))
        AND n.id || ' ' || n.target NOT IN (SELECT value FROM json_each(?))
    ORDER BY n.next_ts LIMIT ?"""


class Due:
    """The notices of a channel whose time has come; none of users who are `busy`, and none of those to `skip`."""

    def __init__(
        self,
        channel: str,
        now_ms: int,
        limit: int,
        busy: Collection[str],
        skip: Collection[tuple[str, int]],
        declined_since: int,
    ) -> None:
        """`declined_since`: see `look`."""
        self._channel = channel
        self._now_ms = now_ms
        self._declined_since = declined_since
        keys = [f"{id_} {target}" for id_, target in skip]
        self._values = [channel, now_ms, json_array(busy), json_array(keys), limit]

    def rooms(self) -> tuple[str, list[Any]]:
        """A query for the ids of the rooms that `run` reads."""
        return f"SELECT r.id {_DUE}", self._values

    def run(self, connection: sqlite3.Connection) -> list[WaitingNotice]:
        rows = connection.execute(
            f"""SELECT n.id, n.target, n.user, n.room_pk, r.id, n.after, n.first_ts, n.made_ts, n.tries, n.epoch,
                r.title, q.begin_minute, q.end_minute, q.tz, d.endpoint, d.p256dh, d.auth, m.address {_DUE}""",
            self._values,
        ).fetchall()
        return [_waiting(connection, self._channel, row, self._now_ms, self._declined_since) for row in rows]


def _waiting(
    connection: sqlite3.Connection, channel: str, row: Sequence[Any], now_ms: int, declined_since: int
) -> WaitingNotice:
    id_, target, user, room_pk, room, after, first_ts, made_ts, tries, epoch, *rest = row
    title, begin, end, tz, *device, address = rest
    names = {"room_pk": room_pk, "room": room, "now": now_ms, "user": user}
    membership = connection.execute(f"{_ONE} AND ({_IN_GROUP} OR s.role = 'dm')", names).fetchone()
    base, since = room_pk << SEQ_BITS, 1 if membership is None else membership[1]
    # Only what the user may be told of is counted; of a silent room, mentions.
    mentions = membership is not None and membership[4]
    news = f"""SELECT * FROM ({_MESSAGES} ORDER BY id DESC LIMIT {SCANNED})
        WHERE sender <> ?3 AND NOT {_REFUSED.format("?3", "sender", "?5")} AND (
            NOT ?4 OR EXISTS (SELECT 1 FROM json_each(data, '$.mentions') WHERE value = ?3)) LIMIT ?6"""
    bounds = (base | max(after + 1, since), base | SEQ_MASK, user, mentions, declined_since)
    messages = [_candidate(found) for found in connection.execute(news, (*bounds, SHOWN))]
    (count,) = connection.execute(f"SELECT count(*) FROM ({news})", (*bounds, COUNTED)).fetchone()
    senders = {message.sender for message in messages}
    refused = _refused(connection, [user], senders, declined_since)
    return WaitingNotice(
        id_,
        channel,
        target,
        user,
        room,
        after,
        first_ts,
        made_ts,
        tries,
        None if membership is None else _reader(connection, room, membership, refused),
        messages,
        count,
        shown(connection, Viewer(user), senders),
        title,
        None if begin is None else QuietHours(begin, end, tz),
        None if device[0] is None else Subscription(*device),
        address,
        epoch,
    )


def next_due(connection: sqlite3.Connection, channel: str) -> int | None:
    (at,) = connection.execute(
        "SELECT min(next_ts) FROM notice INDEXED BY notice_next WHERE channel = ? AND dead_ts IS NULL", (channel,)
    ).fetchone()
    return None if at is None else int(at)


def counts(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    rows = connection.execute("SELECT channel, dead_ts IS NOT NULL, count(*) FROM notice GROUP BY 1, 2")
    return {(channel, "dead" if dead else "waiting"): count for channel, dead, count in rows}


def entries(connection: sqlite3.Connection, *, dead: bool, limit: int, channel: str | None) -> list[NoticeEntry]:
    """The notices that wait, or the dead letters, the next ones or the latest ones first."""
    order = "n.dead_ts DESC" if dead else "n.next_ts"
    rows = connection.execute(
        f"""SELECT n.id, n.channel, n.user, r.id, n.made_ts, n.tries, n.next_ts, n.reason, n.dead_ts IS NOT NULL,
                n.epoch
            FROM notice n JOIN room r ON r.num = n.room_pk
            WHERE (n.dead_ts IS NOT NULL) = ?1 AND (?2 IS NULL OR n.channel = ?2) ORDER BY {order} LIMIT ?3""",
        (dead, channel, limit),
    )
    return [NoticeEntry._make((*row[:8], bool(row[8]), row[9])) for row in rows]


def targets_of(database: Path, user: str) -> tuple[list[Subscription], str | None]:
    """The user's devices and mail address, read beside a running node or without one. Raises StoreError."""
    with reading(database) as connection:
        devices = connection.execute("SELECT endpoint, p256dh, auth FROM push_device WHERE user = ?", (user,))
        found = [Subscription(*row) for row in devices]
        return found, mail_address(connection, user)


def mail_address(connection: sqlite3.Connection, user: str) -> str | None:
    """The user's mail address, if one is kept."""
    row = connection.execute("SELECT address FROM mail_address WHERE user = ?", (user,)).fetchone()
    return row[0] if row else None


def has_others(connection: sqlite3.Connection, channels: Collection[str]) -> bool:
    """Whether something is kept for other channels than these."""
    marks = ", ".join("?" * len(channels))
    row = connection.execute(
        f"""SELECT EXISTS (SELECT 1 FROM notice WHERE channel NOT IN ({marks}))
            OR (? AND EXISTS (SELECT 1 FROM notice_room))""",
        (*channels, not channels),
    ).fetchone()
    return bool(row[0])


def wishes(connection: sqlite3.Connection, user: str, now_ms: int) -> Wishes:
    hours = connection.execute(
        "SELECT begin_minute, end_minute, tz FROM quiet_hours WHERE user = ?", (user,)
    ).fetchone()
    silent = connection.execute(
        "SELECT room, until FROM silent_room WHERE user = ? AND (until IS NULL OR until > ?) ORDER BY room",
        (user, now_ms),
    ).fetchall()
    (devices,) = connection.execute("SELECT count(*) FROM push_device WHERE user = ?", (user,)).fetchone()
    mentions = connection.execute("SELECT 1 FROM mention_notice WHERE user = ?", (user,)).fetchone()
    return Wishes(QuietHours(*hours) if hours else None, silent, devices, mentions is not None)
