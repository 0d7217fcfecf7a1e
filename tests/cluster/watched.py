"""Two servers, a primary and its replica, and what can be made of them; with a Sentinel or without."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from redis.exceptions import RedisError, ResponseError

from tests.cluster.real import PATIENCE_S, RealServer
from tests.ports import HOST, held_port

#: A port at which nobody listens.
NOWHERE = 1
#: A Sentinel gives a replica that follows nobody back to its primary after so long.
FAILOVER_MS = 4_000
#: A primary that is silent for so long is replaced. Less, and on a machine that is busy those are that live.
DOWN_MS = 1_000


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def told(server: RealServer, section: str) -> bytes:
    """Nothing, where the connection was broken: a Sentinel has all made anew when it promotes or demotes a server."""
    try:
        return bytes(server.command("INFO", section))
    except (RedisError, OSError):
        return b""


def offset(server: RealServer) -> int:
    """How far the server's data go, in bytes of its replication."""
    fields: dict[bytes, bytes] = {}

    def answered() -> bool:
        fields.update(line.split(b":", 1) for line in told(server, "replication").splitlines() if b":" in line)
        return b"master_repl_offset" in fields

    until(answered)
    return int(fields[b"master_repl_offset"])


class Pair:
    """A primary and its replica."""

    def __init__(self, stack: ExitStack, *options: str) -> None:
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gc")))
        self.ports = [stack.enter_context(held_port()) for _ in "pr"]
        self.servers: list[RealServer] = []
        self.missing = 0
        """Bytes that a primary had and its successor had not, over all changes."""
        for name, port in zip("pr", self.ports, strict=True):
            (self.folder / name).mkdir()
            own = ("--port", str(port), "--bind", HOST, "--repl-diskless-sync-delay", "0", *options)
            server = RealServer(self.folder / name, *own)
            stack.callback(server.kill)
            server.start()
            self.servers.append(server)
        self._follow(1, 0)
        self.wait_following(0)

    def _follow(self, place: int, other: int) -> None:
        self.servers[place].command("REPLICAOF", HOST, self.ports[other])

    def wait_following(self, primary: int) -> None:
        """Return once the other server has all that this one has."""
        until(lambda: b"state=online" in told(self.servers[primary], "replication"))

    def demote_and_promote(self, rng: random.Random) -> float:
        """The first server follows the other one, which lacks the latest, and is the primary again; under connections
        that live on. When it was, on time.monotonic's clock."""
        primary, other = self.servers
        other.command("REPLICAOF", "NO", "ONE")
        time.sleep(rng.uniform(0.1, 0.5))
        self.missing += offset(primary) - offset(other)
        self._follow(0, 1)
        until(lambda: b"master_link_status:up" in told(primary, "replication"))
        primary.command("REPLICAOF", "NO", "ONE")
        done_at = time.monotonic()
        self._follow(1, 0)
        self.wait_following(0)
        return done_at


class Watched(Pair):
    """The same with a Sentinel, which promotes the replica."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(stack)
        port = stack.enter_context(held_port())
        config = self.folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind {HOST}\nunixsocket {self.folder}/s\n"
            f"dir {self.folder}\nlogfile {self.folder}/sentinel.log\n"
            f"sentinel monitor gochat {HOST} {self.ports[0]} 1\n"
            f"sentinel down-after-milliseconds gochat {DOWN_MS}\nsentinel failover-timeout gochat {FAILOVER_MS}\n"
        )
        self.url = f"redis+sentinel://{HOST}:{NOWHERE},{HOST}:{port}/gochat"
        self.sentinel = RealServer(self.folder, sentinel=config)
        stack.callback(self.sentinel.kill)
        self.sentinel.start()
        self._settle(0)

    def _settle(self, primary: int) -> None:
        """Wait until the other server follows this one, and the Sentinel knows."""
        self.wait_following(primary)
        until(lambda: all(each in told(self.sentinel, "sentinel") for each in (b"status=ok", b"slaves=1")))

    def _replica(self) -> int:
        until(lambda: any(b"role:slave" in told(each, "replication") for each in self.servers))
        (place,) = (place for place, each in enumerate(self.servers) if b"role:slave" in told(each, "replication"))
        return place

    def _follows(self, place: int) -> bool:
        return b"role:slave" in told(self.servers[place], "replication")

    def _begins_failover(self) -> bool:
        """Whether the Sentinel does so when it is asked: it wants to have heard of the replica lately."""
        try:
            self.sentinel.command("SENTINEL", "FAILOVER", "gochat")
        except ResponseError:
            return False
        return True

    def _wait_promoted(self, place: int) -> None:
        until(lambda: self._is_promoted(place))

    def _is_promoted(self, place: int) -> bool:
        """Whether the server is the primary, and the Sentinel names it."""
        named = [HOST.encode(), str(self.ports[place]).encode()]
        return (
            b"role:master" in told(self.servers[place], "replication")
            and self.sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "gochat") == named
        )

    def fail_over(self, lacking_s: float = 0.0) -> float:
        """The primary dies, and the replica, which lacks what came in the last so many seconds, takes its place; the
        dead one comes back empty and follows it. When the new one was named, on time.monotonic's clock."""
        assert lacking_s * 1_000 < FAILOVER_MS
        new = self._replica()
        old = 1 - new
        if lacking_s:
            self.servers[new].command("REPLICAOF", HOST, NOWHERE)
            time.sleep(lacking_s)
            self.missing += offset(self.servers[old]) - offset(self.servers[new])
        self.servers[old].kill()
        self._wait_promoted(new)
        done_at = time.monotonic()
        self.servers[old].start("--replicaof", HOST, str(self.ports[new]))
        self._settle(new)
        return done_at

    def live_on(self, rng: random.Random, *, dies: bool) -> float:
        """The replica takes the primary's place, which lives on as one: some connections to it break, others do not.
        After a while it dies, or the Sentinel finds it and has it follow the new one. When it was none any more, and
        the Sentinel named the new one."""
        new = self._replica()
        old = 1 - new
        # On a busy machine a Sentinel may give up what it was asked for, before it is done.
        until(lambda: self._is_promoted(new) or (self._begins_failover() and False))
        lines: list[bytes] = self.servers[old].command("CLIENT", "LIST", "TYPE", "normal").splitlines()
        for line in lines:
            fields = dict(field.split(b"=", 1) for field in line.split())
            if b"127.0.0.1" in fields[b"addr"] and rng.random() < 0.3:
                self.servers[old].command("CLIENT", "KILL", "ID", fields[b"id"])
        if dies:
            time.sleep(rng.uniform(1, 4))
            is_named = self._is_promoted(new)  # On a busy machine a Sentinel may have gone back to the old one.
            self.servers[old].kill()
            done_at = time.monotonic()
            self.servers[old].start("--replicaof", HOST, str(self.ports[new]))
            if not is_named:
                until(lambda: self._is_promoted(new))
                done_at = time.monotonic()
        else:
            # Or it finds the new one silent for a moment, and takes the old one back.
            until(lambda: any(self._is_promoted(place) and self._follows(1 - place) for place in (old, new)))
            done_at = time.monotonic()
            new = 1 - self._replica()
        self._settle(new)
        return done_at
