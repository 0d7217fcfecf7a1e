"""Power loss for a process: what it did not sync is gone, or, harder, comes back in pieces.

See powerloss.c for what counts as synced.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

from tests.programs import needs

SOURCE = Path(__file__).with_name("powerloss.c")
#: The bytes that a disk writes whole: a sector that was being written is old or new, never both.
SECTOR = 512
#: A map in memory that SQLite makes anew; nobody syncs it.
VOLATILE = "-shm"


def build(folder: Path, source: Path = SOURCE) -> Path:
    """The shim, as a library in the folder. Without a compiler the test is skipped; in CI it fails."""
    compiler = needs(os.environ.get("CC", "cc"))
    library = folder / f"{source.stem}.so"
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            library,
            source,
            "-ldl",
            "-lpthread",
        ],
        check=True,
    )
    return library


class Disk:
    """The disk under `data`; its content is the folder `kept`."""

    def __init__(self, library: Path, data: Path, kept: Path) -> None:
        self.data = data
        self.kept = kept
        self.forgotten = 0
        """Bytes that were written and not synced when the power went, over all losses."""
        data.mkdir(exist_ok=True, mode=0o700)
        kept.mkdir(mode=0o700)
        self.env = {"LD_PRELOAD": str(library), "POWERLOSS_ROOT": str(data), "POWERLOSS_DISK": str(kept)}

    def power_fails(self, rng: random.Random | None = None) -> None:
        """Put the disk in the place of the data; the process must be dead. With `rng` each sector that was written and
        not synced is on the disk or not, as chance has it: a disk may write in any order what it was not told to."""
        for file in sorted(self.kept.iterdir()):
            if file.name.endswith(VOLATILE):
                file.unlink()
                continue
            written = self.data / file.name
            if rng is not None and written.exists():
                self.forgotten += _mix(file, written.read_bytes(), rng)
            else:
                self.forgotten += abs(file.stat().st_size - (written.stat().st_size if written.exists() else 0))
        shutil.rmtree(self.data)
        shutil.copytree(self.kept, self.data)


def _mix(file: Path, written: bytes, rng: random.Random) -> int:
    """Let chance write sectors of `written` into `file`; how many bytes differed."""
    synced = file.read_bytes()
    size = len(synced) if len(synced) > len(written) else rng.choice((len(synced), len(written)))
    mixed = bytearray(max(synced, written, key=len)[:size])
    differing = 0
    for at in range(0, size, SECTOR):
        old, new = synced[at : at + SECTOR], written[at : at + SECTOR]
        if old != new:
            differing += len(old or new)
            mixed[at : at + SECTOR] = rng.choice((old.ljust(len(new), b"\0"), new.ljust(len(old), b"\0")))
    file.write_bytes(mixed[:size])
    return differing
