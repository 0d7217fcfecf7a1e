"""Files of a node's own: made once, whole, for their owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gochat.durable import make_once


def test_a_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    assert make_once(file, b"first")
    assert not make_once(file, b"second")
    assert file.read_bytes() == b"first"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_nothing_is_left_of_a_file_that_could_not_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        make_once(tmp_path / "secret", b"half")
    assert list(tmp_path.iterdir()) == []
