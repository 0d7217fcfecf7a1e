"""The full screen or lines: which of them `gochat chat` chooses by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from gochat.commands.chat import fills_screen

Chosen = Callable[..., bool]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chosen]:
    """Tells whether the screen is chosen, at a terminal that can do all but what is said otherwise."""
    far, terminal = os.openpty()
    reader, writer = os.pipe()

    def choose(
        *, term: str = "xterm-256color", stdin: bool = True, stdout: bool = True, encoding: str = "utf-8"
    ) -> bool:
        with (
            os.fdopen(terminal if stdin else reader, closefd=False) as source,
            os.fdopen(terminal if stdout else writer, "w", encoding=encoding, closefd=False) as sink,
            monkeypatch.context() as patched,
        ):
            patched.setattr(sys, "stdin", source)
            patched.setattr(sys, "stdout", sink)
            patched.setenv("TERM", term)
            return fills_screen()

    yield choose
    for descriptor in (far, terminal, reader, writer):
        os.close(descriptor)


def test_a_terminal_is_filled(chosen: Chosen) -> None:
    assert chosen()
    assert chosen(term="linux")


def test_a_dumb_one_is_not(chosen: Chosen) -> None:
    assert not any(chosen(term=term) for term in ("dumb", "unknown", ""))


def test_nor_is_a_pipe(chosen: Chosen) -> None:
    assert not chosen(stdin=False)
    assert not chosen(stdout=False)


def test_nor_is_one_that_can_not_show_every_text(chosen: Chosen) -> None:
    assert not chosen(encoding="latin-1")
