"""The tables, and how a connection is set up.

A fact's row id is its room's number and its seq in one integer: the newest facts of a room lie side by side, a page is
a range, and no second index is written for them.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import quote
from weakref import WeakValueDictionary

from gochat.domain.folding import ASCII_SIGNS, VERSION

MEMORY: Final = ":memory:"
#: How long a connection waits for a lock that another process holds, in milliseconds.
BUSY_MS = 5_000
#: Bits of a row id that hold the seq; the room's number stands above. Half a thousand million rooms, 17 thousand
#: million facts each (domain.ids.MAX_SEQ).
SEQ_BITS = 34
SEQ_MASK = (1 << SEQ_BITS) - 1

#: The words that users are found by.
USER_WORDS = """CREATE TABLE user_word (
    word TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (word, user)) WITHOUT ROWID"""
ROOMS = (
    """CREATE TABLE meta (epoch TEXT NOT NULL)""",
    # The number of the last transaction that wrote more than the tail: a row of its own, for it is written often.
    """CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), commits INTEGER NOT NULL)""",
    """INSERT INTO clock VALUES (1, 0)""",
    """CREATE TABLE room (
        num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, head INTEGER NOT NULL, ts INTEGER NOT NULL,
        messages INTEGER NOT NULL,          -- how many messages there ever were
        last INTEGER NOT NULL,              -- seq of the latest message
        indexed INTEGER NOT NULL DEFAULT 0, -- last seq that the full-text index holds
        title TEXT NOT NULL DEFAULT '', history TEXT NOT NULL DEFAULT 'all', post TEXT NOT NULL DEFAULT 'members',
        closed INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE fact (
        id INTEGER PRIMARY KEY, ts INTEGER NOT NULL, kind INTEGER NOT NULL, sender TEXT NOT NULL,
        body TEXT, key TEXT,
        target INTEGER, -- seq: of a message what it replies to, of an edit, a delete, a reaction what it is about
        data TEXT,      -- JSON: what only rare facts have
        n INTEGER NOT NULL, -- messages of the room up to and with this fact, for counting what is unread
        edit_seq INTEGER, edit_ts INTEGER, delete_seq INTEGER, delete_ts INTEGER)""",
    f"""CREATE UNIQUE INDEX fact_key ON fact (id >> {SEQ_BITS}, sender, key) WHERE key IS NOT NULL""",
    """CREATE INDEX fact_deleted ON fact (id) WHERE delete_seq IS NOT NULL""",
    # role: owner, moderator, member; former, with left_seq; or dm, for the two users of a private room.
    """CREATE TABLE seat (
        user TEXT NOT NULL, num INTEGER NOT NULL, role TEXT NOT NULL, since_seq INTEGER NOT NULL,
        since_ts INTEGER NOT NULL, read INTEGER NOT NULL, left_seq INTEGER, PRIMARY KEY (user, num)) WITHOUT ROWID""",
    """CREATE INDEX seat_room ON seat (num, user) WHERE role <> 'dm'""",
    """CREATE TABLE reaction (
        target INTEGER NOT NULL, user TEXT NOT NULL, emoji TEXT NOT NULL, is_on INTEGER NOT NULL,
        seq INTEGER NOT NULL, ts INTEGER NOT NULL, PRIMARY KEY (target, user, emoji)) WITHOUT ROWID""",
    """CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT, last_seen INTEGER) WITHOUT ROWID""",
    USER_WORDS,
)

# SQLite's tables are of Unicode 6.1: what they call unassigned may be a letter by now.
_OLD_TOKENS = """tokenize="unicode61 remove_diacritics 2 categories 'L* M* N* Co Cn'\""""
#: The index that m001 made and m002 replaces: every search of a room read the entries of all rooms for a word.
FIRST_SEARCH = f"""CREATE VIRTUAL TABLE search USING fts5 (room, body, content='', prefix='2 3', {_OLD_TOKENS})"""
#: The indexes that m002 made, for the first folding.
OLD_SEARCH = (
    f"""CREATE VIRTUAL TABLE search USING fts5 (body, content='', columnsize=0, {_OLD_TOKENS})""",
    f"""CREATE VIRTUAL TABLE message_word USING fts5 (body, content='', columnsize=0, detail=none, {_OLD_TOKENS})""",
)
# The text comes folded and cut (tokenizer.py): a word is the text between spaces, signs of ASCII included.
_TOKENS = f"""tokenize="ascii tokenchars '{ASCII_SIGNS}'\""""
#: The texts that have a word, twice: block by block (index.py), for frequent words; and all together, for rare words.
#: Of the latter table only row ids are wanted.
SEARCH = (
    f"""CREATE VIRTUAL TABLE search USING fts5 (body, content='', columnsize=0, {_TOKENS})""",
    f"""CREATE VIRTUAL TABLE message_word USING fts5 (body, content='', columnsize=0, detail=none, {_TOKENS})""",
    # No table of its own: that one's rows, word by word.
    """CREATE VIRTUAL TABLE message_word_row USING fts5vocab (message_word, instance)""",
)
#: The folding that the indexes were made by, and the parts that are still to be made anew (reindex.py).
FOLDING = (
    """CREATE TABLE folding (
        version INTEGER NOT NULL, -- of the folding
        users TEXT)               -- users up to this id have their words anew; NULL: all have""",
    f"""INSERT INTO folding VALUES ({VERSION}, NULL)""",
    # Facts of the room up to this seq are in the old index; of rooms that are not here none is.
    """CREATE TABLE reindex (num INTEGER PRIMARY KEY, upto INTEGER NOT NULL)""",
)
PEOPLE = (
    # The stance of `user` to `peer`: one row a side. `asked_at`: peer has asked to write, and all messages of theirs
    # above that seq wait. Nothing of it counts in the room's seq, for only one of the two may see it.
    """CREATE TABLE relation (
        user TEXT NOT NULL, peer TEXT NOT NULL, num INTEGER NOT NULL, contact INTEGER NOT NULL DEFAULT 0,
        blocked_at INTEGER,  -- the room's head when user blocked peer
        declined_ts INTEGER, -- when user declined peer
        asked_at INTEGER, asked_ts INTEGER,
        withheld_at INTEGER, -- nothing of the room above this seq is told to user: a request waits, or was declined
        PRIMARY KEY (user, peer)) WITHOUT ROWID""",
    """CREATE INDEX relation_blocked ON relation (peer, user) WHERE blocked_at IS NOT NULL""",
    """CREATE INDEX relation_apart ON relation (user, num)
        WHERE blocked_at IS NOT NULL OR withheld_at IS NOT NULL""",
    """CREATE INDEX relation_asked ON relation (user, peer) WHERE asked_at IS NOT NULL""",
    # The changes that led to a relation, in order; `at` is the room's head when the change was decided.
    """CREATE TABLE relation_change (
        num INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, ts INTEGER NOT NULL, user TEXT NOT NULL,
        change TEXT NOT NULL, PRIMARY KEY (num, n)) WITHOUT ROWID""",
    """CREATE INDEX relation_asks ON relation_change (user, ts) WHERE change = 'ask'""",
    # Users who may not write in a group, or not be in it; `until` NULL is until the sanction is taken back.
    """CREATE TABLE sanction (
        num INTEGER NOT NULL, user TEXT NOT NULL, kind TEXT NOT NULL, until INTEGER, ts INTEGER NOT NULL,
        PRIMARY KEY (num, user, kind)) WITHOUT ROWID""",
    """CREATE TABLE report (
        id INTEGER PRIMARY KEY, ts INTEGER NOT NULL, num INTEGER NOT NULL, seq INTEGER NOT NULL,
        user TEXT,          -- who reported it; NULL: a rule did
        rule TEXT, reason TEXT, closed_ts INTEGER, closed_by TEXT)""",
    """CREATE UNIQUE INDEX report_once ON report (num, seq, coalesce(user, ''), coalesce(rule, ''))
        WHERE closed_ts IS NULL""",
    """CREATE INDEX report_open ON report (num, id) WHERE closed_ts IS NULL""",
    """CREATE TABLE audit (
        id INTEGER PRIMARY KEY, ts INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
        room TEXT, subject TEXT, -- the user, message or report it is about
        detail TEXT)            -- JSON""",
    """CREATE TABLE suspension (
        user TEXT PRIMARY KEY, ts INTEGER NOT NULL, until INTEGER, actor TEXT NOT NULL, reason TEXT) WITHOUT ROWID""",
    # kind "jti": the token of that id; kind "user": all of the user's tokens issued up to `ts`, in milliseconds.
    """CREATE TABLE revocation (
        kind TEXT NOT NULL, value TEXT NOT NULL, ts INTEGER NOT NULL, PRIMARY KEY (kind, value)) WITHOUT ROWID""",
)
#: Transactions whose messages are not in the logs yet (write_buffer.py); JSON: [[room's number, [message, ...]], ...].
TAIL = ("CREATE TABLE tail (number INTEGER PRIMARY KEY, messages BLOB NOT NULL)",)
#: How often a node has started on this database (newest.py).
BOOT = (
    "CREATE TABLE boot (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL)",
    "INSERT INTO boot VALUES (1, 0)",
)
#: Up to which seq of a room texts that were too old are gone (expiry.py).
EXPIRED = ("CREATE TABLE expired (num INTEGER PRIMARY KEY, upto INTEGER NOT NULL)",)
#: The view that former members get follows from the log as it was when their time ended. Kinds as in rows.py: 3 is a
#: reaction, 5 a change of a group.
SIGHT = (
    f"""CREATE INDEX fact_reaction ON fact (id >> {SEQ_BITS}, target, sender, json_extract(data, '$.emoji'))
        WHERE kind = 3""",
    """CREATE INDEX fact_history ON fact (id) WHERE kind = 5 AND json_extract(data, '$.history') IS NOT NULL""",
    # Ids of deleted users, who are not let in and not written to until they are released.
    """CREATE TABLE tombstone (user TEXT PRIMARY KEY, ts INTEGER NOT NULL, released_ts INTEGER) WITHOUT ROWID""",
)
#: The data that lists read, so that they cost by the rows they return (listing.py, docs/decisions/reads.md).
READS = (
    "ALTER TABLE seat ADD COLUMN name TEXT",  # the name in the list: a group's id, the other user of a private room
    "ALTER TABLE seat ADD COLUMN latest INTEGER",  # of a private room: when its latest message came
    "CREATE INDEX seat_name ON seat (user, name) WHERE name IS NOT NULL",
    "CREATE INDEX seat_latest ON seat (user, latest) WHERE latest IS NOT NULL",
    # Members of a group and former members, apart: a list of the ones does not pass over the others.
    "DROP INDEX seat_room",
    "CREATE INDEX seat_member ON seat (num, user) WHERE role IN ('owner', 'moderator', 'member')",
    "CREATE INDEX seat_former ON seat (num, user) WHERE role = 'former'",
    "ALTER TABLE room ADD COLUMN members INTEGER NOT NULL DEFAULT 0",
    # By block of 1,024 seqs how many facts are no message or a deleted one, and how many of them are the latter.
    """CREATE TABLE skipped (
        num INTEGER NOT NULL, block INTEGER NOT NULL, facts INTEGER NOT NULL, deleted INTEGER NOT NULL,
        PRIMARY KEY (num, block)) WITHOUT ROWID""",
    "CREATE INDEX skipped_full ON skipped (num, block) WHERE facts = 1024",
    """CREATE INDEX relation_asking ON relation (user, asked_ts, peer)
        WHERE asked_at IS NOT NULL AND blocked_at IS NULL""",
    """CREATE INDEX relation_held ON relation (user, peer)
        WHERE contact OR blocked_at IS NOT NULL OR declined_ts IS NOT NULL""",
    "CREATE INDEX relation_blocks ON relation (user, peer) WHERE blocked_at IS NOT NULL",
    "CREATE INDEX report_queue ON report (id) WHERE closed_ts IS NULL",
)
#: How many users one added to groups who do not have one as a contact; kept for as long as they count.
ADDS = (
    "CREATE TABLE added (id INTEGER PRIMARY KEY, user TEXT NOT NULL, ts INTEGER NOT NULL, users INTEGER NOT NULL)",
    "CREATE INDEX added_user ON added (user, ts)",
)
#: Seats in private rooms whose `latest` may be behind the room's latest message (listing.py).
STALE = ("CREATE TABLE stale (user TEXT NOT NULL, num INTEGER NOT NULL, PRIMARY KEY (user, num)) WITHOUT ROWID",)
#: The groups that somebody owns, by name.
OWNERS = ("CREATE INDEX seat_owner ON seat (user, name) WHERE role = 'owner'",)
#: Notifications (store/notices.py). Columns called num hold `room.num`.
NOTICES = (
    # Rooms with messages that nobody has been notified of: up to one before `seq` all have been looked at.
    "CREATE TABLE notice_room (room_pk INTEGER PRIMARY KEY, seq INTEGER NOT NULL)",
    # Notices that wait for a channel, or were given up (`dead_ts`). `target`: a row of push_device, or 0.
    """CREATE TABLE notice (
        id TEXT NOT NULL, channel TEXT NOT NULL, target INTEGER NOT NULL, user TEXT NOT NULL, room_pk INTEGER NOT NULL,
        after INTEGER NOT NULL, first_ts INTEGER NOT NULL, -- of the burst
        made_ts INTEGER NOT NULL, tries INTEGER NOT NULL, next_ts INTEGER NOT NULL, reason TEXT, dead_ts INTEGER,
        PRIMARY KEY (id, channel, target)) WITHOUT ROWID""",
    "CREATE INDEX notice_next ON notice (channel, next_ts) WHERE dead_ts IS NULL",
    "CREATE INDEX notice_dead ON notice (channel, dead_ts) WHERE dead_ts IS NOT NULL",
    "CREATE INDEX notice_user ON notice (user, room_pk)",
    # The latest burst that a user was notified of in a room; `sent`: whether a channel delivered it.
    """CREATE TABLE notified (
        user TEXT NOT NULL, room_pk INTEGER NOT NULL, upto INTEGER NOT NULL, read INTEGER NOT NULL,
        ts INTEGER NOT NULL, id TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (user, room_pk)) WITHOUT ROWID""",
    # The wishes of users: rooms that are silent for them (until NULL: for good), hours, devices.
    """CREATE TABLE silent_room (
        user TEXT NOT NULL, room TEXT NOT NULL, until INTEGER, PRIMARY KEY (user, room)) WITHOUT ROWID""",
    """CREATE TABLE quiet_hours (
        user TEXT PRIMARY KEY, begin_minute INTEGER NOT NULL, end_minute INTEGER NOT NULL, tz TEXT NOT NULL)
        WITHOUT ROWID""",
    # `token`: the id of the token that the device was subscribed with.
    """CREATE TABLE push_device (
        id INTEGER PRIMARY KEY, user TEXT NOT NULL, endpoint TEXT NOT NULL UNIQUE, p256dh TEXT NOT NULL,
        auth TEXT NOT NULL, ts INTEGER NOT NULL, token TEXT)""",
    "CREATE INDEX push_device_user ON push_device (user)",
    "CREATE INDEX push_device_token ON push_device (token) WHERE token IS NOT NULL",
    "CREATE INDEX notice_target ON notice (channel, target) WHERE target <> 0",
    "CREATE TABLE mail_address (user TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID",
)
#: The messages that mention a user (mentions.py).
MENTIONS = (
    """CREATE TABLE mention (
        user TEXT NOT NULL, room_pk INTEGER NOT NULL, seq INTEGER NOT NULL, sender TEXT NOT NULL,
        PRIMARY KEY (user, room_pk, seq)) WITHOUT ROWID""",
)
#: The users who have mentioned a user in a room are found one by one, however many times each of them did.
MENTION_SENDERS = ("CREATE INDEX mention_sender ON mention (user, room_pk, sender, seq)",)
#: Up to where a room's facts have come to a user's devices; what was read has come, whatever stands here.
GOT = ("ALTER TABLE seat ADD COLUMN got INTEGER NOT NULL DEFAULT 0",)
#: Users who are notified of mentions in rooms that are silent for them.
MENTION_NOTICES = ("CREATE TABLE mention_notice (user TEXT PRIMARY KEY) WITHOUT ROWID",)
#: Empty where the database is no cluster's. It goes along into backups, from which other nodes are made.
CLUSTER = """CREATE TABLE cluster (
    one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, name TEXT NOT NULL,
    layout BLOB NOT NULL,    -- signed with the cluster's secret (cluster/layout.py)
    begun INTEGER NOT NULL)  -- whether the cluster's log has been begun, which happens once"""
