"""A line that says how far a run is; on a terminal only."""

from __future__ import annotations

import time
from typing import TextIO

from bench import procfs

#: From one look at the server's memory to the next.
LOOK_S = 1.0


class Progress:
    """Writes over its own line. Silent where nobody looks."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None

    def show(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(f"\r\x1b[K{text:.100}")
            self._stream.flush()

    def clear(self) -> None:
        self.show("")


class Watch:
    """Told a few times a second how much was delivered: shows it, and takes the server's memory now and then."""

    def __init__(self, progress: Progress, label: str, pid: int) -> None:
        self._progress = progress
        self._label = label
        self._pid = pid
        self.begin(0.0)

    def begin(self, seconds: float) -> None:
        """A stretch of about so many seconds begins."""
        self._seconds = seconds
        self._began = self._looked = time.monotonic()
        self._before: int | None = None
        self.memory: list[tuple[float, float]] = []
        """(seconds since the begin, resident megabytes)."""
        self._progress.show(self._label)

    def __call__(self, delivered: int) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        if self._pid:
            self.memory.append((now - self._began, procfs.rss_bytes(self._pid) / 1e6))
        if self._before is not None:
            rate = (delivered - self._before) / (now - self._looked)
            memory = f", {self.memory[-1][1]:.0f} MB" if self.memory else ""
            past = f"{now - self._began:.0f} of {self._seconds:.0f} s"
            self._progress.show(f"{self._label}: {past}, {rate:,.0f}/s{memory}")
        self._looked, self._before = now, delivered
