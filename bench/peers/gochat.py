"""gochat among its peers. Fan-out and pairs are measured by its own scenarios, which read every byte; one message at
a time is measured by the peers' load, since there a message waits until everybody has the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.load.client import signed_in
from bench.load.wire import WEBSOCKET, websocket_frame
from bench.peers.base import Marks, Running, Settings, body
from bench.peers.client import Member, drain
from bench.scenarios.fanout import make_group
from bench.server import Cores, Gochat

NAME = "gochat"
PROGRAM = ("-m", "gochat", "serve")
SETTINGS = Settings(
    stored="every message, on disk (SQLite, synchronous=FULL) before it is acked or delivered",
    settled="ack, after it is on disk",
    setup="rate limit set to 10^6 messages/s; the writer gets a copy 1:1 too; rooms under the rules it comes with; "
    "`dm` without rules for words and links (`word_action` off, `links` allow); `gochat, lists`: 1,000 words refused, "
    "links refused except to its own domain",
)


@contextmanager
def room(folder: Path, cores: Cores, users: Sequence[str]) -> Iterator[tuple[Running, list[Member]]]:
    """A server, and a group with all `users` signed in; the first one is the owner."""
    server = Gochat(WEBSOCKET, folder, cores, PROGRAM)
    with server.run() as running:
        address = running.address
        with signed_in(address, server.issuer, users[:1]) as [(owner, _)]:
            make_group(owner, "bench", users[1:])
        with signed_in(address, server.issuer, users) as signed:
            found = [Member(client.sock, client.name, Marks(b'"type":"ack"'), WEBSOCKET.alive) for client, _ in signed]
            drain(found)
            yield Running(running.pid, address.port), found


def to_room(number: int) -> bytes:
    head = b'{"type":"send","id":%d,"to":"group:bench","key":"%d","body":"' % (number, number)
    return websocket_frame(head + body(number) + b'"}')