#: Reports and the audit log are listed by time.
BY_TIME = (
    "CREATE INDEX audit_time ON audit (ts, id)",
    "CREATE INDEX report_time ON report (ts, id) WHERE closed_ts IS NULL",
    "CREATE INDEX report_of_room ON report (num, ts, id) WHERE closed_ts IS NULL",
    "DROP INDEX report_open",
    "DROP INDEX report_queue",
)
#: A cluster's log, as far as this node follows it (write/log_state.py).
LOG = (
    # The latest entries as they were read; id: the partition above the n.
    "CREATE TABLE log_entry (id INTEGER PRIMARY KEY, term INTEGER NOT NULL, data BLOB NOT NULL)",
    # After the last entry that is applied. `rooms`: how many were made in the partition; `producers`: JSON.
    """CREATE TABLE log_position (
        partition INTEGER PRIMARY KEY, term INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL,
        rooms INTEGER NOT NULL, producers TEXT NOT NULL)""",
    """CREATE TABLE log_node (
        partition INTEGER NOT NULL, instance TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (partition, instance))
        WITHOUT ROWID""",
    # The cluster's epoch, once the log has told it. A backup that is put back has another one in `meta`.
    "CREATE TABLE log_epoch (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL)",
    # The n of the last entry that changed what decisions about the room read.
    "ALTER TABLE room ADD COLUMN guard INTEGER NOT NULL DEFAULT 0",
)
#: The servers that a node of a cluster has answered in a repair (cluster/repair.py).
ANSWERS = ("CREATE TABLE log_answer (partition INTEGER PRIMARY KEY, server TEXT NOT NULL)",)
#: Of each entry that is kept a sum over its place and its bytes; NULL where an earlier release wrote it.
LOG_SUMS = ("ALTER TABLE log_entry ADD COLUMN crc INTEGER",)
#: An earlier release forgot an answer with its repair.
BALLOTS = ("ALTER TABLE log_answer ADD COLUMN ballot INTEGER NOT NULL DEFAULT 0",)
#: The epoch in which a notice was kept is a part of the id that receivers know it by.
NOTICE_EPOCHS = (
    "ALTER TABLE notice ADD COLUMN epoch TEXT NOT NULL DEFAULT ''",
    "UPDATE notice SET epoch = coalesce((SELECT epoch FROM log_epoch), (SELECT epoch FROM meta))",
)


