"""The bench of the page runs, on a small room, and says what it measured. Its findings are not judged here."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench import page_scrolling
from tests.browser.conftest import browser_program


@pytest.mark.long
@pytest.mark.skipif(browser_program() is None, reason="no Chromium: apt-get install chromium")
def test_it_scrolls_and_says_how_smoothly() -> None:
    """In a process of its own: one process drives one browser."""
    command = [sys.executable, "-m", "bench.page_scrolling", "600", "1"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode in (0, 1), ran.stderr
    told = ran.stdout.splitlines()
    assert told[0].startswith("600 messages")
    for name, line in zip(page_scrolling.SPEEDS, told[1:], strict=True):
        assert line.startswith(name), line
        assert name not in page_scrolling.BOUNDED or "rows rebuilt 0" in line, line


def test_what_a_bound_means() -> None:
    smooth = page_scrolling.Scrolled("reading", 60.0, 17.0, 0.0, 0, 700)
    assert smooth.holds
    assert not smooth._replace(frames_per_s=54.9).holds
    assert not smooth._replace(rebuilt=1).holds
    assert not smooth._replace(nodes=1_001).holds
    assert smooth._replace(speed="dragging", frames_per_s=20.0, rebuilt=9).holds, "faster than rows can be drawn ahead"


def test_a_wrong_number_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["many"], ["1", "2", "3"]):
        assert page_scrolling.main(arguments) == 2
        assert "python -m bench.page_scrolling" in capsys.readouterr().err
