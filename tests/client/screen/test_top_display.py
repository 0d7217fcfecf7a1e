"""`gochat top` in a real terminal (tmux), on a real node."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Server
from tests.client.screen.pane import Pane
from tests.client.screen.test_display import node as node
from tests.client.screen.test_display import tmux as tmux
from tests.tokens import issue_in


@pytest.fixture
def watch(tmux: Path, node: Server) -> Iterator[Callable[..., Pane]]:
    """Opens a terminal with `gochat top`."""
    names: list[str] = []

    def open_pane(*arguments: str, columns: int = 80, rows: int = 24, **env: str) -> Pane:
        url = node.url.replace("http", "ws") + "v1/ws"
        names.append(f"top{len(names)}-{time.monotonic_ns()}")
        environment = {
            "GOCHAT_TOKEN": issue_in(node.data, "root", ("admin",)),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "screen-256color",
            **env,
        }
        command = [sys.executable, "-m", "gochat", "top", "--every", "0.5", "--url", url, *arguments]
        return Pane(tmux, names[-1], columns, rows, command, environment)

    yield open_pane
    for name in names:
        subprocess.run(["tmux", "-S", str(tmux), "kill-session", "-t", name], capture_output=True, check=False)


def test_a_node_is_watched_in_a_terminal(watch: Callable[..., Pane], node: Server) -> None:
    node.say(node.token("bob"), "user:ann", "hello")
    pane = watch()
    lines = pane.sees("Users", "Refusals by rule", "no mailbox holds anything", "q: quit")
    assert len(lines) == 24
    assert lines[0].startswith(" ") and "ready" in lines[0]
    assert lines[1].startswith("1 node 2 reports") and lines[1].rstrip().endswith("9 tree")
    pane.keys("9")
    pane.sees("─ run queue")
    pane.keys("3", "/", "b")
    pane.sees("user:bob")
    pane.no_longer_sees("user:ann")
    pane.keys("Enter", "1")
    pane.resize(50, 12)
    pane.sees("Users", "q: quit")
    pane.resize(80, 24)
    pane.sees("Mailboxes")
    pane.keys("q")
    pane.sees("left: 0")
    assert not pane.flag("alternate_on")
    assert pane.flag("wrap_flag")


@pytest.mark.long
def test_colours_and_their_absence(watch: Callable[..., Pane]) -> None:
    def is_coloured(pane: Pane) -> bool:
        codes = "".join(pane.lines("-e"))
        return any(f"\x1b[{number}m" in codes for number in (*range(30, 38), *range(90, 98)))

    pane = watch()
    pane.sees("Refusals by rule")
    assert is_coloured(pane)
    pane.keys("C-c")
    pane.sees("left: 0")
    without = watch(NO_COLOR="1")
    without.sees("Refusals by rule")
    assert not is_coloured(without)


@pytest.mark.long
def test_a_wide_terminal_and_a_node_that_goes(watch: Callable[..., Pane], node: Server) -> None:
    pane = watch(columns=120, rows=40)
    pane.sees("Users", "Disk free")
    node.stop()
    pane.sees("no connection")
    node.start()
    pane.no_longer_sees("no connection")
    pane.sees("ready")
