"""Nodes that find the primary by Sentinels go on with the one that is promoted."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from gochat.cluster.sentinel import Sentinels
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.three import three_nodes


def free_port() -> int:
    """A port that nobody has now. Redis can't be given a socket, nor find a port by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


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


class Watched:
    """A primary with a replica, and a Sentinel that watches them."""

    def __init__(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gc")))
        self._ports = [free_port() for _ in range(3)]
        self.servers: list[RealServer] = []
        for name, port in zip("pr", self._ports, strict=False):
            (folder / name).mkdir()
            options = ("--port", str(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
            server = RealServer(folder / name, *options)
            stack.callback(server.kill)
            server.start(*(() if name == "p" else ("--replicaof", "127.0.0.1", str(self._ports[0]))))
            self.servers.append(server)
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self._ports[2]}\nbind 127.0.0.1\nunixsocket {folder}/s\n"
            f"dir {folder}\nlogfile {folder}/sentinel.log\n"
            f"sentinel monitor gochat 127.0.0.1 {self._ports[0]} 1\n"
            "sentinel down-after-milliseconds gochat 500\nsentinel failover-timeout gochat 2000\n"
        )
        self.url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self._ports[2]}/gochat"
        self.sentinel = RealServer(folder, sentinel=config)
        stack.callback(self.sentinel.kill)
        self.sentinel.start()
        self._settle(0)

    def _settle(self, primary: int) -> None:
        """Wait until the other server follows this one, and the Sentinel knows."""
        until(lambda: b"state=online" in told(self.servers[primary], "replication"))
        until(lambda: all(each in told(self.sentinel, "sentinel") for each in (b"status=ok", b"slaves=1")))

    def fail_over(self) -> None:
        """The primary dies, with whatever its replica has not got yet; the replica takes its place, and the dead one
        comes back empty and follows it."""
        until(lambda: any(b"role:slave" in told(each, "replication") for each in self.servers))
        (new,) = (place for place, each in enumerate(self.servers) if b"role:slave" in told(each, "replication"))
        old = 1 - new
        self.servers[old].kill()
        until(lambda: b"role:master" in told(self.servers[new], "replication"))
        self.servers[old].start("--replicaof", "127.0.0.1", str(self._ports[new]))
        self._settle(new)


@pytest.fixture
def watched() -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(stack)


def test_sentinels_name_the_primary(watched: Watched) -> None:
    link = Sentinels(watched.url, PATIENCE_S)()
    link.open()
    assert b"role:master" in link.call("INFO", "replication")
    link.close()


@pytest.mark.long
async def test_nothing_is_lost_when_a_replica_is_promoted(watched: Watched) -> None:
    async with three_nodes(Sentinels(watched.url)) as nodes:
        await nodes.some_more()
        watched.servers[0].kill()
        await nodes.some_more()


def test_a_name_that_nobody_knows_is_an_error_with_the_reason(watched: Watched) -> None:
    with pytest.raises(OSError, match=r"no Sentinel names the primary: .* does not know another"):
        Sentinels(watched.url.replace("/gochat", "/another"), PATIENCE_S)()


def test_sentinels_that_are_not_there_are_an_error() -> None:
    with pytest.raises((OSError, RedisError)) as caught:
        Sentinels("redis+sentinel://user:s3cret@127.0.0.1:1/gochat")()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host/name",
        "redis+sentinel://host",
        "redis+sentinel://host/",
        "redis+sentinel:///name",
        "redis+sentinel://host,,other/name",
        "redis+sentinel://host/a/b",
        "redis+sentinel://host:x/name",
        "redis+sentinel://host/name?colour=red",
    ],
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Sentinels(url)
