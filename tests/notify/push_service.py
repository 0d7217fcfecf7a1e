"""A push service on loopback that holds each push against the standards, and the devices that read them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import trio
from cryptography.hazmat.primitives.asymmetric import ec

from gochat.notify.encryption import decode64
from tests.notify.receivers import HttpReceiver, Received
from tests.notify.stages import Device, server_tls


class PushService:
    """The endpoint of device n ends in /n. Whoever pushes has to trust `certificate`, as by SSL_CERT_FILE."""

    def __init__(self, folder: Path) -> None:
        self.receiver = HttpReceiver()
        self._tls, _ = server_tls(folder)
        self.certificate = folder / "localhost.pem"
        self.devices: list[Device] = []

    async def serve(self, *, task_status: trio.TaskStatus[int]) -> None:
        await self.receiver.serve(self._tls, task_status=task_status)

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.receiver.port}"

    def subscription(self) -> dict[str, Any]:
        """A new device, as a browser describes it."""
        self.devices.append(Device())
        device = self.devices[-1].subscription(f"{self.origin}/{len(self.devices) - 1}")
        return {"endpoint": device.endpoint, "keys": {"p256dh": device.p256dh, "auth": device.auth}}

    def told(self, key: str) -> list[tuple[int, dict[str, Any]]]:
        """By device, what it was pushed by a server whose public key is `key`."""
        found = []
        for received in self.receiver.received:
            _check(received, key, self.origin)
            number = int(received.path[1:])
            found.append((number, self.devices[number].read(received.body)))
        return found


def _check(received: Received, key: str, origin: str) -> None:
    """RFC 8292: signed for this service and no other, by the key that the device subscribed with, for 24 hours at most;
    RFC 8030: with a TTL."""
    scheme, _, parameters = received.headers["authorization"].partition(" ")
    values = dict(part.strip().split("=", 1) for part in parameters.split(","))
    assert (scheme, values["k"]) == ("vapid", key)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode64(key))
    claims = jwt.decode(values["t"], public, algorithms=["ES256"], audience=origin)
    assert claims["exp"] <= time.time() + 24 * 3_600
    assert claims["sub"].startswith(("mailto:", "https:"))
    assert received.headers["content-encoding"] == "aes128gcm"
    assert int(received.headers["ttl"]) > 0
