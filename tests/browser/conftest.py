"""A real node, and real Chromium pages on it.

`make test` brings the browser where it can. Without one these tests are skipped on a laptop, and fail where CI is set.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import trio

from gochat.node import running
from gochat.settings import load
from tests import forked
from tests.browser.people import Person
from tests.ports import held_port
from tests.programs import needs
from tests.tokens import issue_in

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: make test")

#: The first is what `make test` installs.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Chromium without windows, which `make test` installs too: it draws and runs pages alike in half the processor time,
#: since the browser draws nothing of its own. It shows no notices.
WINDOWLESS = "chromium-headless-shell"
#: The limits on messages are set so high that a test may say what it likes at once.
SETTINGS = {
    "GOCHAT_LIMITS__MESSAGES_PER_S": "10000",
    "GOCHAT_LIMITS__MESSAGE_BURST": "10000",
    "GOCHAT_TCP__BIND": "127.0.0.1:0",
    "GOCHAT_NNG__BIND": "",
}


def browser_program() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


#: Requests that may be on their way at once; a node's default is above it.
WINDOW = 100


def _write(stream: BinaryIO, *frames: dict[str, object]) -> None:
    stream.write(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))
    stream.flush()


class Server:
    """One node on a folder, which can be stopped and started again on the same port and data. It runs in a thread of
    its own: a process takes ten times as long to start."""

    def __init__(self, folder: Path, port: int) -> None:
        self.data = folder / "data"
        self.port, self.tcp_port = port, 0
        self._settings: dict[str, str] = dict(SETTINGS)
        self._stop: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, **settings: str) -> None:
        self._settings |= settings
        listening = threading.Event()
        failures: list[BaseException] = []
        scope = trio.CancelScope()
        thread = threading.Thread(target=self._run, args=(listening, failures, scope), daemon=True)
        thread.start()
        assert listening.wait(60) and not failures, failures

        def stop() -> None:
            trio.from_thread.run_sync(scope.cancel, trio_token=self._token)
            thread.join(60)

        self._stop = stop

    def _run(self, listening: threading.Event, failures: list[BaseException], scope: trio.CancelScope) -> None:
        places = {"node.data": str(self.data), "http.bind": f"127.0.0.1:{self.port}"}
        settings = load(None, self._settings, places).settings

        async def serve() -> None:
            async with running(settings) as node:
                ports = {name: int(at.rpartition(":")[2]) for name, at in node.addresses}
                self.tcp_port = ports["tcp"]
                self._token = trio.lowlevel.current_trio_token()
                listening.set()
                with scope:
                    await trio.sleep_forever()

        try:
            trio.run(serve)
        except BaseException as error:  # noqa: BLE001 -- told where the node was started
            failures.append(error)
            listening.set()

    def stop(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None

    def token(self, user: str) -> str:
        return issue_in(self.data, user)

    def link(self, user: str, *options: str) -> str:
        """The link that `gochat link` prints."""
        place = ["--data", str(self.data), "--url", self.url, "--print"]
        done = forked.run(["link", user, *place, *options])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def say(self, token: str, to: str, *bodies: str) -> None:
        """Send messages, as many at once as the server takes."""
        with closing(socket.create_connection(("127.0.0.1", self.tcp_port), timeout=60)) as connection:
            stream = connection.makefile("rwb")
            _write(stream, {"type": "hello", "token": token})
            assert json.loads(stream.readline())["type"] == "welcome"
            for first in range(0, len(bodies), WINDOW):
                waiting = set(range(first, min(first + WINDOW, len(bodies))))
                _write(stream, *({"type": "send", "id": at, "to": to, "body": bodies[at]} for at in sorted(waiting)))
                while waiting:
                    frame = json.loads(stream.readline())
                    assert frame["type"] != "error", frame
                    waiting.discard(frame.get("id"))

    def post(self, token: str, path: str, body: dict[str, object], *, method: str = "POST") -> None:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}v1/{path}", json.dumps(body).encode(), headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


class Process(Server):
    """A node that can be killed, and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, port)
        self._process: subprocess.Popen[str] | None = None

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
            if found := re.search(r"listening on tcp://127\.0\.0\.1:(\d+)", line):
                self.tcp_port = int(found[1])
                return
        raise AssertionError("the node ended before it listened")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.communicate(timeout=60)
            self._process = None


@pytest.fixture
def port() -> Iterator[int]:
    """Of a node's HTTP, each time that the test starts it."""
    with held_port() as held:
        yield held


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[Server]:
    node = Server(tmp_path, port)
    node.start(GOCHAT_POLICY__STRANGERS="allow")
    yield node
    node.stop()


@pytest.fixture
def process(tmp_path: Path, port: int) -> Iterator[Process]:
    node = Process(tmp_path, port)
    node.start(GOCHAT_POLICY__STRANGERS="allow")
    yield node
    node.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """A thread can drive browsers by one only."""
    with sync_api.sync_playwright() as driver:
        yield driver


@contextmanager
def _launched(playwright: Any, program: str | None) -> Iterator[object]:
    # No graphics processor is emulated, nor has it a process of its own: that takes time, and shows nothing else.
    options = ["--no-sandbox", "--disable-gpu", "--in-process-gpu"]
    running = playwright.chromium.launch(executable_path=program or needs(BROWSERS[0]), args=options)
    yield running
    running.close()


@pytest.fixture(scope="session")
def whole_browser(playwright: Any) -> Iterator[object]:
    """One that shows notices, and so knows a push service."""
    with _launched(playwright, browser_program()) as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Any) -> Iterator[object]:
    with _launched(playwright, shutil.which(WINDOWLESS) or browser_program()) as running:
        yield running


@pytest.fixture
def person(request: pytest.FixtureRequest) -> Iterator[Callable[..., Person]]:
    """Opens the page as a user, of the node that the test asks for. At the end of the test nothing may have been
    complained about on any console."""
    node = request.getfixturevalue("process" if "process" in request.fixturenames else "server")
    people: list[Person] = []

    def make(user: str, **options: object) -> Person:
        browser = request.getfixturevalue("whole_browser" if options.get("notices") else "browser")
        someone = Person(user, browser, node, **options)
        people.append(someone)
        return someone

    yield make
    complaints = [complaint for someone in people for complaint in someone.complaints]
    for someone in people:
        someone.close()
    assert complaints == []