#: Entries that were read together share a row: `data` has them end to end, `sizes` says in JSON how many bytes each
#: has; all are of one term, and the id is the last one's. NULL: `data` is one entry.
LOG_RUNS = ("ALTER TABLE log_entry ADD COLUMN sizes BLOB",)


class Migration(NamedTuple):
    told: str
    """The change that it makes, for the log of a node that makes it."""
    statements: Sequence[str]
    """Carried out in one transaction; migrations.py may have code that follows them in it."""


#: The migrations, each applied once to a database, in this order. A database that had others is a newer release's.
MIGRATIONS: Final[dict[str, Migration]] = {
    "m001_first": Migration("rooms and their logs, users, the full-text index", (*ROOMS, FIRST_SEARCH)),
    "m002_people": Migration("relations between users, moderation, audit", ("DROP TABLE search", *OLD_SEARCH, *PEOPLE)),
    "m003_tail": Migration("messages are committed in the order they come, and merged into the logs later", TAIL),
    "m004_boot": Migration("starts are counted, so that a copy that was put back is noticed", BOOT),
    "m005_expired": Migration("texts may end with their age; it is kept up to where they have", EXPIRED),
    "m006_sight": Migration("former members see a room as it was; deleted users leave a tombstone", SIGHT),
    "m007_reads": Migration("lists cost by what they return", READS),
    "m008_folding": Migration("search folds as people type; data is indexed anew while the node runs", FOLDING),
    "m009_adds": Migration("users who are added to groups by no contact of theirs are counted", ADDS),
    "m010_stale": Migration("the order of private rooms is kept up for those that rarely talk", STALE),
    "m011_owners": Migration("the groups that a user owns are found without a look at all of the user's", OWNERS),
    "m012_notices": Migration("users who are away are notified", NOTICES),
    "m013_mentions": Migration("messages that mention a user are counted; earlier ones mention nobody", MENTIONS),
    "m014_got": Migration("it is kept how far a room's facts have come to its users' devices", GOT),
    "m015_mention_notices": Migration("users may be notified of mentions in rooms that are silent", MENTION_NOTICES),
    "m016_cluster": Migration("a database may be one node's copy of a cluster's; so far none is", (CLUSTER,)),
    "m017_log": Migration("a node of a cluster keeps how far it follows the cluster's log", LOG),
    "m018_mention_senders": Migration("mentions are counted past those of users whom one has blocked", MENTION_SENDERS),
    "m019_by_time": Migration("reports and the audit log are listed by time", BY_TIME),
    "m020_answers": Migration("a node of a cluster keeps which servers it has answered in a repair", ANSWERS),
    "m021_log_sums": Migration("a node of a cluster puts back no entry that its disk has changed", LOG_SUMS),
    "m022_ballots": Migration("a node of a cluster keeps in which ballots it has answered", BALLOTS),
    "m023_notice_epochs": Migration("notifications keep their ids when the epoch becomes another one", NOTICE_EPOCHS),
    "m024_log_runs": Migration("a node of a cluster keeps the entries that it reads together in one row", LOG_RUNS),
}
KNOWN: Final = frozenset(MIGRATIONS)

