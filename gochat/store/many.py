"""Statements over many rows.

Each statement is a moment in which other threads take the GIL, and getting it back may cost milliseconds. So rows go in
by the hundred with one statement, whichever rooms they belong to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gochat.store.rows import Row

CHUNKS = (256, 64, 16, 4, 1)


class Many:
    """A statement over many rows: `head VALUES (?, ...), ... tail`, in chunks that the statement cache keeps."""

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        self._statements = {size: f"{head} VALUES {', '.join([row] * size)} {tail}" for size in CHUNKS}

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> bool:
        """Whether a chunk gave a row; it ends there."""
        begin, left = 0, len(rows)
        for size in CHUNKS:
            while left >= size:
                values = [value for row in rows[begin : begin + size] for value in row]
                if connection.execute(self._statements[size], values).fetchone() is not None:
                    return True
                begin, left = begin + size, left - size
        return False
