"""ngIRCd, with penalties off. IRC has no acks and sends the writer no copy: a PING behind each message to a channel
is answered when the server is past it, and that settles it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers.base import Inbox, Marks, Running, Settings, Step, body, step
from bench.peers.process import absent, debian_version, program, running
from bench.server import Cores

_CONFIG = """
[Global]
Name = irc.bench
Info = bench
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = bench
Network = bench
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
"""


class Ngircd:
    name = "ngircd"
    settings = Settings(
        stored="nothing",
        settled="the PONG to a PING behind each message to a channel",
        setup="MaxPenaltyTime 0, no limits on connections, no DNS, ident, PAM",
    )
    room_copy = False
    room_acks = True
    direct_acks = False

    def missing(self) -> str | None:
        return absent("ngircd", "ngircd")

    def version(self) -> str:
        return debian_version("ngircd")

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        def arguments(port: int) -> list[str | Path]:
            config = folder / "ngircd.conf"
            config.write_text(_CONFIG.format(port=port))
            return [program("ngircd") or "ngircd", "--nodaemon", "--config", config]

        return running(arguments, folder, cores)

    def greeting(self, user: str, room: str | None) -> list[Step]:
        steps = [step(f"NICK {user}\r\nUSER {user} 0 * :bench\r\n".encode(), rb" (376|422) [^\n]*\n")]
        if room:
            steps.append(step(f"JOIN #{room}\r\n".encode(), rb" 366 [^\n]*\n"))
        return steps

    def to_room(self, room: str, number: int) -> bytes:
        return b"PRIVMSG #%s :%s\r\nPING %d\r\n" % (room.encode(), body(number), number)

    def to_user(self, user: str, number: int) -> bytes:
        return b"PRIVMSG %s :%s\r\n" % (user.encode(), body(number))

    def inbox(self) -> Inbox:
        return Marks(b" PONG ")
