"""Counts of a node's dealings with the cluster's log since its start. Written by the loop's thread only."""

from __future__ import annotations

from gochat.metrics import Histogram

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)


class LogCounts:
    __slots__ = ("append_seconds", "appends", "barrier_seconds", "batch_entries", "looks", "put_back", "told_seconds")

    def __init__(self) -> None:
        self.appends = dict.fromkeys(("done", "fenced", "lost", "unknown"), 0)
        """Batches of one partition that were sent to the server, by what is known of them then."""
        self.batch_entries = Histogram(1, 2, 4, 8, 16, 32, 64)
        self.append_seconds = Histogram(*_SECONDS)
        """How long the server took to answer batches that travelled together."""
        self.told_seconds = Histogram(*_SECONDS)
        """From when a room gave a batch to the journal until the room was told what came of it, through log and disk.
        Batches that were given up are not among them."""
        self.barrier_seconds = Histogram(*_SECONDS)
        """How long readers waited until this node had all that was acknowledged before."""
        self.looks = 0
        """How often the fences of all partitions were compared."""
        self.put_back = 0
        """Entries that this node gave back to a server that had lost them."""
