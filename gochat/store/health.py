"""The faults of the database, as far as anybody has met them: for readiness, metrics, the log and the caller."""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from pathlib import Path

import msgspec

from gochat.errors import Damaged, StoreError

log = logging.getLogger(__name__)

#: The same problem is logged this often at most; every request meets it again.
LOG_EVERY_S = 60.0

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: BaseException) -> bool:
    """Whether the file does not hold what was written: trying again is of no use."""
    if isinstance(error, Damaged | msgspec.MsgspecError | UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.Error):
        return False
    # Text that is none is told without a code (CPython's _sqlite/cursor.c).
    return _code(error) in _DAMAGE or str(error).startswith("Could not decode to UTF-8")


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


#: SQLite's error about a text that is not UTF-8 ends with the text itself, which is somebody's message: no log gets it.
_WITH_TEXT = re.compile(r" with text .*", re.DOTALL)


class Health:
    """Written in any of the store's threads, read in the loop."""

    def __init__(self, path: str | Path = "") -> None:
        self._name = Path(path).name or "the database"
        self._path = str(path)
        self.damage: str | None = None
        """The first damage that was found. It stays until the node starts anew: damage does not heal."""
        self.reading: str | None = None
        """Why the last read failed; None when it did not."""
        self.writing: str | None = None
        """Why nothing can be written now; None when it can."""
        self.failed_reads = 0
        self.unindexed: set[int] = set()
        """Numbers of rooms of which new messages can't be put into the search index."""
        self.index_lost = False
        """Whether that may be so of any room."""
        self._logged: dict[str, float] = {}

    @property
    def problem(self) -> str | None:
        """The fault that keeps the node from serving all that it should, fit to tell anybody: it names no room."""
        if self.damage is not None:
            return f"{self._name} is damaged; the log says where"
        return self.writing or self.reading

    def failed(self, doing: str, error: Exception) -> StoreError:
        """Take note of what made reading fail; the error to raise instead."""
        self.failed_reads += 1
        if is_damage(error):
            return self.damaged(str(error))
        if isinstance(error, StoreError):
            return error
        if not isinstance(error, sqlite3.Error) or _code(error) != sqlite3.SQLITE_INTERRUPT:
            self.reading = f"{self._name} can't be read: {error}"
            self._log(self.reading)
        return StoreError(f"{doing}: {error}")

    def read(self) -> None:
        """Reading works."""
        self.reading = None

    def damaged(self, what: str) -> Damaged:
        """Take note of damage."""
        told = f"{self._name} is damaged: {_WITH_TEXT.sub('', what)}"
        if self.damage is None:
            self.damage = told
        self._log(told)
        return Damaged(told)

    def _log(self, told: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(told, -LOG_EVERY_S) >= LOG_EVERY_S:
            if len(self._logged) > 1000:
                self._logged.clear()
            self._logged[told] = now
            log.error("%s (%s); `gochat doctor` and docs/howto/data.md say what to do", told, self._path)
