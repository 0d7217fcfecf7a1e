"""The migrations, each applied once to a database, in order; sqlite-utils keeps the books.

A new database is what all of them make of nothing. A new migration is added below, and its name to `schema.KNOWN`.
"""

from __future__ import annotations

import sqlite3

import sqlite_utils
from sqlite_utils import Migrations

from gochat.store import schema
from gochat.store.listing import BLOCK_BITS, IN_GROUP, relist
from gochat.store.rows import MESSAGE
from gochat.store.search import reindex
from gochat.store.search.cut_first import CUTTER

migrations = Migrations("gochat")


@migrations()
def m001_first(db: sqlite_utils.Database) -> None:
    """Rooms and their logs; what follows from the logs; users; the full-text index."""
    for statement in (*schema.ROOMS, schema.FIRST_SEARCH):
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES (?)", (schema.new_epoch(),))


@migrations()
def m002_people(db: sqlite_utils.Database) -> None:
    """Relations between users, moderation, audit. Until now anybody could write to anybody; who did still may.

    The indexes are laid out anew. The writer feeds those of messages from the logs, a slice at a time, while the
    node runs; until it is level older messages are missing in searches.
    """
    for statement in ("DROP TABLE search", *schema.OLD_SEARCH, *schema.PEOPLE):
        db.execute(statement)
    db.execute("UPDATE room SET indexed = 0")
    db.execute("DELETE FROM user_word")
    for user, name in db.execute("SELECT id, name FROM user").fetchall():
        words = [(word, user) for word in CUTTER.name_words(user, name)]
        db.conn.executemany("INSERT INTO user_word VALUES (?, ?)", words)
    db.execute(
        "WITH pair AS MATERIALIZED (SELECT num, min(user) AS one, max(user) AS other FROM seat WHERE role = 'dm'"
        " GROUP BY num HAVING one <> other) INSERT INTO relation (user, peer, num, contact)"
        " SELECT one, other, num, 1 FROM pair UNION ALL SELECT other, one, num, 1 FROM pair"
    )


@migrations()
def m003_tail(db: sqlite_utils.Database) -> None:
    """Messages are committed in the order they come, and merged into the logs later."""
    for statement in schema.TAIL:
        db.execute(statement)


@migrations()
def m004_boot(db: sqlite_utils.Database) -> None:
    """Starts are counted, so that a copy that was put back is noticed."""
    for statement in schema.BOOT:
        db.execute(statement)


@migrations()
def m005_expired(db: sqlite_utils.Database) -> None:
    """Texts may end with their age; it is kept up to where they have."""
    for statement in schema.EXPIRED:
        db.execute(statement)


@migrations()
def m006_sight(db: sqlite_utils.Database) -> None:
    """Former members see a room as it was when their time in it ended; deleted users leave a tombstone. A request
    whose messages were all deleted no longer asks."""
    for statement in schema.SIGHT:
        db.execute(statement)
    db.execute(
        f"""UPDATE relation SET asked_at = NULL, asked_ts = NULL WHERE asked_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM fact f WHERE f.id > (relation.num << {schema.SEQ_BITS}) + relation.asked_at
              AND f.id <= (relation.num << {schema.SEQ_BITS}) + {schema.SEQ_MASK} AND f.kind = 0
              AND f.delete_seq IS NULL)
            AND NOT EXISTS (SELECT 1 FROM tail t, json_each(CAST(t.messages AS TEXT)) j
                WHERE json_extract(j.value, '$[0]') = relation.num)"""
    )


