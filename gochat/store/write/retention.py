"""Sweeps over all rooms for texts that are too old, a slice at a time: in a running node, or in a stopped one's."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import trio

from gochat.domain.plurals import counted
from gochat.domain.relationship import RelationChange
from gochat.domain.side_records import Related
from gochat.errors import Damaged, StoreError
from gochat.store.folder import check_alone
from gochat.store.health import Health
from gochat.store.read import rules
from gochat.store.read.pool import Readers
from gochat.store.schema import connect
from gochat.store.setup import note, prepare
from gochat.store.thread import Worker
from gochat.store.write import expiry, side_records
from gochat.store.write.committer import Committer
from gochat.store.write.expiry import Cutoffs, Withdrawal
from gochat.store.write.transaction import Writer

log = logging.getLogger(__name__)

#: Rooms that are looked at in one read: some 5 ms.
ROOMS = 1000
#: Between two slices, so that commits come first: at most some 2,000 messages a second.
REST_S = 0.05
DAY_MS = 86_400_000
#: Where a walk over requests begins.
FIRST = ("", "")


def cutoffs(groups_days: int, private_days: int, now_ms: int) -> Cutoffs:
    """0 days: for ever."""
    return Cutoffs(*(now_ms - days * DAY_MS if days else None for days in (groups_days, private_days)))


class Retention:
    """In a running node. A message edited or deleted meanwhile ends as if the change had come before or after."""

    def __init__(self, readers: Readers, committer: Worker[Committer], health: Health) -> None:
        self._readers = readers
        self._committer = committer
        self._health = health

    async def sweep(self, found: Cutoffs, now_ms: int) -> int:
        """Once over all rooms; how many messages lost their texts. Rooms that a damaged page hides are left out, and
        health is told. Raises StoreError."""
        messages = rooms = 0
        after: int | None = 0
        while after is not None:
            olds, after = await self._old_rooms(found, after)
            for old in olds:
                more = True
                while more:
                    done = await self._committer.call(partial(Committer.expire, old=old, now_ms=now_ms))
                    messages, more = messages + done.messages, done.more
                    await trio.sleep(REST_S)
                rooms += 1
        if messages:
            log.info("retention took the texts of %s in %s", counted(messages, "old message"), counted(rooms, "room"))
        return messages

    async def _old_rooms(self, found: Cutoffs, after: int) -> tuple[list[expiry.Old], int | None]:
        try:
            return await self._readers.call(partial(expiry.old_rooms, cutoffs=found, after=after, most=ROOMS))
        except Damaged:
            sound = await self._readers.call(partial(expiry.old_sound_rooms, cutoffs=found, after=after, most=ROOMS))
        for room_pk, error in sound.left_out.items():
            self._health.damaged(f"what is too old in room {room_pk}: {error}")
        return sound.found, sound.after

    async def spent_requests(self, after: tuple[str, str]) -> tuple[list[Withdrawal], tuple[str, str] | None]:
        """Of the next requests that wait those whose messages all seem to have expired, and where to go on; from
        `FIRST`. Only their rooms can say for sure. Raises StoreError."""
        return await self._readers.call(partial(expiry.spent_requests, after=after, most=ROOMS))


def _withdraw_all(connection: sqlite3.Connection, now_ms: int) -> None:
    """Requests of a stopped node whose messages all expired ask no more. Where messages wait to be merged the node sees
    to it."""
    after: tuple[str, str] | None = FIRST
    while after is not None and connection.execute("SELECT 1 FROM tail LIMIT 1").fetchone() is None:
        found, after = expiry.spent_requests(connection, after, ROOMS)
        connection.execute("BEGIN IMMEDIATE")
        for each in found:
            relation = rules.relation(connection, each.room_pk, each.room)
            (head,) = connection.execute("SELECT head FROM room WHERE num = ?", (each.room_pk,)).fetchone()
            if relation is not None and relation.asked == each.asked:
                change = RelationChange(relation.changes + 1, head, now_ms, each.requester, "withdraw")
                side_records.write(connection, each.room_pk, each.room, [Related(change, relation.apply(change))])
        connection.execute("COMMIT")


def expire_all(database: Path, days: tuple[int, int], now_ms: int) -> int:
    """In a stopped node's database, of groups and of private rooms; how many messages lost their texts. Raises
    StoreError: what was done until then stays done."""
    if not database.is_file():
        raise StoreError(f"there is no file {database}")
    check_alone(database)
    prepare(str(database))
    found, messages = cutoffs(*days, now_ms), 0
    try:
        with closing(connect(str(database))) as connection:
            writer = Writer(connection)
            after: int | None = 0
            while after is not None:
                olds, after = expiry.old_rooms(connection, found, after, ROOMS)
                for old in olds:
                    more = True
                    while more:
                        done = writer.expire(old, now_ms)
                        messages, more = messages + done.messages, done.more
            _withdraw_all(connection, now_ms)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        note(database)
    except sqlite3.Error as error:
        raise StoreError(f"{database}: {error}; run it again to go on") from error
    return messages
