"""The SQLite store keeps what the ports promise, with threads and inline."""

from __future__ import annotations

from tests.contracts.journal import JournalContract


class TestJournal(JournalContract):
    pass
