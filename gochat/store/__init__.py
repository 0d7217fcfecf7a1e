"""SQLite: the journal that remembers, what decisions look up, and the archive that is asked. `open` gives all of them;
`open_inline` does too, and does their work in the caller's thread; `open_simulated` does it when a simulation wants."""

from gochat.store.store import Store, open_inline, open_simulated, open_store

open = open_store

__all__ = ["Store", "open", "open_inline", "open_simulated"]
