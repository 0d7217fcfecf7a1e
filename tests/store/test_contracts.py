"""The SQLite store keeps what the ports promise, with threads and inline."""

from __future__ import annotations

from tests.contracts.archive import ArchiveContract
from tests.contracts.journal import JournalContract
from tests.contracts.search import SearchContract


class TestJournal(JournalContract):
    pass


class TestArchive(ArchiveContract, SearchContract):
    pass
