"""The load's end of a connection to a peer: signed in with blocking sockets in waves, then non-blocking."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

from bench.faults import Fault, Gone
from bench.peers.base import Inbox, Peer, Step

_PATIENCE_S = 30.0
#: Connections whose sign-ins overlap: ngIRCd listens with a backlog of 10, and a SYN beyond that costs a second.
_WAVE = 10
_READ = 65_536
_QUIET_S = 0.1


class Member:
    """One connection with its inbox. `alive` are bytes that say no more than that the client lives."""

    __slots__ = ("_unsent", "alive", "inbox", "name", "sock")

    def __init__(self, sock: socket.socket, name: str, inbox: Inbox, alive: bytes = b"") -> None:
        self.sock = sock
        self.name = name
        self.inbox = inbox
        self.alive = alive
        self._unsent = b""

    def unblock(self) -> None:
        self.sock.setblocking(False)

    def say_alive(self) -> None:
        if self.alive:
            self.send(self.alive)

    def send(self, data: bytes) -> None:
        """Bytes that the kernel does not take go when the server is next heard: until then it reads no further."""
        self._unsent += data
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self.sock.send(self._unsent) :]

    def receive(self) -> None:
        """Take what is there. To be called when the socket is readable."""
        piece = self.sock.recv(_READ)
        if not piece:
            raise Gone(f"{self.name}: the server closed the connection")
        try:
            answer = self.inbox.take(piece)
        except Fault as fault:
            raise Fault(f"{self.name}: {fault}") from None
        if answer or self._unsent:
            self.send(answer)

    def close(self) -> None:
        self.sock.close()


@contextmanager
def members(peer: Peer, port: int, users: Sequence[str], room: str | None) -> Iterator[list[Member]]:
    """One connection a user, signed in, in the room if one is named; closed at the end."""
    with ExitStack() as stack:
        found: list[Member] = []
        for start in range(0, len(users), _WAVE):
            wave = [
                stack.enter_context(closing(Member(_connect(port), user, peer.inbox())))
                for user in users[start : start + _WAVE]
            ]
            _greet(wave, [peer.greeting(member.name, room) for member in wave])
            found += wave
        drain(found)
        yield found


def drain(found: Sequence[Member]) -> None:
    """Take what came after the sign-in, such as word of who else has joined, until a round finds nothing."""
    for member in found:
        member.unblock()
    heard = True
    while heard:
        time.sleep(_QUIET_S)
        heard = False
        for member in found:
            with suppress(BlockingIOError):
                member.receive()
                heard = True


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _greet(wave: Sequence[Member], scripts: Sequence[Sequence[Step]]) -> None:
    """Carry out the steps in parallel: all say a step, then all await its answer."""
    for steps in zip(*scripts, strict=True):
        for member, step in zip(wave, steps, strict=True):
            member.sock.sendall(step.say)
        for member, step in zip(wave, steps, strict=True):
            _await(member, step)


def _await(member: Member, step: Step) -> None:
    data = b""
    while not step.until.search(data):
        try:
            piece = member.sock.recv(_READ)
        except TimeoutError:
            raise Fault(
                f"{member.name}: no {step.until.pattern!r} within {_PATIENCE_S:.0f} s: {data[-300:]!r}"
            ) from None
        except OSError as error:
            raise Gone(f"{member.name}: {error} while {step.until.pattern!r} was awaited: {data[-300:]!r}") from None
        if not piece:
            raise Gone(f"{member.name}: closed while {step.until.pattern!r} was awaited: {data[-300:]!r}")
        data += piece
