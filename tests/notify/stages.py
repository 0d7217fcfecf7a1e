"""Receivers under a test's hand, and what the tests of all channels need."""

from __future__ import annotations

import json
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec

from gochat.domain.notices import Subscription
from gochat.notify.encryption import encode64, point
from gochat.notify.http import Poster
from tests.certificates import localhost
from tests.notify.receivers import HttpReceiver

#: Of a channel under its contract: a receiver that says nothing is waited for so long.
TIMEOUT_S = 2.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

_held: list[socket.socket] = []


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def server_tls(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server called localhost, and of a client that trusts it."""
    file = localhost(folder)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


class Device:
    """A browser's half of a subscription."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secret = b"sixteen bytes ok"

    def subscription(self, endpoint: str) -> Subscription:
        return Subscription(endpoint, encode64(point(self.key.public_key())), encode64(self.secret))

    def read(self, body: bytes) -> Any:
        return json.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm"))


class HttpStage:
    secrets: tuple[str, ...] = ()
    forgets = False

    def __init__(self, receiver: HttpReceiver, poster: Poster) -> None:
        self.receiver = receiver
        self.poster = poster

    def then(self, what: str) -> None:
        self.receiver.answers.append({"refuse": 503, "gone": 410}.get(what, what))

    def calm(self) -> None:
        self.receiver.answers.clear()

    async def vanish(self) -> None:
        await self.receiver.stop()


def unused_port() -> int:
    """A port at which nobody listens, for it is bound and does not, until `let_go_of_ports`."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    return int(held.getsockname()[1])


def let_go_of_ports() -> None:
    while _held:
        _held.pop().close()
