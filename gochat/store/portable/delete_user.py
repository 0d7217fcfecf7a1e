"""Takes away the data kept of a user. The logs stay dense: everything that the user said is deleted by facts, as the
user could have done, and clients learn of these facts as of any others.

Each step looks at the data still there and takes it away in whole transactions: started again after a kill, the step
goes on where it was, and once done it finds nothing. The data that stays, and the reasons: docs/decisions/user-data.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from gochat.domain import facts
from gochat.domain.facts import AnyFact
from gochat.domain.membership import Candidate, successor
from gochat.errors import StoreError
from gochat.ports.journal import DuplicateKeys
from gochat.store.folder import check_alone
from gochat.store.listing import IN_GROUP, relist
from gochat.store.portable.export_room import Progress
from gochat.store.rows import MESSAGE
from gochat.store.schema import NOTICES_OF_USERS, SEQ_BITS, SEQ_MASK, connect
from gochat.store.search import reindex
from gochat.store.setup import note, prepare
from gochat.store.write.logs import Batch
from gochat.store.write.transaction import Writer

#: Facts in a transaction.
CHUNK = 1000


class Removed(msgspec.Struct):
    """The data that this run took away."""

    user: str
    messages: int = 0
    reactions: int = 0
    groups_left: int = 0
    groups_closed: int = 0
    successors: dict[str, str] = {}
    """New owners, by group."""
    keys: int = 0
    relations: int = 0
    reports: int = 0


def delete_user(database: Path, user: str, *, now_ms: int, progress: Progress = lambda done, goal: None) -> Removed:
    """Nobody else may use the database. Raises StoreError, also where nothing is kept of the user."""
    if not database.is_file():
        raise StoreError(f"there is no file {database}")
    check_alone(database)
    prepare(str(database))
    try:
        with closing(connect(str(database))) as connection:
            # Not FAST, which leaves on the disk what lies in pages that come free.
            connection.execute("PRAGMA secure_delete = ON")
            done = _Deletion(connection, user, now_ms, progress).run()
        note(database)
        return done
    except sqlite3.Error as error:
        raise StoreError(f"{database}: {error}; run it again to go on") from error


def release_user(database: Path, user: str, *, now_ms: int) -> None:
    """Let the id of a deleted user be somebody's again. Its new user finds nothing of the former one: no groups to read
    up to their end, no messages in private rooms, no place in anybody's contacts. The decisions of others about the id
    stay: blocks, bans, mutes, a suspension. Nobody else may use the database. Raises StoreError, also where no user of
    this id was deleted."""
    if not database.is_file():
        raise StoreError(f"there is no file {database}")
    check_alone(database)
    prepare(str(database))
    try:
        with closing(connect(str(database))) as connection:
            Writer(connection)  # Messages in the tail belong to the logs that are hidden here.
            connection.execute("BEGIN IMMEDIATE")
            released = connection.execute(
                "UPDATE tombstone SET released_ts = ? WHERE user = ? AND released_ts IS NULL", (now_ms, user)
            ).rowcount
            if not released:
                raise StoreError(f"no user {user} was deleted, or the id is released already")
            for statement in _RELEASE:
                connection.execute(statement, {"user": user, "now_ms": now_ms})
            for room_pk, room in connection.execute(
                "SELECT s.num, r.id FROM seat s JOIN room r ON r.num = s.num WHERE s.user = ?", (user,)
            ).fetchall():
                relist(connection, room_pk, room)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{database}: {error}") from error


_RELEASE = (
    "DELETE FROM seat WHERE user = :user AND role <> 'dm'",
    """UPDATE seat SET since_seq = (SELECT head FROM room r WHERE r.num = seat.num) + 1, since_ts = :now_ms,
        read = (SELECT head FROM room r WHERE r.num = seat.num) WHERE user = :user""",
    "DELETE FROM relation WHERE user = :user OR (peer = :user AND blocked_at IS NULL)",
    """UPDATE relation SET contact = 0, declined_ts = NULL, asked_at = NULL, asked_ts = NULL, withheld_at = NULL
        WHERE peer = :user""",
)


class _Deletion:
    def __init__(self, connection: sqlite3.Connection, user: str, now_ms: int, progress: Progress) -> None:
        self._connection = connection
        self._writer = Writer(connection)
        self._user = user
        self._now_ms = now_ms
        self._progress = progress
        self._removed = Removed(user)

    def run(self) -> Removed:
        messages, reactions = self._written(), self._reactions()
        if not (messages or reactions or self._known()):
            raise StoreError(f"nothing is kept of a user {self._user}")
        self._revoke()
        goal = len(messages) + len(reactions)
        self._record(self._deletes(messages), goal)
        self._record(self._offs(reactions), goal)
        self._leave()
        self._forget_keys()
        self._forget_person()
        self._overwrite()
        return self._removed

    # ------------------------------------------------------------------------------------------ what there is

    def _known(self) -> bool:
        return any(
            self._connection.execute(f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1", (self._user,)).fetchone()
            for table, column in (("user", "id"), ("seat", "user"), ("fact", "sender"), ("relation", "user"))
        )

    def _written(self) -> list[int]:
        """Row ids of the user's messages that are not deleted."""
        found = self._connection.execute(
            f"SELECT id FROM fact WHERE sender = ? AND kind = {MESSAGE} AND delete_seq IS NULL ORDER BY id",
            (self._user,),
        )
        return [row_id for (row_id,) in found]

    def _reactions(self) -> list[tuple[int, str]]:
        """The user's reactions to messages of others that are still there."""
        return self._connection.execute(
            """SELECT x.target, x.emoji FROM reaction x JOIN fact f ON f.id = x.target
                WHERE x.user = ? AND x.is_on AND f.delete_seq IS NULL AND f.sender <> x.user
                ORDER BY x.target, x.emoji""",
            (self._user,),
        ).fetchall()

    # ------------------------------------------------------------------------------------------ facts

    def _deletes(self, messages: list[int]) -> Iterator[tuple[int, AnyFact]]:
        for row_id in messages:
            yield row_id >> SEQ_BITS, facts.Delete(**self._unnumbered, target=row_id & SEQ_MASK)

    def _offs(self, reactions: list[tuple[int, str]]) -> Iterator[tuple[int, AnyFact]]:
        for target, emoji in reactions:
            fact = facts.Reaction(**self._unnumbered, target=target & SEQ_MASK, emoji=emoji, on=False)
            yield target >> SEQ_BITS, fact

    @property
    def _unnumbered(self) -> dict[str, Any]:
        return {"room": "", "seq": 0, "ts": 0, "sender": self._user}

    def _record(self, found: Iterable[tuple[int, AnyFact]], goal: int) -> None:
        """Facts that have no number yet, by their rooms' numbers, which come in order."""
        for room_pk, of_room in groupby(found, key=lambda pair: pair[0]):
            chunk: list[AnyFact] = []
            for _, fact in of_room:
                chunk.append(fact)
                if len(chunk) == CHUNK:
                    self._append(room_pk, chunk)
                    chunk = []
            if chunk:
                self._append(room_pk, chunk)
            self._progress(self._removed.messages + self._removed.reactions, goal)

    def _append(self, room_pk: int, unnumbered: list[AnyFact]) -> None:
        room, head, ts = self._connection.execute("SELECT id, head, ts FROM room WHERE num = ?", (room_pk,)).fetchone()
        numbered = [
            msgspec.structs.replace(fact, room=room, seq=head + place, ts=max(ts, self._now_ms))
            for place, fact in enumerate(unnumbered, 1)
        ]
        (result,) = self._writer.record([Batch(room, room_pk, numbered)], None)
        if isinstance(result, StoreError):
            raise result
        assert not isinstance(result, DuplicateKeys)
        self._removed.messages += sum(isinstance(fact, facts.Delete) for fact in numbered)
        self._removed.reactions += sum(isinstance(fact, facts.Reaction) for fact in numbered)

    # ------------------------------------------------------------------------------------------ groups

    def _leave(self) -> None:
        for room_pk, room, role in self._connection.execute(
            """SELECT s.num, r.id, s.role FROM seat s JOIN room r ON r.num = s.num
               WHERE s.user = ? AND s.role IN ('owner', 'moderator', 'member') ORDER BY s.num""",
            (self._user,),
        ).fetchall():
            others = self._others(room_pk)
            if not others:
                self._append(room_pk, [facts.Closed(**self._unnumbered)])
                self._removed.groups_closed += 1
                continue
            left: list[AnyFact] = [self._change([self._user], "left")]
            heir = successor(others) if role == "owner" else None
            if heir is not None:
                left.insert(0, self._change([heir], "role", "owner"))
                self._removed.successors[room] = heir
            self._append(room_pk, left)
            self._removed.groups_left += 1

    def _others(self, room_pk: int) -> list[Candidate]:
        """The group's other members."""
        rows = self._connection.execute(
            f"""SELECT s.user, s.role, s.since_seq, p.user IS NOT NULL FROM seat s
                LEFT JOIN suspension p ON p.user = s.user WHERE s.num = ? AND s.user <> ? AND s.{IN_GROUP}""",
            (room_pk, self._user),
        )
        return [Candidate(user, role, since_seq, bool(suspended)) for user, role, since_seq, suspended in rows]

    def _change(self, users: list[str], change: facts.Change, role: facts.Role | None = None) -> facts.Member:
        return facts.Member(**self._unnumbered, users=users, change=change, role=role)

    # ------------------------------------------------------------------------------------------ what is in no log

    def _revoke(self) -> None:
        """A device that comes back with an old token would send again what it holds."""
        self._write(
            [
                (
                    "INSERT INTO revocation VALUES ('user', ?, ?) ON CONFLICT DO UPDATE SET ts = max(ts, excluded.ts)",
                    (self._user, self._now_ms),
                ),
                (
                    "INSERT INTO tombstone (user, ts) VALUES (?, ?)"
                    " ON CONFLICT DO UPDATE SET ts = excluded.ts, released_ts = NULL",
                    (self._user, self._now_ms),
                ),
            ]
        )

    def _forget_keys(self) -> None:
        """They may say something, and nobody will repeat a message by them any more."""
        (self._removed.keys,) = self._write(
            [
                (
                    f"UPDATE fact SET key = NULL WHERE sender = ? AND kind = {MESSAGE} AND key IS NOT NULL",
                    (self._user,),
                ),
            ]
        )

    def _forget_person(self) -> None:
        one = (self._user,)
        counts = self._write([
            ("DELETE FROM relation WHERE user = ?", one),
            ("DELETE FROM relation_change WHERE user = ?", one),
            # A request of theirs that waits has nothing to show any more.
            ("""DELETE FROM relation WHERE peer = ? AND asked_at IS NOT NULL AND NOT contact AND blocked_at IS NULL
                AND declined_ts IS NULL""", one),
            ("""UPDATE relation SET asked_at = NULL, asked_ts = NULL, withheld_at = NULL
                WHERE peer = ? AND withheld_at IS NOT NULL""", one),
            ("DELETE FROM report WHERE user = ? AND closed_ts IS NOT NULL", one),
            ("UPDATE report SET reason = NULL WHERE user = ? AND reason IS NOT NULL", one),
            ("UPDATE seat SET read = 0, got = 0 WHERE user = ? AND (read > 0 OR got > 0)", one),
            *((f"DELETE FROM {table} WHERE user = ?", one) for table in NOTICES_OF_USERS),
            *((f"DELETE FROM {names.table} WHERE user = ?", one) for names in reindex.names(self._connection)),
            ("DELETE FROM mention WHERE user = ?", one),
            ("DELETE FROM added WHERE user = ?", one),
            ("DELETE FROM user WHERE id = ?", one),
        ], after=self._relist)  # fmt: skip
        self._removed.relations, self._removed.reports = counts[0], counts[4] + counts[5]

    def _relist(self) -> None:
        """List the private rooms anew: the relations of the others to the user have changed."""
        for room_pk, room in self._connection.execute(
            "SELECT r.num, r.id FROM seat s JOIN room r ON r.num = s.num WHERE s.user = ? AND s.role = 'dm'",
            (self._user,),
        ).fetchall():
            relist(self._connection, room_pk, room)

    def _write(
        self, statements: list[tuple[str, tuple[object, ...]]], after: Callable[[], None] = lambda: None
    ) -> list[int]:
        """One transaction, in which `after` is called last; how many rows each statement changed."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            counts = [self._connection.execute(statement, values).rowcount for statement, values in statements]
            after()
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return counts

    def _overwrite(self) -> None:
        """Words that were deleted stay in the segments of the indexes until these are merged; VACUUM writes all pages
        anew, so that nothing lies in what was free before; the log file holds old pages until it is cut."""
        for index in reindex.indexes(self._connection):
            for table in (index.blocks, index.words):
                self._connection.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
