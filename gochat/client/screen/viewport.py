"""The part of a timeline that is on the screen. Pure.

It follows the end, or stays where somebody scrolled to: the anchor is the entry on the bottom row, so that neither
messages that arrive below nor pages that arrive above move what is being read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from gochat.client.screen import rows as render
from gochat.client.screen.state import STATUS, State
from gochat.client.screen.timeline import Entry, Timeline
from gochat.client.screen.width import Row
from gochat.client.unsent import Draft
from gochat.domain import facts

#: Rows that are kept ready, by entry; above it all are made anew.
_MAX_CACHED: Final = 5_000
#: With fewer entries than this above the top row the next page is fetched.
_AHEAD: Final = 25


class Anchor(NamedTuple):
    """The entry on the bottom row, and how many of its rows are below the edge."""

    seq: int
    order: int
    hidden: int


class Viewport:
    def __init__(self, state: State) -> None:
        self._state = state
        self._anchors: dict[str, Anchor] = {}
        self._left: dict[str, int] = {}
        """By room, the latest fact when the end went out of sight."""
        self._cache: dict[tuple[object, ...], list[Row]] = {}
        self._width = 80
        self._height = 20
        self.selected: int | None = None
        """The message that is marked: what is typed answers it, and commands without a number mean it."""
        self.wants_older = False
        """Whether the page before the oldest entry would be seen soon."""

    @property
    def follows(self) -> bool:
        """Whether the end of the current room is in sight."""
        return self._state.current not in self._anchors

    def follow(self) -> None:
        """Show the end."""
        self._anchors.pop(self._state.current, None)

    def forget(self, room: str) -> None:
        """The log of a room is another one: its numbers stand for other messages now."""
        self._anchors.pop(room, None)
        self._left.pop(room, None)
        if room == self._state.current:
            self.selected = None

    def rows(self, width: int, height: int, drafts: Sequence[Draft]) -> list[Row]:
        """Exactly `height` rows of at most `width` columns, the end of them at the bottom."""
        self._width, self._height = width, height
        shown = self._visible(drafts)
        if len(shown) < height and not self.follows:
            self._move(len(shown) - height)
            shown = self._visible(drafts)
        return [[] for _ in range(height - len(shown))] + shown

    def scroll(self, by: int) -> None:
        """Show earlier rows, or for a negative `by` later ones."""
        self._move(by)

    def to_first_new(self) -> None:
        """Show the messages that were new when the room was opened, from the first one that is here. Where earlier ones
        are still to be fetched, the page before is wanted, and the next call goes on."""
        since = self._state.unread_from.get(self._state.current)
        entries = self._timeline.entries
        if since is None or not entries:
            return
        index = min(bisect_left(entries, since + 1, key=lambda entry: entry.seq), len(entries) - 1)
        first = entries[index]
        self._stay(Anchor(first.seq, first.order, 0))
        self._move(len(self._entry_rows(index)) - self._height)

    def page(self) -> int:
        """The rows of one screen, less two that stay in sight."""
        return max(1, self._height - 2)

    def select(self, by: int) -> None:
        """Mark the message before (-1) the marked one, or after it; the latest one at first."""
        seqs = [message.seq for message in self._timeline.messages()][::-1]
        if not seqs:
            return
        if self.selected is None:
            index = len(seqs) - 1 if by < 0 else None
        else:
            index = bisect_left(seqs, self.selected) + by
        if index is None or index >= len(seqs):
            self.selected = None
            self.follow()
            return
        self.selected = seqs[max(0, index)]
        self._bring_into_sight(self.selected)

    def below(self) -> int:
        """Messages of others that came since the end went out of sight."""
        left = self._left.get(self._state.current, 0)
        if self.follows:
            return 0
        later = takewhile(lambda message: message.seq > left, self._timeline.messages())
        return sum(message.sender != self._state.me for message in later)

    # ------------------------------------------------------------------------------------------ inside

    @property
    def _timeline(self) -> Timeline:
        return self._state.timeline(self._state.current)

    def _index(self, anchor: Anchor) -> int:
        """The place of the anchor's entry, or of the one before where it is gone."""
        entries = self._timeline.entries
        key = (anchor.seq, anchor.order)
        index = bisect_left(entries, key, key=lambda entry: (entry.seq, entry.order))
        return min(index, len(entries) - 1)

    def _visible(self, drafts: Sequence[Draft]) -> list[Row]:
        entries = self._timeline.entries
        anchor = self._anchors.get(self._state.current)
        if anchor is None:
            index, shown = len(entries) - 1, render.all_draft_rows(self._state, drafts, self._width)[-self._height :]
        else:
            index, shown = self._index(anchor), []
        if anchor is not None and index >= 0:
            all_rows = self._entry_rows(index)
            shown = all_rows[: max(0, len(all_rows) - anchor.hidden)]
            index -= 1
        collected = [shown]
        count = len(shown)
        while index >= 0 and count < self._height:
            each = self._entry_rows(index)
            collected.append(each)
            count += len(each)
            index -= 1
        self.wants_older = self._state.current != STATUS and index < _AHEAD
        return [row for each in reversed(collected) for row in each][-self._height :]

    def _move(self, by: int) -> None:
        entries = self._timeline.entries
        if not entries:
            return
        anchor = self._anchors.get(self._state.current)
        index = len(entries) - 1 if anchor is None else self._index(anchor)
        hidden = by + (0 if anchor is None else anchor.hidden)
        while hidden >= (count := len(self._entry_rows(index))):
            if index == 0:
                hidden = count - 1
                break
            hidden -= count
            index -= 1
        while hidden < 0:
            if index == len(entries) - 1:
                self.follow()
                return
            index += 1
            hidden += len(self._entry_rows(index))
        if index == len(entries) - 1 and hidden == 0:
            self.follow()
        else:
            self._stay(Anchor(entries[index].seq, entries[index].order, hidden))

    def _stay(self, anchor: Anchor) -> None:
        if self.follows:
            self._left[self._state.current] = self._timeline.head
        self._anchors[self._state.current] = anchor

    def _bring_into_sight(self, seq: int) -> None:
        """Scroll so that an entry is on the screen, in its upper half where it was not before."""
        entries = self._timeline.entries
        index = bisect_left(entries, (seq, 0), key=lambda entry: (entry.seq, entry.order))
        anchor = self._anchors.get(self._state.current)
        bottom = len(entries) - 1 if anchor is None else self._index(anchor)
        rows_below = sum(len(self._entry_rows(each)) for each in range(index + 1, bottom + 1))
        if index > bottom or rows_below + len(self._entry_rows(index)) > self._height:
            self._stay(Anchor(seq, 0, 0))
            self._move(-(self._height // 2))

    def _entry_rows(self, index: int) -> list[Row]:
        entries = self._timeline.entries
        entry = entries[index]
        before = _fact_before(entries, index)
        state = self._state
        receipt = ""
        if isinstance(entry.fact, facts.Message) and entry.fact.sender == state.me and entry.seq == self._own_last():
            receipt = render.receipt(state, state.current, entry.seq)
        selected = entry.fact is not None and entry.seq == self.selected
        answers = entry.fact.reply_to if isinstance(entry.fact, facts.Message) else None
        quoted = None if answers is None else self._timeline.entry(answers)
        # The key holds the entries themselves: an `id` may be that of a later entry once one is freed.
        key = (
            entry,
            entry.version,
            quoted,
            None if quoted is None else quoted.version,
            None if before is None else before.seq,
            self._width,
            receipt,
            selected,
            state.unread_from.get(state.current),
            state.shown.changes,
        )
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            found = render.entry_rows(
                state, self._timeline, entry, before, self._width, receipt=receipt, selected=selected
            )
            self._cache[key] = found
        return found

    def _own_last(self) -> int:
        """The latest message of this user's own."""
        return next((message.seq for message in self._timeline.messages() if message.sender == self._state.me), 0)


def _fact_before(entries: Sequence[Entry], index: int) -> Entry | None:
    """The entry before this one that is a fact: notices have no day."""
    for each in range(index - 1, max(-1, index - 50), -1):
        if entries[each].fact is not None:
            return entries[each]
    return None
