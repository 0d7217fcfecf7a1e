"""The commit that this code was made from.

A wheel, a zipapp and the one-file executable carry it in `data/commit.txt`, which the build writes (`hatch_build.py`).
A checkout has no such file and is asked by `git`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PACKAGE = Path(__file__).parent
#: Beside words.txt; below the package's folder.
COMMIT_FILE = "data/commit.txt"
#: A checkout on a disk that hangs must not hang `gochat --version`.
_GIT_S = 5.0


def commit() -> str:
    """The abbreviated commit, with `-dirty` where files differed from it; empty where it is not known.

    May run `git`, for a few seconds at most: for people who ask, and not for the start of a node (`built`)."""
    return built() or of_checkout(_PACKAGE.parent)


def built() -> str:
    """The same, as far as the build has written it down: empty in a checkout. Reads one small file."""
    try:
        return (_PACKAGE / COMMIT_FILE).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


def of_checkout(folder: Path) -> str:
    """The commit of the work tree whose root is `folder`; empty where it is none, or `git` can't tell."""
    if not (folder / ".git").exists():
        return ""
    # Git's own variables would lead it to another repository: a hook that runs gochat has them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=False, env=environment)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
