"""One room's messages as they are shown: pages and events in one list, each message as it is now. Pure.

Pages are fetched from the newest backwards. An event that a page held already changes nothing; one that leaves a gap
makes the timeline stale, and the newest page is to be fetched again. A change of a message that is not here yet waits:
the page that has the message may have been read before the change.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from gochat.client.wire import Fact, Page
from gochat.domain import facts

#: Entries that are kept of one room. Older ones are dropped while nobody scrolls there, and fetched again.
MAX_ENTRIES: Final = 3_000
#: Events that are kept while the first page is on its way.
_MAX_EARLY: Final = 200
#: Changes that are kept of messages which are not here.
_MAX_WAITING: Final = 200
#: Notices of this client that are kept in one room.
_MAX_NOTES: Final = 300


class Entry:
    """A fact, or a notice of this client, which stands behind the fact with the same `seq`. `version` grows with each
    change of what is shown."""

    __slots__ = ("as_of", "fact", "note", "order", "seq", "style", "version")

    def __init__(self, seq: int, order: int, fact: Fact | None, note: str = "", style: str = "note") -> None:
        self.seq = seq
        self.order = order
        self.fact = fact
        self.note = note
        self.style = style
        self.version = 0
        self.as_of = 0
        """Changes of a message up to this seq are in it already."""

    def __lt__(self, other: Entry) -> bool:
        return (self.seq, self.order) < (other.seq, other.order)


class Timeline:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        """In the order in which they are shown."""
        self.head = 0
        """The latest fact that is in here, or that a page has told of."""
        self.loaded = False
        """Whether the newest page is here. Until then events wait."""
        self.begins = False
        """Whether the room's first fact is here."""
        self.lowest = 0
        """Pages were fetched down to this seq; 0 before the first one."""
        self._early: deque[Fact] = deque(maxlen=_MAX_EARLY)
        self._waiting: deque[facts.OnMessage] = deque()
        """Changes of messages that are not here, in order."""
        self._complete_after = 0
        """All changes after this seq are made, or wait: the bound has dropped earlier ones."""
        self._notes = 0

    def newest_page(self, page: Page) -> None:
        """The first page, or one that makes the timeline whole again after a gap."""
        if not page.entries or page.entries[0].seq > self.head + 1 or self._has_unknown_text(page):
            self._forget_facts()
        self._add(page)
        for fact in page.entries:
            if isinstance(fact, facts.OnMessage) and fact.seq > self.head and self.entry(fact.target) is not None:
                self._change(fact)
        self.head = max(self.head, page.head)
        self._place_notes()
        self.loaded = True
        early, self._early = list(self._early), deque(maxlen=_MAX_EARLY)
        for fact in early:
            self.take(fact)

    def older_page(self, page: Page, before: int) -> bool:
        """The page before `before`, which was `lowest` when it was asked for. False: it is of no use, since it does not
        connect any more, or was read before changes that are not known any more; another one is to be asked for."""
        if not self.loaded or before != self.lowest or page.head < self._complete_after:
            return False
        self._add(page)
        waiting, self._waiting = self._waiting, deque()
        for fact in waiting:
            self._change(fact)
        return True

    def take(self, fact: Fact) -> None:
        """An event. With a gap before it the timeline is no longer `loaded`."""
        if not self.loaded:
            self._early.append(fact)
            return
        if fact.seq <= self.head:
            return
        if fact.seq > self.head + 1:
            self.loaded = False
            self._early.append(fact)
            return
        if isinstance(fact, facts.Edit) and fact.body is None and self._is_shown(fact.target):
            self.loaded = False  # History tells edits without their texts; the newest page has the present one.
            self._early.append(fact)
            return
        self.head = fact.seq
        if isinstance(fact, facts.OnMessage):
            self._change(fact)
        elif isinstance(fact, facts.Message):
            # A message that is replayed has its reactions, and they are told as facts as well: these count.
            self._insert(msgspec.structs.replace(fact, reactions=None), fact.seq)
        elif not isinstance(fact, facts.Hidden):
            self._insert(fact, fact.seq)

    def add_note(self, text: str, style: str = "note") -> None:
        """A notice of this client, at the end."""
        self._notes += 1
        last = self.entries[-1].seq if self.entries else 0
        insort(self.entries, Entry(max(last, self.head), self._notes, None, text, style))
        notes = [entry for entry in self.entries if entry.fact is None]
        for entry in notes[:-_MAX_NOTES]:
            self.entries.remove(entry)

    def clear_notes(self) -> None:
        self.entries = [entry for entry in self.entries if entry.fact is not None]

    def forget(self) -> None:
        """Drop everything but the notices; the newest page is to be fetched."""
        self._forget_facts()
        self._early.clear()  # They are of the log that is gone.
        self.loaded = False

    def trim(self) -> None:
        """Drop the oldest entries where there are too many. Only while nobody looks at them."""
        if len(self.entries) > MAX_ENTRIES:
            del self.entries[: len(self.entries) - MAX_ENTRIES * 2 // 3]
            self.lowest = next(entry.seq for entry in self.entries if entry.fact is not None)
            self.begins = False

    def entry(self, seq: int) -> Entry | None:
        """The entry of a fact that is here."""
        index = bisect_left(self.entries, (seq, 0), key=lambda entry: (entry.seq, entry.order))
        found = self.entries[index] if index < len(self.entries) else None
        return found if found is not None and found.seq == seq and found.order == 0 else None

    def message(self, seq: int) -> facts.Message | None:
        """A message that is here."""
        entry = self.entry(seq)
        return entry.fact if entry is not None and isinstance(entry.fact, facts.Message) else None

    def _is_shown(self, seq: int) -> bool:
        """Whether the text of a message is here."""
        found = self.message(seq)
        return found is not None and found.body is not None

    def messages(self) -> Iterator[facts.Message]:
        """The messages that are here and not deleted, the latest first."""
        for entry in reversed(self.entries):
            if isinstance(entry.fact, facts.Message) and entry.fact.body is not None:
                yield entry.fact

    # ------------------------------------------------------------------------------------------ inside

    def _forget_facts(self) -> None:
        self.entries = [entry for entry in self.entries if entry.fact is None]
        self.head = self.lowest = self._complete_after = 0
        self._waiting.clear()
        self.begins = False

    def _place_notes(self) -> None:
        """Put notices behind the latest fact where the log was longer when they came: later facts go below them."""
        for entry in self.entries:
            if entry.fact is None:
                entry.seq = min(entry.seq, self.head)

    def _add(self, page: Page) -> None:
        first = page.entries[0].seq if page.entries else 1
        self.lowest = min(first, self.lowest or first)
        self.begins = self.lowest <= 1
        for fact in page.entries:
            # A page has messages as they are now: the facts that changed them are not shown.
            if isinstance(fact, facts.OnMessage | facts.Hidden):
                continue
            entry = self.entry(fact.seq)
            if entry is None:
                self._insert(fact, page.head)
            elif entry.as_of < page.head:
                entry.fact, entry.as_of = fact, page.head
                entry.version += 1

    def _has_unknown_text(self, page: Page) -> bool:
        """Whether a message that is here, and not in the page, was edited in a way that the page does not tell."""
        first = page.entries[0].seq
        return any(
            isinstance(fact, facts.Edit) and fact.seq > self.head and fact.target < first and self.message(fact.target)
            for fact in page.entries
        )

    def _insert(self, fact: Fact, as_of: int) -> None:
        entry = Entry(fact.seq, 0, fact)
        entry.as_of = as_of
        insort(self.entries, entry)

    def _change(self, fact: facts.OnMessage) -> None:
        entry = self.entry(fact.target)
        if entry is None:
            self._waiting.append(fact)
            if len(self._waiting) > _MAX_WAITING:
                self._complete_after = self._waiting.popleft().seq
        elif isinstance(entry.fact, facts.Message) and fact.seq > entry.as_of:
            entry.fact, entry.as_of = _changed(entry.fact, fact), fact.seq
            entry.version += 1


def _changed(message: facts.Message, fact: facts.OnMessage) -> facts.Message:
    match fact:
        case facts.Edit() if fact.body is not None and message.body is not None:
            return msgspec.structs.replace(message, body=fact.body, mentions=fact.mentions, edited=fact.ts)
        case facts.Delete():
            return msgspec.structs.replace(message, body=None, reactions=None, deleted=fact.ts)
        case facts.Reaction():
            counts = dict(message.reactions or {})
            counts[fact.emoji] = counts.get(fact.emoji, 0) + (1 if fact.on else -1)
            return msgspec.structs.replace(message, reactions={each: n for each, n in counts.items() if n > 0})
    return message
