"""A node's data folder: what is where in it, and the lock that keeps it to one process.

The lock is the kernel's (flock): it ends with the process, however that ends. The file stays; taking it away would let
two processes hold two locks of one name.

A folder that is one node's copy of what a cluster holds has a file `gochat.cluster`, whose first line is the id of the
cluster (cluster/identity.py). Every record in it must come by the cluster's log, in the same order on every node: a
node alone does not serve a folder with that file, and commands that write to the database past the node (import,
deletion and release of users, expiry) refuse it. A backup does not have the file, and neither has the folder that it is
put back into: it is a database of its own, until it joins again. Where `gochat cluster join` replaces a node's database
the file is put aside first (store/portable/restore.py); a join that is cut short then leaves a folder that is still the
node's, though the file is not in its place.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from gochat.errors import ConfigError, StoreError
from gochat.store.portable import cluster as of_cluster

LOCK: Final = "lock"
#: See the module.
CLUSTER: Final = "gochat.cluster"

_ANOTHER = "a node needs a folder of its own that it can write to; --data or node.data name another"


class FolderInUse(ConfigError):
    """Another process has the data folder."""

    hint = "stop it first, or name another folder with --data"

    def __init__(self, data: Path, process: str) -> None:
        super().__init__("node.data", str(data.absolute()), f"another gochat works in this folder (process {process})")
        self.process = process


def database(data: Path) -> Path:
    """The file that holds everything."""
    return data / "gochat.db"


def owns(name: str) -> bool:
    """Whether a file of that name in the folder is, or may be, the node's own."""
    return name.startswith("gochat.") or name in (LOCK, "auth.secret")


def cluster(data: Path) -> str | None:
    """The id of the cluster that the folder belongs to; None where it belongs to none. Raises StoreError where that
    can't be told: then nothing may be written past the node."""
    try:
        return (data / CLUSTER).read_text(encoding="ascii").partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{data / CLUSTER} can't be read: {error}") from error


def check_alone(database: Path) -> None:
    """Raises StoreError where the database belongs to a cluster, so that no command may write to it by itself."""
    if cluster(database.parent) is not None or cut_short(database.parent) is not None:
        raise StoreError(
            f"{database.parent} belongs to a cluster, and this would change one node's copy alone; it can't be done"
            " there yet"
        )


def marker_of(kept: Path) -> Path:
    """The name of the file `gochat.cluster` of a database that is kept aside, if it had one."""
    return kept.with_name(CLUSTER + kept.name.removeprefix(database(kept.parent).name))


def cut_short(data: Path) -> Path | None:
    """The second name of the folder's database where a join put aside the file CLUSTER and was cut short before another
    database came; None elsewhere. A database that is in the place of the one that is kept is another file, though it
    may say the same: it must never have that file."""
    current = database(data)
    if (data / CLUSTER).exists() or not current.exists():
        return None
    for marker in data.glob(f"{CLUSTER}.replaced-*"):
        kept = current.with_name(current.name + marker.name.removeprefix(CLUSTER))
        if kept.exists() and kept.samefile(current):
            return kept
    return None


def has_content(log: Path) -> bool:
    """Whether the file is a database's log that holds something: an empty one is left by whoever reads the database."""
    return log.exists() and log.stat().st_size > 0


def check_whole(data: Path) -> None:
    """Raises ConfigError where a join was cut short and the folder is still the node's that it was."""
    kept = cut_short(data)
    if kept is None:
        return
    names = {marker_of(kept): CLUSTER}
    log = Path(f"{kept}-wal")
    if has_content(log):
        names = {log: f"{database(data).name}-wal", **names}
    renaming = " and ".join(f"{file} to {name}" for file, name in names.items())
    raise ConfigError(
        "node.data",
        str(data.absolute()),
        "is still of the node whose database `gochat cluster join` was to replace: it was cut short before",
        hint=f"`gochat cluster join` replaces it when it is run again; to have that node back, rename {renaming}",
    )


def check_servable(data: Path) -> None:
    """Raises ConfigError where the folder belongs to a cluster and the node would serve it alone; StoreError where that
    can't be told."""
    found = cluster(data)
    if found is not None:
        raise ConfigError(
            "node.data",
            str(data.absolute()),
            f"belongs to the cluster {found}: a node alone would number facts otherwise than the cluster's other nodes",
            hint="`gochat serve --cluster URL` serves it as one of them, `gochat cluster leave` takes it out; a copy by"
            " `gochat backup` and `gochat restore`, in another folder, belongs to none",
        )
    check_whole(data)
    copy = None
    with suppress(StoreError):  # A database that can't be read is told of when it is opened.
        copy = of_cluster.read(database(data)) if database(data).is_file() else None
    if copy is not None:
        raise ConfigError(
            "node.data",
            str(data.absolute()),
            f"holds a copy of the cluster {copy.cluster}'s database, without the file {CLUSTER} that makes it a node",
            hint="`gochat cluster join --from BACKUP` makes a node of the folder, also where it was cut short, and"
            " `gochat cluster leave` takes the folder out of the cluster",
        )


def make(data: Path) -> None:
    """Make the folder if there is none. Raises ConfigError."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError("node.data", str(data), (error.strerror or "can't be made").lower(), hint=_ANOTHER) from error


def holder(data: Path) -> str | None:
    """The process that works in the folder now, as its lock says; None where none does. Raises ConfigError."""
    try:
        descriptor = os.open(data / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError("node.data", str(data), f"the lock can't be read: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _process(descriptor)
    finally:
        os.close(descriptor)
    return None


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Have the folder to oneself. It must exist. Raises FolderInUse at once when it is taken, ConfigError when it can't
    be locked."""
    try:
        descriptor = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            "node.data", str(data), f"can't be locked: {(error.strerror or '').lower()}", hint=_ANOTHER
        ) from error
    try:
        _take(descriptor, data)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, data: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FolderInUse(data, _process(descriptor)) from None
    except OSError as error:
        raise ConfigError(
            "node.data", str(data), f"can't be locked: {(error.strerror or '').lower()}", hint=_ANOTHER
        ) from error
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())


def _process(descriptor: int) -> str:
    """The number that the lock's holder wrote into it."""
    return os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
