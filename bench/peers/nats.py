"""nats-server: a room is a subject that everybody subscribes to, a user is a subject with one subscriber."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers.base import BODY, Inbox, Marks, Running, Settings, Step, body, step
from bench.peers.process import absent, debian_version, program, running
from bench.server import Cores


class Nats:
    name = "nats"
    settings = Settings(
        stored="nothing (core NATS: at most once)",
        settled="the writer's own copy",
        setup="no JetStream, verbose off, log off",
    )
    room_copy = True
    room_acks = False
    direct_acks = False

    def missing(self) -> str | None:
        return absent("nats-server", "nats-server")

    def version(self) -> str:
        return debian_version("nats-server")

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        def arguments(port: int) -> list[str | Path]:
            return [program("nats-server") or "nats-server", "-a", "127.0.0.1", "-p", str(port), "-l", "/dev/null"]

        return running(arguments, folder, cores)

    def greeting(self, user: str, room: str | None) -> list[Step]:
        hello = 'CONNECT {"verbose":false,"pedantic":false,"echo":true,"lang":"bench","version":"1"}\r\n'
        subjects = [f"user.{user}", *([f"room.{room}"] if room else [])]
        subscribe = "".join(f"SUB {subject} {sid}\r\n" for sid, subject in enumerate(subjects, 1))
        return [step(b"", rb"INFO [^\n]*\n"), step(f"{hello}{subscribe}PING\r\n".encode(), rb"PONG\r\n")]

    def to_room(self, room: str, number: int) -> bytes:
        return b"PUB room.%s %d\r\n%s\r\n" % (room.encode(), BODY, body(number))

    def to_user(self, user: str, number: int) -> bytes:
        return b"PUB user.%s %d\r\n%s\r\n" % (user.encode(), BODY, body(number))

    def inbox(self) -> Inbox:
        return Marks()
