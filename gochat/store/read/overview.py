"""Lists that an admin looks over: users, rooms, suspensions. Each goes by id, a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from gochat.domain.folding import words
from gochat.protocol.entries import Account, RoomOverview, Suspension
from gochat.store.schema import SEQ_BITS
from gochat.store.search.searches import Budget

#: The first ids behind those of groups and of private rooms: ids begin with `group:` and `dm:`.
_RANGES: Final = {False: ("group:", "group;"), True: ("dm:", "dm;")}

#: Groups that are looked at for one page of those with certain words in their titles: some 50 ms of a searching thread.
LOOKED_AT: Final = 20_000


def accounts(
    connection: sqlite3.Connection, user: str | None, now_ms: int, limit: int, cursor: str | None
) -> tuple[list[Account], str | None]:
    """Users who ever signed in. `sessions` is left at 0: the store can't know which users are online."""
    where, values = ("AND u.id = ?", [user]) if user is not None else ("", [])
    rows = connection.execute(
        f"""SELECT u.id, coalesce(nullif(u.name, ''), u.id), u.last_seen, s.user IS NOT NULL, s.until
            FROM user u LEFT JOIN suspension s ON s.user = u.id AND (s.until IS NULL OR s.until > ?)
            WHERE u.id > ? {where} ORDER BY u.id LIMIT ?""",
        (now_ms, cursor or "", *values, limit + 1),
    ).fetchall()
    entries = [
        Account(user=id_, name=name, last_seen=seen, suspended=bool(suspended), until=until)
        for id_, name, seen, suspended, until in rows[:limit]
    ]
    return entries, entries[-1].user if len(rows) > limit else None


def page_of_rooms(user: str | None, private: bool, limit: int, cursor: str | None) -> tuple[str, list[str | int]]:
    """The query of the ids that `rooms` shows, and one more; and its values."""
    low, high = _RANGES[private]
    after = cursor if cursor is not None and low <= cursor < high else low
    if user is None:
        return "SELECT id FROM room WHERE id > ? AND id < ? AND closed = 0 ORDER BY id LIMIT ?", [
            after,
            high,
            limit + 1,
        ]
    if not private:
        # A seat has the name of a group while the user is in it, and while there is the group.
        return "SELECT name FROM seat WHERE user = ? AND name > ? AND name < ? ORDER BY name LIMIT ?", [
            user,
            after,
            high,
            limit + 1,
        ]
    return (
        """SELECT r.id FROM seat s JOIN room r ON r.num = s.num
           WHERE s.user = ? AND s.role <> 'former' AND r.id > ? AND r.id < ? AND r.closed = 0 ORDER BY r.id LIMIT ?""",
        [user, after, high, limit + 1],
    )


def rooms(
    connection: sqlite3.Connection, user: str | None, private: bool, limit: int, cursor: str | None
) -> tuple[list[RoomOverview], str | None]:
    """Groups or private rooms that are not closed; of one user, those that the user is in."""
    found = _entries(connection, *page_of_rooms(user, private, limit, cursor))
    return found[:limit], found[limit - 1].room if len(found) > limit else None


def rooms_of(connection: sqlite3.Connection, ids: Sequence[str]) -> list[RoomOverview]:
    """These rooms, by id, as far as they are there."""
    return _entries(connection, ", ".join("?" * len(ids)), ids)


def _entries(connection: sqlite3.Connection, ids: str, values: Sequence[str | int]) -> list[RoomOverview]:
    """The rooms whose ids the query `ids` gives, by id."""
    found = connection.execute(
        f"""SELECT r.id, r.title, r.head, r.messages, r.ts,
                (SELECT ts FROM fact WHERE id = (r.num << {SEQ_BITS}) + r.last AND r.last > 0)
            FROM room r WHERE r.id IN ({ids}) ORDER BY r.id""",
        values,
    )
    return [
        RoomOverview(room=id_, title=title, head=head, messages=messages, ts=ts, last_message=last)
        for id_, title, head, messages, ts, last in found
    ]


def groups_named(
    connection: sqlite3.Connection,
    user: str | None,
    wanted: Sequence[str],
    limit: int,
    cursor: str | None,
    budget: Budget,
) -> tuple[list[str], str | None]:
    """The ids of groups whose title and id have the wanted words, and the cursor of the next page. Titles have no
    index: groups are looked at in the order of their ids."""
    ids, values = page_of_rooms(user, False, LOOKED_AT, cursor)
    found: list[str] = []
    last = None
    rows = connection.execute(f"SELECT id, title FROM room WHERE id IN ({ids}) ORDER BY id", values)
    for looked_at, (room, title) in enumerate(rows):
        if len(found) == limit or looked_at == LOOKED_AT:
            return found, last
        last = room
        budget.spend()
        named = (*words(title or ""), *words(room.removeprefix("group:")))
        if all(any(word.startswith(each) for word in named) for each in wanted):
            found.append(room)
    return found, None


def suspensions(
    connection: sqlite3.Connection, now_ms: int, limit: int, cursor: str | None
) -> tuple[list[Suspension], str | None]:
    """Users who are suspended now."""
    rows = connection.execute(
        """SELECT user, ts, until, actor, reason FROM suspension
           WHERE user > ? AND (until IS NULL OR until > ?) ORDER BY user LIMIT ?""",
        (cursor or "", now_ms, limit + 1),
    ).fetchall()
    entries = [
        Suspension(user=user, ts=ts, until=until, by=actor, reason=reason)
        for user, ts, until, actor, reason in rows[:limit]
    ]
    return entries, entries[-1].user if len(rows) > limit else None
