"""The page's modules that know no browser, by node's own test runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TESTS = sorted((Path(__file__).parents[1] / "web").glob("*.test.mjs"))


@pytest.mark.skipif(shutil.which("node") is None, reason="no node: apt-get install nodejs")
def test_modules_without_a_browser() -> None:
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", *map(str, TESTS)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = sum(path.read_text().count("\ntest(") for path in TESTS)
    assert written > 30, "the tests are not where this one looks for them"
    assert f"# pass {written}\n" in done.stdout, done.stdout
