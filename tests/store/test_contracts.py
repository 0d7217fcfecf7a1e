"""The SQLite store keeps what the ports promise, with threads and inline."""

from __future__ import annotations

from gochat.ports.journal import Committed
from gochat.store import Store
from tests.appending import append_to
from tests.contracts.archive import ArchiveContract
from tests.contracts.archive_lists import ArchiveListsContract
from tests.contracts.journal import DM, JournalContract, message
from tests.contracts.lookups import LookupsContract
from tests.contracts.search import SearchContract


class TestJournal(JournalContract):
    async def test_the_facts_are_handed_back_not_copied(self, store: Store) -> None:
        batch = [message(DM, 1), message(DM, 2)]
        result = await append_to(store.journal, await store.journal.load(DM), batch)
        assert isinstance(result, Committed) and result.facts is batch


class TestLookups(LookupsContract):
    pass


class TestArchive(ArchiveContract, ArchiveListsContract, SearchContract):
    pass
