"""Counts as people read them."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 message`, `2 messages`; with `plural` where that is not the noun and an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"
