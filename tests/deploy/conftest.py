"""The files of `make dist`, made anew only where something that goes into it is newer, or the commit is another."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from gochat.release import COMMIT_FILE, of_checkout
from tests.docs.pages import ROOT

FILES = ("gochat", "gochat.pyz", "gochat-*.whl", "gochat-*.tar.gz")
SOURCES = ("gochat/**/*", "deploy/*", "*.lock", "pyproject.toml", "hatch_build.py", "Makefile")


def of_this_commit(folder: Path) -> bool:
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        name = f"gochat/{COMMIT_FILE}"
        commit = archive.read(name).decode().strip() if name in archive.namelist() else ""
    return commit.removesuffix("-dirty") == of_checkout(ROOT).removesuffix("-dirty")


@pytest.fixture(scope="session")
def dist() -> Path:
    """The folder, with everything in it."""
    folder = ROOT / "dist"
    made = [file for pattern in FILES for file in folder.glob(pattern)]
    sources = [file for pattern in SOURCES for file in ROOT.glob(pattern) if "__pycache__" not in file.parts]
    newest = max(file.stat().st_mtime for file in sources if file.is_file())
    if len(made) < len(FILES) or min(file.stat().st_mtime for file in made) < newest or not of_this_commit(folder):
        done = subprocess.run(["make", "dist"], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return folder
