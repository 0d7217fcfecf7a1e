"""The file beside the database that says how new it was: by it a copy that was put back is noticed.

Clients hold positions in the logs. A database that is older than what they were told would let them skip what is
recorded from now on; so it gets a new epoch, and they start anew. See docs/decisions/newest.md.

The file is one line, well within a sector of the disk, written in place and synced only at a start and at a clean end:
after power loss it is what was synced, or newer. Too old does no harm but that less is noticed.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

import msgspec

from gochat.durable import sync_folder

log = logging.getLogger(__name__)

#: Bytes that a disk writes whole.
_BYTES: Final = 512


class Newest(msgspec.Struct, frozen=True):
    """How new a database is."""

    epoch: str
    boot: int
    """How often a node has started on it."""
    commit: int
    """The number of its last transaction."""


def file_of(database: Path) -> Path:
    """No name that begins as the database's own does: a copy of gochat.db* shall not take it along."""
    return database.with_name(f"{database.stem}.newest")


def read(database: Path) -> Newest | None:
    """The contents of the file; None where there is no file, or nothing in it can be understood. A file that the disk
    or its permissions keep from us is logged."""
    try:
        return msgspec.json.decode(file_of(database).read_bytes(), type=Newest)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None  # The caller says why the database gets a new epoch.
    except OSError as error:
        log.warning("how new the database must be can't be read: %s", error)
        return None


def why_older(found: Newest, noted: Newest | None) -> str | None:
    """Why the database that was found may be older than what clients were told; None where it is not."""
    if noted is None:
        # Nothing was noted before boots were counted.
        return "the file that says how new it must be is missing or makes no sense" if found.boot else None
    if noted.epoch != found.epoch:
        return "it is another database than the one that was here"
    if noted.boot > found.boot:
        return f"it is from start {found.boot} of the node, and {noted.boot} was here"
    if noted.boot == found.boot and noted.commit > found.commit:
        return f"it ends at transaction {found.commit}, and {noted.commit} was here"
    return None


class Note:
    """The file, open. Its methods wait for the disk."""

    def __init__(self, database: Path, newest: Newest) -> None:
        """Write it, and sync it. Raises OSError."""
        self.newest = newest
        self._failed = False
        self._file = os.open(file_of(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._write(newest)
            os.fsync(self._file)
            sync_folder(database.parent)
        except BaseException:
            os.close(self._file)
            raise

    def move(self, commit: int) -> None:
        """The database is as new as this now."""
        newest = Newest(self.newest.epoch, self.newest.boot, commit)
        try:
            self._write(newest)
        except OSError as error:
            if not self._failed:
                log.warning("how new the database is can't be noted: %s", error)
            self._failed = True
            return
        self.newest, self._failed = newest, False

    def close(self, commit: int) -> None:
        self.move(commit)
        try:
            os.fsync(self._file)
        except OSError as error:
            log.warning("how new the database is can't be noted: %s", error)
        os.close(self._file)

    def _write(self, newest: Newest) -> None:
        os.pwrite(self._file, msgspec.json.encode(newest).ljust(_BYTES - 1) + b"\n", 0)
