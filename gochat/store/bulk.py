"""Statements over many rows.

Each statement is a moment in which other threads take the GIL, and getting it back may cost milliseconds. So rows go in
by the hundred with one statement, whichever rooms they belong to.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from gochat.store.rows import Row

CHUNKS = (256, 64, 16, 4, 1)
_ASCENDING = CHUNKS[::-1]


class BulkInsert:
    """A statement over many rows: `head VALUES (?, ...), ... tail`, in chunks that the statement cache keeps."""

    def __init__(self, head: str, columns: int, write_buffer: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._statements = {size: f"{head} VALUES {', '.join([row] * size)} {write_buffer}" for size in CHUNKS}

    def of(self, size: int) -> str:
        """The statement over so many rows, which is one of CHUNKS."""
        return self._statements[size]

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        for values, size in self._chunks(rows):
            connection.execute(self._statements[size], values)

    def rows(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
        """The rows that the query gives, over all of the chunks."""
        found: list[Row] = []
        for values, size in self._chunks(rows):
            found += connection.execute(self._statements[size], values)
        return found

    @staticmethod
    def _chunks(rows: Sequence[Row]) -> Iterator[tuple[list[Any], int]]:
        begin, left = 0, len(rows)
        for size in CHUNKS:
            while left >= size:
                yield list(chain.from_iterable(rows[begin : begin + size])), size
                begin, left = begin + size, left - size


class ExistsQuery:
    """A query over many rows, to learn no more than whether it gives one. A row of NULLs must give none: such rows fill
    up a chunk, so that nearly always it is one statement."""

    def __init__(self, head: str, columns: int, write_buffer: str) -> None:
        self._insert = BulkInsert(head, columns, write_buffer)
        self._nothing = (None,) * columns

    def finds(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> bool:
        for begin in range(0, len(rows), CHUNKS[0]):
            chunk = rows[begin : begin + CHUNKS[0]]
            size = _ASCENDING[bisect_left(_ASCENDING, len(chunk))]
            values = list(chain.from_iterable(chunk))
            values += self._nothing * (size - len(chunk))
            if connection.execute(self._insert.of(size), values).fetchone() is not None:
                return True
        return False


def json_array(values: Collection[str]) -> str:
    """One parameter that stands for many: `IN (SELECT value FROM json_each(?))`."""
    return msgspec.json.encode(list(values)).decode()