#: The tables for notifications that hold something of a user, in a column of that name.
NOTICES_OF_USERS = (
    "notice",
    "notified",
    "silent_room",
    "mention_notice",
    "quiet_hours",
    "push_device",
    "mail_address",
)
#: The number of the last transaction, as this connection sees it.
LAST_COMMIT = "SELECT max(commits, coalesce((SELECT max(number) FROM tail), 0)) FROM clock"

#: The warning about an SQLite that has the bug.
WAL_RESET_BUG: Final = (
    "this SQLite has the WAL-reset bug, which can damage a database that two connections write to at once. gochat uses"
    " one; while it runs no other program may open gochat.db: `gochat backup` copies it"
)


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether SQLite of that version may damage a database when two connections write, or make checkpoints, at once
    (sqlite.org/wal.html, "the WAL-reset bug"). Distributions may have mended it without another number."""
    if (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51):
        return False
    return (3, 7) <= version < (3, 51, 3)


class Writing(sqlite3.Connection):
    """The one connection that writes, and that brings the log file into the database (docs/decisions/one-writer.md)."""

    open: ClassVar[WeakValueDictionary[str, Writing]] = WeakValueDictionary()
    """By the file's real path."""
    path = ""

    def close(self) -> None:
        try:
            super().close()
        finally:
            if self.open.get(self.path) is self:
                del self.open[self.path]


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit, which no thread owns: the caller sees to it that one uses it at a time.

    Only one that may write exists at a time: a second one is a fault, and raises RuntimeError. One that is `read_only`
    has the file open for reading alone: it can neither write nor make a checkpoint, not even when it is the last to be
    closed; it makes no file either.
    """
    connection = _opened(path, read_only=read_only and path != MEMORY)
    try:
        set_up(connection, read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def set_up(connection: sqlite3.Connection, *, read_only: bool = False) -> None:
    """Set what holds for as long as the connection does."""
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    # A page that is damaged is found when it is read, not by what it leads to.
    connection.execute("PRAGMA cell_size_check = ON")
    if not read_only:
        # FULL: a commit survives power loss. NORMAL would lose the last ones, acked or not.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_mode = WAL")
        # Deleted text is overwritten where that costs no further write.
        connection.execute("PRAGMA secure_delete = FAST")
        # 64 MB: a hot page is written back once for many commits; reading that much back at a start takes 0.1 s.
        connection.execute("PRAGMA wal_autocheckpoint = 16000")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = MEMORY")


def _opened(path: str, *, read_only: bool) -> sqlite3.Connection:
    settings: dict[str, Any] = {"isolation_level": None, "check_same_thread": False, "cached_statements": 256}
    if read_only:
        path = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
        connection: sqlite3.Connection = sqlite3.connect(path, uri=True, **settings)
        return connection
    if path == MEMORY:
        connection = sqlite3.connect(path, **settings)
        return connection
    return _one_writing(path, settings)


def _one_writing(path: str, settings: dict[str, Any]) -> Writing:
    path = str(Path(path).resolve())
    if path in Writing.open:
        raise RuntimeError(f"{path} has a connection that writes already: two could damage it")
    connection = sqlite3.connect(path, factory=Writing, **settings)
    connection.path = path
    Writing.open[path] = connection
    return connection


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


def migrations_of(connection: sqlite3.Connection) -> set[str]:
    """The migrations that the database has; none where it is not gochat's. Asked at each start, without sqlite-utils,
    which takes long to load."""
    if not has_table(connection, "_sqlite_migrations"):
        return set()
    found = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'gochat'")
    return {name for (name,) in found}


def new_epoch() -> str:
    return secrets.token_urlsafe(9)
