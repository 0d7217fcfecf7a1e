"""Names of a node within its cluster, in a file beside its database: `gochat.cluster`, of three lines. A fourth one
says that the folder joined.

They are not in the database, since databases are copied: a copy that runs as a second node must not pass for the first.
The file is written once, whole, and its name is on the disk before it counts. Without it the folder belongs to no
cluster (store/folder.py).
"""

from __future__ import annotations

import binascii
import os
import re
import secrets
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gochat.cluster.ports import PARTITIONS
from gochat.durable import sync_folder
from gochat.errors import StoreError

FILE_NAME: Final = "gochat.cluster"
_ID: Final = re.compile(r"[0-9a-f]{16}")
_JOINED: Final = "joined"
#: Slots of a Redis Cluster.
SLOTS: Final = 16_384
#: How many of a cluster's partitions one of so many equal primaries may hold.
_MOST_ON_ONE: Final = {2: 8, 3: 6, 6: 3}


class Marker(NamedTuple):
    """The contents of the file."""

    cluster: str
    """The cluster's id, for ever."""
    instance: str
    """The data folder's, for its life."""
    name: str
    """The cluster's, for people, and for finding its id on a server."""
    joined: bool = False
    """Whether the folder was made for a cluster that was there. A folder that an older release made says no."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A node, as one that takes part in a cluster."""

    cluster: str
    """The cluster's id."""
    secret: str
    """The secret that the cluster's nodes share, of any length."""
    instance: str
    """Of the data folder, for its life."""
    boot: str
    """Of this start: no other has it."""
    above: int = 0
    """No room, report or audit entry has a greater number that was there before the cluster."""
    joined: bool = False
    """Whether the data folder was made for a cluster that was there, which it knows nothing of until it has read its
    log."""

    def __repr__(self) -> str:
        return f"Identity(cluster={self.cluster!r}, instance={self.instance!r}, boot={self.boot!r})"


def read(folder: Path) -> Marker | None:
    """None where the folder belongs to no cluster. Raises StoreError where the file can't be read or understood: then
    nobody knows, and the folder must be neither served nor written to."""
    return read_file(folder / FILE_NAME)


def read_file(file: Path) -> Marker | None:
    """The same of the file by itself, which has another name where it is kept aside."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} can't be read: {error}") from error
    joined = lines[3:] == [_JOINED]
    if len(lines) != 3 + joined or not (_ID.fullmatch(lines[0]) and _ID.fullmatch(lines[1]) and lines[2]):
        raise StoreError(
            f"{file} is damaged: it should hold the ids of the cluster and of this folder, and the cluster's name; make"
            " the folder anew by `gochat cluster join`"
        )
    cluster, instance, name = lines[:3]
    return Marker(cluster, instance, name, joined)


def write(folder: Path, cluster: str, name: str, *, joined: bool) -> Marker:
    """Make the folder one of the cluster's, as an instance that never was before. Raises StoreError; then the folder is
    as it was."""
    marker = Marker(cluster, new_id(), name, joined)
    file = folder / FILE_NAME
    part = folder / f".{FILE_NAME}.part"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write("".join(f"{line}\n" for line in (*marker[:3], *([_JOINED] if joined else []))))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
        sync_folder(folder)
    except (OSError, UnicodeEncodeError) as error:
        part.unlink(missing_ok=True)
        raise StoreError(f"{file} can't be written: {error}") from error
    return marker


def remove(folder: Path) -> None:
    """Take the folder out of its cluster. Raises StoreError."""
    try:
        (folder / FILE_NAME).unlink(missing_ok=True)
        sync_folder(folder)
    except OSError as error:
        raise StoreError(f"{folder / FILE_NAME} can't be removed: {error}") from error


def new_id() -> str:
    """For an instance or a boot."""
    return secrets.token_hex(8)


def new_cluster_id() -> str:
    """An id whose partitions are spread evenly enough over the primaries of a Redis Cluster of 2, 3 or 6. Some 65 are
    drawn, of 100 us each."""
    while True:
        drawn = secrets.token_hex(8)
        if all(_most_on_one(drawn, primaries) <= most for primaries, most in _MOST_ON_ONE.items()):
            return drawn


def _most_on_one(cluster: str, primaries: int) -> int:
    """How many partitions the primary has that has most, where each has as many slots as any other."""
    held = [0] * primaries
    for partition in range(PARTITIONS):
        held[slot_of(f"{cluster}.{partition}") * primaries // SLOTS] += 1
    return max(held)


def slot_of(tag: str) -> int:
    """The slot of all keys that have this in braces."""
    return binascii.crc_hqx(tag.encode(), 0) % SLOTS
