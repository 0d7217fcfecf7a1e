"""A node's own entries as they leave: numbered, written, and sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf

from gochat.cluster.broadcast import Broadcast
from gochat.cluster.entry import Entry, EntryCodec, Kind, Unfit
from gochat.cluster.identity import Identity
from gochat.cluster.inbox import Inbox
from gochat.cluster.own import Own, OwnEntries
from gochat.errors import Full, StoreError
from gochat.ports.journal import AppendResult, Committed, OnRecorded
from gochat.replication import AnyNews, Noted
from gochat.wall_clock import wall_ms

log = logging.getLogger(__name__)


class Sender:
    """`send` and `send_news` return the entry's counter. They raise StoreError where it can't be recorded, and Full
    where too much waits: then `done` is told nothing."""

    def __init__(self, who: Identity, codec: EntryCodec, inbox: Inbox, broadcast: Broadcast, own: OwnEntries) -> None:
        self._who = who
        self._codec = codec
        self._inbox = inbox
        self._broadcast = broadcast
        self._own = own
        self._counter = 0
        self.is_closed = False
        """Whether nothing is sent any more."""

    def send(self, kind: Kind, partition: int, done: OnRecorded, deadline: float, **fields: object) -> int:
        """`deadline`: until when the sender waits, on trio's clock. `fields`: those of the entry that tell what it
        brings. It goes by what was told of the partition until now."""
        self._counter += 1
        of = self._inbox.partitions[partition]
        entry = Entry(
            instance=self._who.instance,
            boot=self._who.boot,
            counter=self._counter,
            kind=kind,
            base=of.told,
            check=(of.told, of.hash),
            **fields,  # type: ignore[arg-type]
        )
        if self.is_closed:
            raise StoreError("the journal is closing")
        try:
            data = self._codec.encode(entry, partition)
        except Unfit as error:
            raise StoreError(f"this can't be recorded: {error}") from error
        self._broadcast.send(partition, data)
        self._own.add(entry.counter, Own(partition, data, entry.facts, entry.side_records, done, deadline))
        return entry.counter

    def send_news(self, kind: Kind, partition: int, news: Sequence[AnyNews], done: OnRecorded) -> int:
        """News are waited for without an end."""
        return self.send(kind, partition, done, inf, ts=wall_ms(), side_records=news)

    def send_notes(self, partition: int, notes: Sequence[Noted], recorded: Callable[[], None]) -> None:
        """Raises nothing: notes that can't be recorded are dropped, with a line in gochat's log. `recorded` is called
        in any case."""

        def done(result: AppendResult) -> None:
            if not isinstance(result, Committed):
                log.warning("%d notes of partition %d are not recorded: %s", len(notes), partition, result)
            recorded()

        try:
            self.send_news("notes", partition, notes, done)
        except Full as full:
            done(StoreError(str(full)))
        except StoreError as error:
            if len(notes) == 1:
                done(error)
                return
            # One of them can't be written: that costs the others nothing.
            for note in notes:
                try:
                    self.send_news("notes", partition, [note], lambda result: None)
                except (StoreError, Full) as each:
                    log.error("a note can't be recorded and is dropped: %s", each)
            recorded()
