"""Puts many messages into a server's database at once, while no server uses it: a million in a few seconds, where
sending them would take minutes. This is the one place that knows the server's tables (gochat/store/schema.py); a test
has a real server read what was written here.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from bench.faults import Broken

_SEQ_BITS = 34
_CHUNK = 10_000
_WORDS = 1000
_SENTENCES = 1009


def word(number: int) -> str:
    """A made-up word; the smaller the number the more often it is said."""
    syllables = ("ka", "lo", "mi", "ne", "pu", "ra", "so", "ti", "va", "zu")
    return "".join(syllables[int(digit)] for digit in f"{number % _WORDS:03d}")


def sentences(size: int) -> list[str]:
    """Of words by Zipf's law, the same each time; about `size` characters."""
    rng = random.Random(3)
    weights = [1 / (number + 1) for number in range(_WORDS)]
    most = size // 7 + 1  # Six letters and a space.
    return [" ".join(map(word, rng.choices(range(_WORDS), weights, k=most)))[:size].rstrip() for _ in range(_SENTENCES)]


def body(texts: Sequence[str], seq: int) -> str:
    """Of the message at `seq` of any room that was filled."""
    return f"{seq:08d} {texts[seq % len(texts)]}"


def fill(database: Path, room: str, messages: int, texts: Sequence[str], *, index: bool) -> None:
    """Have `messages` more messages in the room, written by its members in turn. The room must be there with at least
    one fact. `index`: into the full-text index too; else the server takes them for indexed. Raises Broken."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        try:
            with _fast(connection):
                _fill(connection, room, messages, texts, index=index)
        except sqlite3.Error as error:
            raise Broken(f"{database}: can't be filled: {error}") from None


@contextmanager
def _fast(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction, not flushed before its end."""
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -262144")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _fill(connection: sqlite3.Connection, room: str, messages: int, texts: Sequence[str], *, index: bool) -> None:
    row = connection.execute("SELECT num, head, messages, ts FROM room WHERE id = ?", (room,)).fetchone()
    if row is None:
        raise Broken(f"{room} is not in the database")
    room_pk, head, before, ts = row
    members = [user for (user,) in connection.execute("SELECT user FROM seat WHERE num = ? ORDER BY user", (room_pk,))]
    connection.execute("CREATE TEMP TABLE said (n INTEGER PRIMARY KEY, body TEXT)")
    connection.executemany("INSERT INTO said VALUES (?, ?)", enumerate(texts))
    connection.execute("CREATE TEMP TABLE writer (n INTEGER PRIMARY KEY, user TEXT)")
    connection.executemany("INSERT INTO writer VALUES (?, ?)", enumerate(members))
    values = {
        "base": room_pk << _SEQ_BITS,
        "head": head,
        "last": head + messages,
        "before": before,
        "ts": ts,
        "texts": len(texts),
        "members": len(members),
    }
    connection.execute(
        """WITH RECURSIVE seqs (seq) AS (SELECT :head + 1 UNION ALL SELECT seq + 1 FROM seqs WHERE seq < :last)
        INSERT INTO fact (id, ts, kind, sender, body, n)
        SELECT :base | seq, :ts, 0, writer.user, printf('%08d ', seq) || said.body, :before + seq - :head
        FROM seqs CROSS JOIN said ON said.n = seq % :texts CROSS JOIN writer ON writer.n = seq % :members""",
        values,
    )
    if index:
        from gochat.store.search.index import put  # a third of the time that `python -m bench` takes to load

        rows = connection.execute("SELECT id, body FROM fact WHERE id > :base + :head AND id <= :base + :last", values)
        while chunk := rows.fetchmany(_CHUNK):
            put(connection, chunk)
    connection.execute(
        """UPDATE room SET head = :last, messages = :before + :last - :head, last = :last, indexed = :last
        WHERE id = :room""",
        {**values, "room": room},
    )
