"""The input: its text, the cursor, earlier texts, and the unfinished text of each room. Pure.

Keys are those of a shell's line editor. The text may have several lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gochat.client.screen.search import Search
from gochat.client.screen.width import clusters

#: Texts that were typed before and can be fetched again.
MAX_HISTORY: Final = 500
#: Characters that an unfinished text may have; no server takes a message that long, and a paste may be a whole file.
MAX_CHARS: Final = 20_000


class Unfinished(NamedTuple):
    """The input of a room that is not looked at."""

    text: str = ""
    cursor: int = 0
    at: int | None = None
    typed: str = ""
    """The text that was being typed when the history was looked at; `text` is then the one at `at` there."""


class Composer:
    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        """The index in `text` before which the next character goes."""
        self.history: list[str] = []
        self.search: Search | None = None
        """The search in the history, while there is one; the text is then the one that it has found."""
        self._killed = ""
        self._at: int | None = None
        """The place in the history of the text that is shown, None for the one that is being typed."""
        self._typed = ""
        """The text that was being typed when the history was looked at; empty while `_at` is None."""
        self._drafts: dict[str, Unfinished] = {}

    def set(self, text: str, cursor: int | None = None) -> None:
        """Replace the text; the cursor goes to its end, unless told otherwise."""
        self.text = text
        self.cursor = len(text) if cursor is None else cursor

    def insert(self, text: str) -> bool:
        """Put in typed or pasted text. False if there is no space for it."""
        if len(self.text) + len(text) > MAX_CHARS:
            return False
        self.set(self.text[: self.cursor] + text + self.text[self.cursor :], self.cursor + len(text))
        return True

    def take(self) -> str:
        """The text, which is finished: it goes into the history, and the input is empty."""
        text = self.text
        if text.strip() and (not self.history or self.history[-1] != text):
            self.history.append(text)
            del self.history[:-MAX_HISTORY]
        self._at, self._typed = None, ""
        self.set("")
        return text

    def switch(self, old: str | None, new: str | None) -> None:
        """Keep the unfinished text of one room, and go on with that of the other. A search ends with what was being
        typed before it, which belongs to the old room."""
        self.end_search(taken=False)
        if old is not None:
            self._drafts.pop(old, None)
            if self.text or self._typed:
                self._drafts[old] = Unfinished(self.text, self.cursor, self._at, self._typed)
        kept = self._drafts.get(new or "", Unfinished())
        self._at, self._typed = kept.at, kept.typed
        self.set(kept.text, kept.cursor)

    def unfinished(self, current: str) -> Iterator[tuple[str, str]]:
        """Each room with a text that was begun there and never finished; `current` is the room of the input. Texts that
        were only fetched from the history are none."""
        kept = self.search.kept[0] if self.search is not None else self.text
        shown = {**self._drafts, current: Unfinished(kept, 0, self._at, self._typed)}
        for room, draft in shown.items():
            if draft.at is None or draft.text not in self.history:
                yield room, draft.text
            if draft.at is not None:
                yield room, draft.typed

    def forget(self, room: str) -> None:
        """Drop the unfinished text of a room."""
        self._drafts.pop(room, None)

    @property
    def at_end(self) -> bool:
        """Whether the cursor stands behind the text."""
        return self.cursor == len(self.text)

    def has_draft(self, room: str) -> bool:
        return room in self._drafts

    # ------------------------------------------------------------------------------------------ searching

    def search_history(self) -> None:
        """Begin to search in what was typed before, or go on to an earlier text."""
        if self.search is None:
            self.search = Search(self.history, self.text, self.cursor)
        else:
            self.search.older()
        self.set(*self.search.found())

    def search_for(self, typed: str) -> None:
        """Look for more, in a search."""
        assert self.search is not None
        self.search.type(typed)
        self.set(*self.search.found())

    def search_for_less(self) -> None:
        assert self.search is not None
        self.search.backspace()
        self.set(*self.search.found())

    def end_search(self, *, taken: bool) -> None:
        """The text that was found is taken, to be changed or sent, and Up and Down go on from there; or it is given up,
        and what was being typed is back."""
        if self.search is None:
            return
        search, self.search = self.search, None
        if not taken:
            self.set(*search.kept)
        elif search.at is not None:
            if self._at is None:
                self._typed = search.kept[0]
            self._at = search.at

    # ------------------------------------------------------------------------------------------ moving

    def left(self) -> None:
        self.cursor = self._before()

    def right(self) -> None:
        self.cursor = self._after()

    def word_left(self) -> None:
        self.cursor = self._word_before()

    def word_right(self) -> None:
        at, end = self.cursor, len(self.text)
        while at < end and not self.text[at].isalnum():
            at += 1
        while at < end and self.text[at].isalnum():
            at += 1
        self.cursor = at

    def home(self) -> None:
        self.cursor = self._line_start()

    def end(self) -> None:
        self.cursor = self._line_end()

    def up(self) -> None:
        """To the line above; from the first one to what was typed before."""
        start = self._line_start()
        if start:
            above = self.text.rfind("\n", 0, start - 1) + 1
            self.cursor = min(above + self.cursor - start, start - 1)
        else:
            self._recall((len(self.history) if self._at is None else self._at) - 1)

    def down(self) -> None:
        """To the line below; from the last one to what was typed later."""
        start, end = self._line_start(), self._line_end()
        if end < len(self.text):
            below_end = self.text.find("\n", end + 1)
            below_end = len(self.text) if below_end < 0 else below_end
            self.cursor = min(end + 1 + self.cursor - start, below_end)
        elif self._at is not None:
            self._recall(self._at + 1)
        elif self.text.strip():
            # As in irssi: a text that is not to be sent now is put away, to be fetched by Up.
            self.take()

    # ------------------------------------------------------------------------------------------ taking away

    def backspace(self) -> None:
        self._remove(self._before(), self.cursor)

    def delete(self) -> None:
        self._remove(self.cursor, self._after())

    def kill_to_end(self) -> None:
        end = self._line_end()
        self._kill(self.cursor, end + 1 if end == self.cursor and end < len(self.text) else end)

    def kill_to_start(self) -> None:
        self._kill(self._line_start(), self.cursor)

    def kill_word(self) -> None:
        self._kill(self._word_before(), self.cursor)

    def kill_word_after(self) -> None:
        start = self.cursor
        self.word_right()
        end, self.cursor = self.cursor, start
        self._kill(start, end)

    def yank(self) -> bool:
        return self.insert(self._killed)

    # ------------------------------------------------------------------------------------------ inside

    def _recall(self, index: int) -> None:
        if index < 0 or not self.history:
            return
        if self._at is None:
            self._typed = self.text
        if index >= len(self.history):
            self._at = None
            self.set(self._typed)
            self._typed = ""
        else:
            self._at = index
            self.set(self.history[index])

    def _kill(self, start: int, end: int) -> None:
        if end > start:
            self._killed = self.text[start:end]
            self._remove(start, end)

    def _remove(self, start: int, end: int) -> None:
        self.set(self.text[:start] + self.text[end:], start)

    def _before(self) -> int:
        """The start of the cluster before the cursor."""
        *_, last = ("", *(cluster for cluster, _ in clusters(self.text[: self.cursor])))
        return self.cursor - len(last)

    def _after(self) -> int:
        first = next(iter(clusters(self.text[self.cursor :])), ("", 0))
        return self.cursor + len(first[0])

    def _word_before(self) -> int:
        at = self.cursor
        while at and not self.text[at - 1].isalnum():
            at -= 1
        while at and self.text[at - 1].isalnum():
            at -= 1
        return at

    def _line_start(self) -> int:
        return self.text.rfind("\n", 0, self.cursor) + 1

    def _line_end(self) -> int:
        end = self.text.find("\n", self.cursor)
        return len(self.text) if end < 0 else end
