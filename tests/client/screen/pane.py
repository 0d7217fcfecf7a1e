"""A terminal for tests: a pane of a tmux server, with a program in it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

#: Generous: the machine may be busy with something else.
PATIENCE_S = 60.0


class Pane:
    """One terminal with a program in it."""

    def __init__(
        self, socket: Path, name: str, columns: int, rows: int, command: list[str], env: dict[str, str]
    ) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._name = f"={name}:"
        program = ["env", *(f"{key}={value}" for key, value in env.items()), *command]
        size = ["-x", str(columns), "-y", str(rows)]
        # A shell around it: what the program leaves behind can be looked at.
        self._run("new-session", "-d", "-s", name, *size, "sh", "-c", '"$@"; echo "left: $?"; cat', "sh", *program)

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], capture_output=True, text=True, check=True, timeout=60).stdout

    def keys(self, *keys: str) -> None:
        """Press keys by their tmux names."""
        self._run("send-keys", "-t", self._name, *keys)

    def type(self, *lines: str) -> None:
        for line in lines:
            self._run("send-keys", "-t", self._name, "-l", line)
            self.keys("Enter")

    def paste(self, text: str) -> None:
        self._run("set-buffer", "-b", "clip", text)
        self._run("paste-buffer", "-p", "-b", "clip", "-t", self._name)

    def resize(self, columns: int, rows: int) -> None:
        self._run("resize-window", "-t", self._name, "-x", str(columns), "-y", str(rows))

    def lines(self, *options: str) -> list[str]:
        return self._run("capture-pane", "-p", *options, "-t", self._name).split("\n")[:-1]

    def has_cursor_at(self, column: int, row: int) -> None:
        """Wait until the cursor is there."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            at = self._run("display-message", "-p", "-t", self._name, "#{cursor_x} #{cursor_y}").strip()
            if at == f"{column} {row}":
                return
            assert time.monotonic() < deadline, at
            time.sleep(0.05)

    def flag(self, name: str) -> bool:
        return self._run("display-message", "-p", "-t", self._name, f"#{{{name}}}").strip() == "1"

    def sees(self, *what: str) -> list[str]:
        """Wait until all of this is on the screen, each in one row; then its rows."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            lines = self.lines()
            missing = [each for each in what if not any(each in line for line in lines)]
            if not missing:
                return lines
            assert time.monotonic() < deadline, (missing, lines)
            time.sleep(0.05)

    def no_longer_sees(self, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while any(what in line for line in self.lines()):
            assert time.monotonic() < deadline, self.lines()
            time.sleep(0.05)
