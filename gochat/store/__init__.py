"""SQLite: the journal that remembers, and the archive that is asked. `open` gives both."""

from gochat.store.store import Store, open_store

open = open_store

__all__ = ["Store", "open"]
