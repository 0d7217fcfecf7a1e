"""Text in columns: how wide it is, where a row ends, which part of it fits. Pure.

Terminals disagree on a few sequences of emoji. A row that comes out wider or narrower than it was counted must not harm
the next one: the display turns automatic wrapping off and erases what is right of each row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from wcwidth import wcwidth

#: A piece of a row with the name of its style (gochat.client.screen.palette), None for plain text.
Run: TypeAlias = tuple[str | None, str]
Row: TypeAlias = list[Run]

_JOINER: Final = "\u200d"
_EMOJI_SELECTOR: Final = "\ufe0f"
_pieces = re.compile(r"\n| +|[^ \n]+").findall


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """The clusters of a text, with their columns: a character with its marks, or emoji that are joined."""
    cluster, columns, joined = "", 0, False
    for char in text:
        width = wcwidth(char)
        if cluster and (width == 0 or joined) and cluster != "\n":
            cluster += char
            if char == _EMOJI_SELECTOR and cluster[0] != " ":
                columns = 2
        else:
            if cluster:
                yield cluster, columns
            # Controls, which no row holds, are counted as the length of plain ASCII counts them.
            cluster, columns = char, 1 if width < 0 else width
        joined = char == _JOINER
    if cluster:
        yield cluster, columns


def columns_of(text: str) -> int:
    """The columns that a text of one row takes."""
    if text.isascii():
        return len(text)
    return sum(columns for _, columns in clusters(text))


def fitted(text: str, width: int) -> str:
    """The text, or as much of it as `width` columns hold with an ellipsis in the last one."""
    if columns_of(text) <= width:
        return text
    kept, used = "", 0
    for cluster, columns in clusters(text):
        if used + columns > width - 1:
            break
        kept, used = kept + cluster, used + columns
    return kept + "…" if width > 0 else ""


def padded(text: str, width: int) -> str:
    """The text in exactly `width` columns."""
    text = fitted(text, width)
    return text + " " * (width - columns_of(text))


def row_columns(row: Row) -> int:
    """The columns of a whole row."""
    return sum(columns_of(text) for _, text in row)


def wrap(runs: Iterable[Run], width: int, indent: int = 0) -> list[Row]:
    """Rows of at most `width` columns. They end at spaces where they can, and each but the first begins with `indent`
    spaces; words wider than a row are broken between clusters."""
    indent = min(indent, max(0, width - 2))
    wrapped = _Wrapped(width, indent)
    for style, text in runs:
        for piece in _pieces(text):
            wrapped.add(style, piece)
    return wrapped.rows


class _Wrapped:
    def __init__(self, width: int, indent: int) -> None:
        self._width = width
        self._indent = indent
        self._used = 0
        self._margin = 0
        """Columns of the current row that its indent takes."""
        self.rows: list[Row] = [[]]

    def add(self, style: str | None, piece: str) -> None:
        """One word, one run of spaces, or one line end."""
        if piece == "\n":
            self._next_row()
            return
        columns = columns_of(piece)
        if self._used + columns <= self._width:
            self._append(style, piece, columns)
        elif piece[0] == " ":
            self._next_row()
        elif columns <= self._width - self._indent:
            self._next_row()
            self._append(style, piece, columns)
        else:
            for cluster, each in clusters(piece):
                if self._used + each > self._width and self._used > self._margin:
                    self._next_row()
                self._append(style, cluster, each)

    def _append(self, style: str | None, text: str, columns: int) -> None:
        row = self.rows[-1]
        if row and row[-1][0] == style:
            row[-1] = (style, row[-1][1] + text)
        else:
            row.append((style, text))
        self._used += columns

    def _next_row(self) -> None:
        self.rows.append([(None, " " * self._indent)] if self._indent else [])
        self._used = self._margin = self._indent
