"""Programs of the system that some tests need, and how to get each.

Where one is missing its test is skipped, and the reason says what to install. Where CI is set, which is to say that all
of them should be there, the test fails instead.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

#: The package of Debian and Ubuntu that has a program, where its name is another.
PACKAGES = {
    "cc": "gcc",
    "chroot": "coreutils",
    "go": "golang",
    "ldconfig": "libc-bin",
    "node": "nodejs",
    "php": "php-cli",
    "systemd-analyze": "systemd",
    "valkey-server": "redis-server",
}


def how_to_get(program: str) -> str:
    return f"no {program}: apt-get install {PACKAGES.get(program, program)}"


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it in CI. `reason` says how to get what is missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def needs(*programs: str) -> str:
    """The path of the first of the programs, all of which the test needs."""
    found = [shutil.which(program) or skip_or_fail(how_to_get(program)) for program in programs]
    return found[0]


def wants(program: str) -> None:
    """Skip the test where the program is not installed, in CI too: not every machine has all languages and proxies."""
    if shutil.which(program) is None:
        pytest.skip(how_to_get(program))
