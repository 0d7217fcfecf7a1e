"""A real node, and real Chromium pages on it.

`make test` brings the browser where it can. Without one these tests are skipped on a laptop, and fail where CI is set.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.people import Person
from tests.tokens import issue_in

sync_api = pytest.importorskip("playwright.sync_api")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: The limits on messages are set so high that a test may say what it likes at once.
SETTINGS = {
    "GOCHAT_LIMITS__MESSAGES_PER_S": "10000",
    "GOCHAT_LIMITS__MESSAGE_BURST": "10000",
    "GOCHAT_TCP__BIND": "",
}


def browser_program() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Server:
    """One node, which can be killed and started again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._settings: dict[str, str] = dict(SETTINGS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, **settings: str) -> None:
        self._settings |= settings
        arguments = [sys.executable, "-m", "gochat", "serve", "--data", str(self.data)]
        environment = {**os.environ, **self._settings, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [*arguments, "--http", f"127.0.0.1:{self.port}"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self.data.parent,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError("the node ended before it listened")

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.communicate(timeout=30)
            self._process = None

    def token(self, user: str) -> str:
        return issue_in(self.data, user)

    def link(self, user: str) -> str:
        """The link that `gochat link` prints."""
        command = [sys.executable, "-m", "gochat", "link", user, "--data", str(self.data), "--url", self.url, "--print"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    def say(self, token: str, to: str, *bodies: str) -> None:
        """Send messages by REST."""
        for body in bodies:
            self.post(token, "messages", {"to": to, "body": body})

    def post(self, token: str, path: str, body: dict[str, object]) -> None:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}v1/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    node = Server(tmp_path)
    node.start(GOCHAT_POLICY__STRANGERS="allow")
    yield node
    node.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    program = browser_program()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: apt-get install chromium")
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def person(browser: object, server: Server) -> Iterator[Callable[..., Person]]:
    """Opens the page as a user. At the end of the test nothing may have been complained about on any console."""
    people: list[Person] = []

    def make(user: str, **options: object) -> Person:
        someone = Person(user, browser, server, **options)
        people.append(someone)
        return someone

    yield make
    complaints = [complaint for someone in people for complaint in someone.complaints]
    for someone in people:
        someone.close()
    assert complaints == []
