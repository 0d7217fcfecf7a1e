"""Files that have to be there after a power failure, whole and under their names."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Have the names in the folder on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_once(file: Path, content: bytes) -> bool:
    """Make a file that only its owner may read, unless there is one; returns whether it was made. Of several that make
    it at once the first counts, and nobody sees it half written. Raises OSError.

    It is written under a name of its own and then linked, which replaces nothing.
    """
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    made = False
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):  # Another process was first.
            os.link(draft, file)
            made = True
    finally:
        draft.unlink()
    sync_folder(file.parent)
    return made
