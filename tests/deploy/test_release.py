"""`--version` names the commit: in a checkout, and in what is built from one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from gochat.release import of_checkout
from tests.docs.pages import ROOT
from tests.programs import needs

#: Beside the package itself.
BUILD_FILES = ("pyproject.toml", "hatch_build.py", "README.md")


def git(folder: Path, *arguments: str) -> str:
    who = {f"GIT_{role}_{what}": "x@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, env={**os.environ, **who}
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of its own, with all that a build takes."""
    needs("git")
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "gochat", folder / "gochat", ignore=shutil.ignore_patterns("__pycache__", "commit.txt"))
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, folder)
    (folder / ".gitignore").write_text("dist/\n__pycache__/\n")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def version(package: Path) -> str:
    """The output of `gochat --version` of the package in this folder."""
    done = subprocess.run(
        [sys.executable, "-m", "gochat", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    return done.stdout


def build(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *arguments],
        cwd=folder,
        env={**os.environ, **(env or {})},
        check=True,
        capture_output=True,
    )
    (built,) = (folder / "dist").glob("*.tar.gz" if "sdist" in arguments else "*.whl")
    return built


def unpacked(wheel: Path, folder: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_a_checkout_is_asked_each_time(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert of_checkout(checkout) == head[:12]
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))  # as a hook of another repository has it
    assert of_checkout(checkout) == head[:12]
    monkeypatch.delenv("GIT_DIR")
    assert re.fullmatch(rf"gochat [\d.]+ \({head[:12]}\)\n", version(checkout))
    (checkout / "README.md").write_text("changed")
    assert of_checkout(checkout) == f"{head[:12]}-dirty"


def test_a_folder_in_somebody_elses_repository_is_no_checkout(checkout: Path) -> None:
    assert of_checkout(checkout / "gochat") == ""


def test_without_git_the_version_stands_alone(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert of_checkout(checkout) == ""
    assert re.fullmatch(r"gochat [\d.]+\n", version(checkout))


def test_a_wheel_and_the_wheel_of_an_sdist_carry_it(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")[:12]
    wheel, sdist = build(checkout, "-t", "wheel"), build(checkout, "-t", "sdist")
    assert version(unpacked(wheel, tmp_path / "wheel")).endswith(f"({head})\n")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (source,) = (tmp_path / "sdist").iterdir()
    assert version(unpacked(build(source, "-t", "wheel"), tmp_path / "again")).endswith(f"({head})\n")
    assert git(checkout, "status", "--short") == ""


def test_a_build_without_a_repository_may_be_told(checkout: Path, tmp_path: Path) -> None:
    shutil.rmtree(checkout / ".git")
    wheel = build(checkout, "-t", "wheel", env={"GOCHAT_BUILD_COMMIT": "0123456789ab"})
    assert version(unpacked(wheel, tmp_path / "told")).endswith(" (0123456789ab)\n")
    wheel = build(checkout, "-t", "wheel")
    assert re.fullmatch(r"gochat [\d.]+\n", version(unpacked(wheel, tmp_path / "untold")))