@migrations()
def m007_reads(db: sqlite_utils.Database) -> None:
    """Lists cost by what they return: what they are read from is made of the logs, in one look at all of them."""
    for statement in schema.READS:
        db.execute(statement)
    db.execute(
        f"""INSERT INTO skipped SELECT id >> {schema.SEQ_BITS}, (id & {schema.SEQ_MASK}) >> {BLOCK_BITS}, count(*),
                count(delete_seq) FROM fact WHERE kind <> {MESSAGE} OR delete_seq IS NOT NULL GROUP BY 1, 2"""
    )
    db.execute(f"UPDATE seat SET name = (SELECT id FROM room r WHERE r.num = seat.num) WHERE {IN_GROUP}")
    db.execute(
        f"""UPDATE room SET members = s.members FROM (
                SELECT num, count(*) AS members FROM seat WHERE {IN_GROUP} GROUP BY num) AS s WHERE s.num = room.num"""
    )
    for room_pk, room in db.execute("SELECT num, id FROM room WHERE id LIKE 'dm:%'").fetchall():
        relist(db.conn, room_pk, room)


@migrations()
def m008_folding(db: sqlite_utils.Database) -> None:
    """Search folds as people type, in every script. Existing data is indexed anew while the node runs (reindex.py)."""
    for statement in schema.FOLDING:
        db.execute(statement)
    reindex.begin(db.conn)


@migrations()
def m009_adds(db: sqlite_utils.Database) -> None:
    """Users who are added to groups by somebody who is no contact of theirs are counted."""
    for statement in schema.ADDS:
        db.execute(statement)


@migrations()
def m010_stale(db: sqlite_utils.Database) -> None:
    """The order of private rooms is kept up for those that rarely talk; few a user that talk often are looked at."""
    for statement in schema.STALE:
        db.execute(statement)


@migrations()
def m011_owners(db: sqlite_utils.Database) -> None:
    """The groups that one owns are found without a look at all of one's groups."""
    for statement in schema.OWNERS:
        db.execute(statement)


@migrations()
def m012_notices(db: sqlite_utils.Database) -> None:
    """Users who are away are notified; it is kept who is to be told what, and what users want of it."""
    for statement in schema.NOTICES:
        db.execute(statement)


@migrations()
def m013_mentions(db: sqlite_utils.Database) -> None:
    """Messages that mention a user are found by the user, to be counted. Earlier messages mention nobody."""
    for statement in schema.MENTIONS:
        db.execute(statement)


@migrations()
def m014_got(db: sqlite_utils.Database) -> None:
    """It is kept how far a room's facts have come to its users' devices."""
    for statement in schema.GOT:
        db.execute(statement)


@migrations()
def m015_mention_notices(db: sqlite_utils.Database) -> None:
    """Users may want to be notified of mentions in rooms that are silent for them."""
    for statement in schema.MENTION_NOTICES:
        db.execute(statement)


@migrations()
def m016_cluster(db: sqlite_utils.Database) -> None:
    """A database may be one node's copy of a cluster's; then it says of which one. So far none is."""
    db.execute(schema.CLUSTER)


@migrations()
def m017_log(db: sqlite_utils.Database) -> None:
    """A node of a cluster keeps how far it follows the cluster's log, and the latest entries."""
    for statement in schema.LOG:
        db.execute(statement)


@migrations()
def m018_mention_senders(db: sqlite_utils.Database) -> None:
    """Unread mentions are counted past those of users whom one has blocked, however many these are."""
    for statement in schema.MENTION_SENDERS:
        db.execute(statement)


@migrations()
def m019_by_time(db: sqlite_utils.Database) -> None:
    """Reports and the audit log are listed by time: their ids need not rise with it."""
    for statement in schema.BY_TIME:
        db.execute(statement)


def apply(connection: sqlite3.Connection, *, before: str | None = None) -> None:
    """Apply those that are missing, each in a transaction of its own, or in the one that is open. With `before` only
    those that come before this one."""
    migrations.apply(sqlite_utils.Database(connection), stop_before=before)


def told(name: str) -> str:
    """The change that a migration makes, in a line."""
    (found,) = [each for each in migrations.pending(sqlite_utils.Database(memory=True)) if each.name == name]
    return (found.fn.__doc__ or "").strip().splitlines()[0]
