"""Each test of the command line has a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gochat.auth.secret import make_secret


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def secret() -> Path:
    """The secret that a node has made in ./data."""
    make_secret(Path("data"))
    return Path("data/auth.secret")
