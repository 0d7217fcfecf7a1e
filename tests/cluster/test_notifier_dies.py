"""The node that notifies is killed while it sends: another one sends the same again, by the same id; all else once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cluster.test_up import ENVIRON, PATIENCE_S, Up, up

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Takes notifications. Those of the user `slow` it answers after `killed` is set."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        """Of each notification the user, and the id."""
        self.killed = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = json.loads(self.rfile.read(int(self.headers["content-length"])))["data"]
                receiver.told.append((data["user"], self.headers["webhook-id"]))
                if data["user"] == "slow":
                    receiver.killed.wait(PATIENCE_S)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def ids(self, user: str) -> list[str]:
        return [id_ for name, id_ in self.told if name == user]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever)
    thread.start()
    settings = {
        "WEBHOOK_URL": f"http://127.0.0.1:{receiver.server.server_port}/hook",
        "WEBHOOK_SECRET": SECRET,
        "ALLOW_PRIVATE": "true",
        "AFTER_MINUTES": "0.01",
        "TIMEOUT_S": "30",
    }
    for name, value in settings.items():
        monkeypatch.setitem(ENVIRON, f"GOCHAT_NOTIFY__{name}", value)
    yield receiver
    receiver.killed.set()
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def notifying(cluster: Up) -> int:
    """Which of the nodes notifies."""
    (key,) = cluster.server("KEYS", "gc:*:lease:notifier")
    instance = cluster.server("GET", key).decode()
    markers = [(cluster.data / node["node"] / "gochat.cluster").read_text() for node in cluster.nodes]
    (place,) = [place for place, marker in enumerate(markers) if instance in marker]
    return place


@pytest.mark.long
def test_what_was_being_sent_is_sent_again_and_all_else_once(tmp_path: Path, receiver: Receiver) -> None:
    with up(tmp_path / "data", 3) as cluster:
        for node, user in enumerate(("u0", "u1", "u2")):
            cluster.send(node, "ann", user, "hello")
        wait_until(lambda: len(receiver.told) == 3)
        holder = notifying(cluster)
        others = [node for node in range(3) if node != holder]
        cluster.send(others[0], "ann", "slow", "hello")
        wait_until(lambda: receiver.ids("slow"))
        os.kill(cluster.nodes[holder]["pid"], signal.SIGKILL)
        receiver.killed.set()
        cluster.send_at_last(others[1], "ann", "u3", "while nobody notifies")
        wait_until(lambda: len(receiver.ids("slow")) == 2 and receiver.ids("u3"))
        assert notifying(cluster) in others
        cluster.send_at_last(others[0], "ann", "u4", "and on")
        wait_until(lambda: receiver.ids("u4"))
        time.sleep(2)
        assert len(set(receiver.ids("slow"))) == 1
        assert len(receiver.ids("slow")) == 2
        assert all(len(receiver.ids(f"u{number}")) == 1 for number in range(5))
