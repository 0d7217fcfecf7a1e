"""Going back through what was typed, by a part of it, as Ctrl-R does in a shell. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Characters that are looked for at most.
MAX_QUERY: Final = 200


class Search:
    """Finds the latest text that holds what is typed, then earlier ones. Case does not count."""

    def __init__(self, history: Sequence[str], text: str, cursor: int) -> None:
        self.query = ""
        self.failed = False
        """Whether no earlier text holds what is typed; the last one that was found stays."""
        self.at: int | None = None
        """The place in the history of the text that was found, if one was."""
        self.kept = (text, cursor)
        """The text that was being typed, and its cursor: for a search that is given up."""
        self._history = history

    def type(self, typed: str) -> None:
        """Look for more; the text that was found stays as long as it holds that too."""
        self.query = (self.query + typed)[:MAX_QUERY]
        self._find(len(self._history) - 1 if self.at is None else self.at)

    def backspace(self) -> None:
        """Look for less, from the latest text on."""
        self.query = self.query[:-1]
        self._find(len(self._history) - 1)

    def older(self) -> None:
        """Go on to an earlier text."""
        if self.query:
            self._find(len(self._history) - 1 if self.at is None else self.at - 1)

    def found(self) -> tuple[str, int]:
        """The text to show, and the place in it for the cursor."""
        if self.at is None:
            return self.kept
        text = self._history[self.at]
        return text, max(text.lower().rfind(self.query.lower()), 0)

    def _find(self, start: int) -> None:
        wanted = self.query.lower()
        found = next((at for at in range(start, -1, -1) if wanted in self._history[at].lower()), None)
        self.failed = found is None
        if not wanted:
            self.at = None
            self.failed = False
        elif found is not None:
            self.at = found
