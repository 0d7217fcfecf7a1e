"""The names of users that one viewer sees. Every list, page and notice that names somebody asks here.

Users who have blocked the viewer are told by their ids, as if they had never signed in, unless the two are in the same
group, whose members see each other's names: no path tells more than a search does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from gochat.ports.archive import Viewer
from gochat.store.listing import IN_GROUP


def users(connection: sqlite3.Connection, asked: Sequence[str]) -> dict[str, tuple[str, int | None]]:
    """Shown name and time last seen of those that ever signed in, whoever may know them."""
    if not asked:
        return {}
    marks = ", ".join("?" * len(asked))
    rows = connection.execute(f"SELECT id, name, last_seen FROM user WHERE id IN ({marks})", list(asked))
    return {user: (name or user, seen) for user, name, seen in rows}


def names(connection: sqlite3.Connection, viewer: Viewer, asked: Collection[str]) -> dict[str, str]:
    """Shown names of those that ever signed in, as far as the viewer may know them; see ports.Archive."""
    found = {user: name for user, (name, _) in users(connection, list(asked)).items()}
    without = unnamed(connection, viewer, found)
    return {user: name for user, name in found.items() if user not in without}


def unnamed(connection: sqlite3.Connection, viewer: Viewer, asked: Collection[str]) -> set[str]:
    """Those among the users whose names are not told to the viewer."""
    if viewer.admin or not asked:
        return set()
    marks = ", ".join("?" * len(asked))
    blockers = connection.execute(
        f"SELECT user FROM relation WHERE peer = ? AND user IN ({marks}) AND blocked_at IS NOT NULL",
        [viewer.user, *asked],
    ).fetchall()
    return hidden(connection, viewer.user, [user for (user,) in blockers])


def shown(connection: sqlite3.Connection, viewer: Viewer, asked: Collection[str]) -> Mapping[str, str]:
    """The word for each of `asked` where the viewer reads of them: the name, else the id."""
    found = names(connection, viewer, asked)
    return {user: found.get(user, user) for user in asked}


def hidden(connection: sqlite3.Connection, viewer: str, blockers: Iterable[str]) -> set[str]:
    """Those among the users who have blocked the viewer whose names are not told."""
    return {blocker for blocker in blockers if not share_a_group(connection, viewer, blocker)}


def share_a_group(connection: sqlite3.Connection, user: str, other: str) -> bool:
    """Looks at the groups of the user who is in fewer; private rooms are not looked at."""
    few, many = _fewer_groups_first(connection, user, other)
    row = connection.execute(
        f"""SELECT 1 FROM seat a CROSS JOIN seat b ON b.user = ? AND b.num = a.num AND b.{IN_GROUP}
            WHERE a.user = ? AND a.name >= 'group:' AND a.name < 'group;' LIMIT 1""",
        (many, few),
    ).fetchone()
    return row is not None


def _fewer_groups_first(connection: sqlite3.Connection, one: str, other: str) -> tuple[str, str]:
    """Counts no further than the fewer of the two reach, or little."""
    most = 16
    while True:
        for each, rest in ((one, other), (other, one)):
            (count,) = connection.execute(
                """SELECT count(*) FROM (SELECT 1 FROM seat WHERE user = ? AND name >= 'group:' AND name < 'group;'
                   LIMIT ?)""",
                (each, most),
            ).fetchone()
            if count < most:
                return each, rest
        most *= 4
