"""A node that says on SIGUSR1 what waits for the garbage collector: objects that no reference count will free.

    python -m bench soak --program '-m bench.garbage serve' &
    sleep 590; pkill -USR1 -f 'python -m bench.garbage'

writes a line to the file that BENCH_GARBAGE names, ./garbage.log by default. In a node that has run for long,
ended sessions, refused requests and the like have left these objects behind (cycles); there should be a few thousand.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from bench import procfs


def collect(number: int, frame: FrameType | None) -> None:
    """Collect, and write down how much that was: what stands in a young generation has not had its chance yet."""
    young, middle, old = gc.get_count()
    before, began = procfs.rss_bytes(os.getpid()), time.perf_counter()
    freed = gc.collect()
    took_s, after = time.perf_counter() - began, procfs.rss_bytes(os.getpid())
    with Path(os.environ.get("BENCH_GARBAGE", "garbage.log")).open("a", encoding="utf-8") as file:
        print(
            f"{freed} objects freed in {took_s * 1000:.0f} ms, {before / 1e6:.1f} MB before, {after / 1e6:.1f} after; "
            f"{len(gc.get_objects())} tracked, counts were {young}, {middle}, {old}",
            file=file,
        )


def main() -> None:
    from gochat.cli import run

    signal.signal(signal.SIGUSR1, collect)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
