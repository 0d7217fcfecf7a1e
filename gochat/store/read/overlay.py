"""The tail as seen by readers that can't merge it: a node while nothing can be written, and programs that read a node's
database beside the node.

SQLite uses the indexes of the tables below a view of two only where it can run the query once for each of them. It
can't in a LEFT JOIN, in an aggregate, and where the order is by something that is no column of the result: then it goes
over all facts of the database. So a query that may run here

- asks `main.fact` for edits, reactions, changes of a group, and deleted messages: the tail holds none of these;
- asks `main.seat` where it names an index: the tail changes no more of a seat than `read` and `latest`;
- joins with `main.fact`, and takes the columns by `column_of`;
- has what it orders by among its columns, and counts what a subquery has found.
"""

from __future__ import annotations

import sqlite3

from gochat.domain.ids import dm_users, is_dm
from gochat.store import mentions
from gochat.store.rows import WRITTEN, written
from gochat.store.schema import SEQ_BITS
from gochat.store.write import write_buffer

_TABLES = (
    "CREATE TEMP TABLE late_fact AS SELECT * FROM main.fact LIMIT 0",
    "CREATE UNIQUE INDEX temp.late_id ON late_fact (id)",
    "CREATE TEMP TABLE late_room (num INTEGER PRIMARY KEY, head, ts, messages, last)",
    "CREATE TEMP TABLE late_mention AS SELECT * FROM main.mention LIMIT 0",
    "CREATE UNIQUE INDEX temp.late_mentioned ON late_mention (user, room_pk, seq)",
    "CREATE TEMP TABLE late_read (user, num, read, PRIMARY KEY (user, num)) WITHOUT ROWID",
    "CREATE TEMP TABLE late_stale (user, num, PRIMARY KEY (user, num)) WITHOUT ROWID",
)
# A name without a schema is looked for in the temporary schema first.
_VIEWS = (
    "CREATE TEMP VIEW fact AS SELECT * FROM main.fact UNION ALL SELECT * FROM temp.late_fact",
    "CREATE TEMP VIEW mention AS SELECT * FROM main.mention UNION ALL SELECT * FROM temp.late_mention",
    """CREATE TEMP VIEW room AS SELECT num, id, coalesce(l.head, r.head) AS head, coalesce(l.ts, r.ts) AS ts,
        coalesce(l.messages, r.messages) AS messages, coalesce(l.last, r.last) AS last, indexed, title, history, post,
        closed, members FROM main.room r LEFT JOIN temp.late_room l USING (num)""",
    """CREATE TEMP VIEW seat AS SELECT user, num, role, since_seq, since_ts, max(s.read, coalesce(l.read, 0)) AS read,
        left_seq, name, got,
        max(latest, coalesce((SELECT ts FROM temp.late_room r WHERE r.num = s.num), 0)) AS latest
        FROM main.seat s LEFT JOIN temp.late_read l USING (user, num)""",
    "CREATE TEMP VIEW stale AS SELECT * FROM main.stale UNION ALL SELECT * FROM temp.late_stale",
)


def column_of(column: str, alias: str, row_id: str) -> str:
    """The column of the fact with the id `row_id`, for a query that has `LEFT JOIN main.fact {alias}` on that id. The
    subquery finds messages of the tail; it runs only where the column of the join is NULL."""
    return f"coalesce({alias}.{column}, (SELECT {column} FROM fact WHERE id = {row_id}))"


def overlay(connection: sqlite3.Connection) -> None:
    """Let `fact`, `mention`, `room`, `seat` and `stale` show on this connection what they will be once the tail is
    merged, as it is in the read transaction that is open; `stale` has all private rooms of the tail. Temporary tables
    hold the tail; the database is only read."""
    late = write_buffer.unmerged(connection)
    if not late:
        return
    for statement in _TABLES:
        connection.execute(statement)
    for room_pk, messages in late.items():
        (count,) = connection.execute("SELECT messages FROM main.room WHERE num = ?", (room_pk,)).fetchone()
        rows = [written(room_pk << SEQ_BITS, message, count + n) for n, message in enumerate(messages, 1)]
        connection.executemany(f"INSERT INTO late_fact ({WRITTEN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        mentioned = [
            row for each in messages for row in mentions.rows(room_pk, each.seq, each.sender, each.mentions or ())
        ]
        connection.executemany("INSERT OR REPLACE INTO late_mention VALUES (?, ?, ?, ?)", mentioned)
        last = messages[-1]
        connection.execute(
            "INSERT INTO late_room VALUES (?, ?, ?, ?, ?)",
            (room_pk, last.seq, last.ts, count + len(messages), last.seq),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO late_read VALUES (?, ?, ?)",
            [(message.sender, room_pk, message.seq) for message in messages],
        )
        if is_dm(last.room):
            users = set(dm_users(last.room))
            connection.executemany("INSERT INTO late_stale VALUES (?, ?)", [(user, room_pk) for user in users])
    for statement in _VIEWS:
        connection.execute(statement)
