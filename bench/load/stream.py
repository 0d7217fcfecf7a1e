"""The bytes that come on one non-blocking connection, cut into frames."""

from __future__ import annotations

from bench.faults import Fault, Gone
from bench.load.client import Client

_READ = 65_536


class Stream:
    __slots__ = ("_receive", "_rest", "_split", "client")

    def __init__(self, client: Client) -> None:
        self.client = client
        self._receive = client.sock.recv
        self._split = client.wire.split
        self._rest = b""

    def read(self) -> list[bytes]:
        """The whole frames that are there. To be called when the socket is readable."""
        try:
            data = self._receive(_READ)
        except BlockingIOError:
            return []  # A part of a reply over nng.
        if not data:
            raise Gone(f"{self.client.name}: the server closed the connection")
        data = self._rest + data
        try:
            payloads, used = self._split(data)
        except Fault as fault:
            raise Fault(f"{self.client.name}: {fault}") from None
        self._rest = data[used:]
        return payloads
