"""Writes what is kept for notifications. Each function runs in a transaction of the writer's.

Nothing of it is synced by itself but what users ask for: after a power failure a room is looked at again, and what is
found has the same ids as before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from gochat.domain.notices import (
    MOST_DEVICES,
    MOST_SILENT,
    AnyNoticeRecord,
    AnyWish,
    Attempt,
    Bounds,
    MentionsWanted,
    NewNotice,
    NoticesFound,
    NoticesRevived,
    NoticesTried,
    QuietSet,
    Route,
    Silenced,
    Subscribed,
    Unsubscribed,
)
from gochat.store.bulk import BulkInsert, json_array
from gochat.store.rows import MESSAGE, Row
from gochat.store.schema import SEQ_BITS, SEQ_MASK

_MARK = BulkInsert("INSERT OR IGNORE INTO notice_room (room_pk, seq)", 2)
#: Those of (user, room, id) that were found before.
_KNOWN = BulkInsert(
    "SELECT v.column1, v.column2 FROM (",
    3,
    ") AS v JOIN notified n ON n.user = v.column1 AND n.room_pk = v.column2 WHERE n.id = v.column3",
)
_NOTIFIED = BulkInsert(
    "INSERT INTO notified (user, room_pk, upto, read, ts, id)",
    6,
    """ON CONFLICT (user, room_pk) DO UPDATE SET upto = excluded.upto, read = excluded.read, ts = excluded.ts,
        id = excluded.id, sent = 0""",
)
_NOTICE = BulkInsert("INSERT OR IGNORE INTO notice", 13)
_EPOCH = "SELECT coalesce((SELECT epoch FROM log_epoch), (SELECT epoch FROM meta))"
#: For each of some users, how many notices wait for one channel; counted up to a bound.
_WAITING = """SELECT u.value, (SELECT count(*) FROM (
        SELECT 1 FROM notice WHERE user = u.value AND channel = ?2 AND dead_ts IS NULL LIMIT ?3))
    FROM json_each(?1) u"""
_DEVICES = "SELECT user, id FROM push_device WHERE user IN (SELECT value FROM json_each(?)) ORDER BY user, id"
_WITH_ADDRESS = "SELECT user FROM mail_address WHERE user IN (SELECT value FROM json_each(?))"


def mark(connection: sqlite3.Connection, rooms: Sequence[tuple[int, int]]) -> None:
    """Rooms, by number, have messages from a seq on that nobody has been judged by. A row for each at most, however
    many members it has; none where there is one."""
    if rooms:
        _MARK.run(connection, rooms)


def keep_only(connection: sqlite3.Connection, channels: Collection[str]) -> None:
    """Other channels than these are off: what waited for them would be stale when they are on again."""
    marks = ", ".join("?" * len(channels))
    connection.execute(f"DELETE FROM notice WHERE channel NOT IN ({marks})", list(channels))
    if not channels:
        connection.execute("DELETE FROM notice_room")


def looked(connection: sqlite3.Connection, room_pk: int, upto: int) -> int | None:
    """All messages of the room up to `upto` have been looked at. The time of the next one, if there is one that was
    not: a room without a mark has none, whatever was said there."""
    base = room_pk << SEQ_BITS
    row = connection.execute(
        "SELECT id, ts FROM fact WHERE id > ? AND id <= ? AND kind = ? ORDER BY id LIMIT 1",
        (base | upto, base | SEQ_MASK, MESSAGE),
    ).fetchone()
    if row is None:
        connection.execute("DELETE FROM notice_room WHERE room_pk = ? AND seq <= ?", (room_pk, upto + 1))
        return None
    marked = connection.execute("UPDATE notice_room SET seq = ? WHERE room_pk = ?", (row[0] & SEQ_MASK, room_pk))
    return int(row[1]) if marked.rowcount else None


class Capacity:
    """How many notices wait for each channel, or more than that: counting 100,000 of them takes milliseconds, and is
    done where there might be too many."""

    def __init__(self) -> None:
        self._at_most: dict[str, int] = {}

    def free(self, connection: sqlite3.Connection, channel: str, bound: int, wanted: int) -> int:
        """The places that are left of `bound`; where `wanted` or more are, there may be more than this says."""
        at_most = self._at_most.get(channel)
        if at_most is None or bound - at_most < wanted:
            (at_most,) = connection.execute(
                "SELECT count(*) FROM notice WHERE channel = ? AND dead_ts IS NULL", (channel,)
            ).fetchone()
            self._at_most[channel] = at_most
        return bound - int(at_most)

    def taken(self, channel: str) -> None:
        self._at_most[channel] += 1

    def forget(self) -> None:
        """Some were added by another way."""
        self._at_most.clear()


def add(
    connection: sqlite3.Connection,
    found: Sequence[NewNotice],
    routes: Sequence[Route],
    bounds: Bounds,
    now_ms: int,
    capacity: Capacity,
) -> None:
    """Users are to be notified, by each channel that reaches them and has a place left for them. Where too many wait
    for a channel already, a notice is a dead letter from the start."""
    new = _unknown(connection, found)
    if not new:
        return
    wanted = len(new) * MOST_DEVICES
    free = {route.channel: capacity.free(connection, route.channel, bounds.waiting, wanted) for route in routes}
    (epoch,) = connection.execute(_EPOCH).fetchone()
    users = list({notice.user: None for notice in new})
    reaches = [_reach(connection, route, users, bounds) for route in routes]
    notified: list[Row] = []
    notices: list[Row] = []
    dead: set[tuple[str, str]] = set()
    for id_, user, room_pk, after, upto, read, first_ts in new:
        ways = [(reach, target) for reach in reaches for target in reach.targets.get(user, ())[: reach.left[user]]]
        if ways:
            notified.append((user, room_pk, upto, read, now_ms, id_))
        for reach, target in ways:
            end: tuple[str | None, int | None] = (None, None)
            if free[reach.channel] > 0:
                free[reach.channel] -= 1
                capacity.taken(reach.channel)
                reach.left[user] -= 1
            else:
                end = "too many wait for this channel", now_ms
                dead.add((reach.channel, user))
            times = first_ts, now_ms, 0, now_ms
            notices.append((id_, reach.channel, target, user, room_pk, after, *times, *end, epoch))
    _NOTIFIED.run(connection, notified)
    _NOTICE.run(connection, notices)
    _bury(connection, dead, bounds)


def _unknown(connection: sqlite3.Connection, found: Sequence[NewNotice]) -> list[NewNotice]:
    """Those that were not found before."""
    known = set(_KNOWN.rows(connection, [(notice.user, notice.room_pk, notice.id) for notice in found]))
    return [notice for notice in found if (notice.user, notice.room_pk) not in known] if known else list(found)


class _Reach(NamedTuple):
    """The users whom a channel reaches, among some."""

    channel: str
    targets: Mapping[str, Sequence[int]]
    left: dict[str, int]
    """How many more notices may wait for each user."""


def _reach(connection: sqlite3.Connection, route: Route, users: Sequence[str], bounds: Bounds) -> _Reach:
    array = json_array(users)
    waiting = connection.execute(_WAITING, (array, route.channel, bounds.of_user))
    left = {user: bounds.of_user - count for user, count in waiting}
    if route.everybody:
        return _Reach(route.channel, dict.fromkeys(users, (0,)), left)
    if route.channel != "push":
        with_address = connection.execute(_WITH_ADDRESS, (array,))
        return _Reach(route.channel, {user: (0,) for (user,) in with_address}, left)
    devices: dict[str, list[int]] = {}
    for user, device in connection.execute(_DEVICES, (array,)):
        devices.setdefault(user, []).append(device)
    return _Reach(route.channel, devices, left)


def _bury(connection: sqlite3.Connection, dead: Collection[tuple[str, str]], bounds: Bounds) -> None:
    """Keep the latest dead letters: of the channels and their users that have new ones."""
    for channel, user in dead:
        connection.execute(
            """DELETE FROM notice WHERE (id, channel, target) IN (
                SELECT id, channel, target FROM notice WHERE user = ? AND channel = ? AND dead_ts IS NOT NULL
                ORDER BY dead_ts DESC LIMIT -1 OFFSET ?)""",
            (user, channel, bounds.of_user),
        )
    for channel in {channel for channel, _ in dead}:
        connection.execute(
            """DELETE FROM notice WHERE dead_ts IS NOT NULL AND (id, channel, target) IN (
                SELECT id, channel, target FROM notice WHERE channel = ? AND dead_ts IS NOT NULL
                ORDER BY dead_ts DESC LIMIT -1 OFFSET ?)""",
            (channel, bounds.dead),
        )


def finish(connection: sqlite3.Connection, attempts: Iterable[Attempt], bounds: Bounds) -> None:
    """Keep the outcomes of notices that a channel has tried."""
    dead: set[tuple[str, str]] = set()
    for each in attempts:
        key = (each.id, each.channel, each.target)
        if each.outcome in ("retry", "wait", "dead"):
            dead_ts = each.now_ms if each.outcome == "dead" else None
            row = connection.execute(
                """UPDATE notice SET tries = ?, next_ts = ?, reason = ?, dead_ts = ?
                   WHERE id = ? AND channel = ? AND target = ? RETURNING user""",
                (each.tries, each.next_ms, each.reason, dead_ts, *key),
            ).fetchone()
            if dead_ts is not None and row is not None:
                dead.add((each.channel, row[0]))
            elif each.outcome == "retry" and each.target:
                # A device that does not answer costs one try at a time, however much waits for it.
                connection.execute(
                    "UPDATE notice SET next_ts = max(next_ts, ?) WHERE channel = ? AND target = ? AND target <> 0"
                    " AND dead_ts IS NULL",
                    (each.next_ms, each.channel, each.target),
                )
            continue
        row = connection.execute(
            "DELETE FROM notice WHERE id = ? AND channel = ? AND target = ? RETURNING user, room_pk", key
        ).fetchone()
        if row is None:
            continue
        if each.outcome == "delivered":
            connection.execute(
                "UPDATE notified SET sent = 1 WHERE user = ? AND room_pk = ? AND id = ?", (*row, each.id)
            )
            continue
        if each.outcome == "gone" and each.target:
            forget_device(connection, each.target)
        # Nobody was told anything: the room is not quiet because of this.
        connection.execute(
            """DELETE FROM notified WHERE user = ? AND room_pk = ? AND id = ? AND sent = 0
               AND NOT EXISTS (SELECT 1 FROM notice WHERE id = notified.id)""",
            (*row, each.id),
        )
    _bury(connection, dead, bounds)


def revive(connection: sqlite3.Connection, channel: str | None, now_ms: int, capacity: Capacity) -> int:
    """Dead letters are tried for another 24 hours, from now on; how many."""
    capacity.forget()
    return connection.execute(
        """UPDATE notice SET dead_ts = NULL, tries = 0, made_ts = ?1, next_ts = ?1
           WHERE dead_ts IS NOT NULL AND (?2 IS NULL OR channel = ?2)""",
        (now_ms, channel),
    ).rowcount


# ---------------------------------------------------------------------------------------------- recorded


def record(connection: sqlite3.Connection, entry: AnyWish | AnyNoticeRecord) -> None:
    """Do what an entry of the log says. Entries that were done before change nothing."""
    if isinstance(entry, NoticesFound):
        add(connection, entry.found, entry.routes, entry.bounds, entry.now_ms, Capacity())
        for room_pk, upto in entry.looked.items():
            looked(connection, room_pk, upto)
    elif isinstance(entry, NoticesTried):
        finish(connection, entry.attempts, entry.bounds)
    elif isinstance(entry, NoticesRevived):
        revive(connection, entry.channel, entry.now_ms, Capacity())
    else:
        wish(connection, entry)


# ---------------------------------------------------------------------------------------------- what users want


def wish(connection: sqlite3.Connection, wished: AnyWish) -> None:
    """Record what a user wants."""
    if isinstance(wished, Silenced):
        _silence(connection, wished)
    elif isinstance(wished, MentionsWanted):
        statement = "INSERT OR IGNORE INTO mention_notice VALUES (?)"
        connection.execute(statement if wished.on else "DELETE FROM mention_notice WHERE user = ?", (wished.user,))
    elif isinstance(wished, QuietSet):
        if wished.hours is None:
            connection.execute("DELETE FROM quiet_hours WHERE user = ?", (wished.user,))
        else:
            connection.execute("INSERT OR REPLACE INTO quiet_hours VALUES (?, ?, ?, ?)", (wished.user, *wished.hours))
    elif isinstance(wished, Subscribed):
        _subscribe(connection, wished)
    elif isinstance(wished, Unsubscribed):
        for (device,) in connection.execute(
            "SELECT id FROM push_device WHERE user = ?1 AND (?2 IS NULL OR endpoint = ?2)", tuple(wished)
        ).fetchall():
            forget_device(connection, device)
    elif wished.address is None:
        connection.execute("DELETE FROM mail_address WHERE user = ?", (wished.user,))
    else:
        connection.execute("INSERT OR REPLACE INTO mail_address VALUES (?, ?)", wished)


def _silence(connection: sqlite3.Connection, wished: Silenced) -> None:
    """Past `MOST_SILENT` nothing is kept: the session has told the user before."""
    connection.execute(
        "DELETE FROM silent_room WHERE user = ? AND (room = ? OR until <= ?)", (wished.user, wished.room, wished.ts)
    )
    if wished.until is None or wished.until > wished.ts:
        connection.execute(
            "INSERT INTO silent_room SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM silent_room WHERE user = ?1) < ?4",
            (wished.user, wished.room, wished.until, MOST_SILENT),
        )


def _subscribe(connection: sqlite3.Connection, wished: Subscribed) -> None:
    """A device shows its notifications to the person in front of it: it is one user's at a time."""
    device = wished.device
    row = connection.execute("SELECT id, user FROM push_device WHERE endpoint = ?", (device.endpoint,)).fetchone()
    if row is not None and row[1] != wished.user:
        forget_device(connection, row[0])
    connection.execute(
        """INSERT INTO push_device (user, endpoint, p256dh, auth, ts, token) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (endpoint) DO UPDATE SET p256dh = excluded.p256dh, auth = excluded.auth, ts = excluded.ts,
               token = excluded.token""",
        (wished.user, *device, wished.ts, wished.token_id),
    )
    for (excess,) in connection.execute(
        "SELECT id FROM push_device WHERE user = ? ORDER BY ts DESC, id DESC LIMIT -1 OFFSET ?",
        (wished.user, MOST_DEVICES),
    ).fetchall():
        forget_device(connection, excess)


def forget_device(connection: sqlite3.Connection, device: int) -> None:
    """The device, and what waits for it."""
    connection.execute("DELETE FROM push_device WHERE id = ?", (device,))
    connection.execute("DELETE FROM notice WHERE channel = 'push' AND target = ? AND target <> 0", (device,))


def end_devices(connection: sqlite3.Connection, *, user: str | None = None, token_id: str | None = None) -> None:
    """Devices that were subscribed with a token of the user, or with this one token, are forgotten."""
    for (device,) in connection.execute(
        "SELECT id FROM push_device WHERE user = ? UNION SELECT id FROM push_device WHERE token = ?", (user, token_id)
    ).fetchall():
        forget_device(connection, device)
