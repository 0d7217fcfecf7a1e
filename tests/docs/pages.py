"""The documentation as tests read it: pages, and the blocks of code in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
HOWTO = ROOT / "docs" / "howto"

_BLOCK = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    page: str
    """The page's name, such as "run.md"."""
    language: str
    note: str
    """The words after the language: `refused`, `file=client.py`, or others."""
    text: str


def blocks(page: Path) -> list[Block]:
    """Every fenced block, in order."""
    return [Block(page.name, *found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def file(page: Path, name: str) -> str:
    """The text of the block that a page tells to save under this name."""
    (block,) = [block for block in blocks(page) if block.note.strip() == f"file={name}"]
    return block.text
