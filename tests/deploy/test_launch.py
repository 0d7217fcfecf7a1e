"""The messages to programs that start gochat, and the signals that these may send twice."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gochat import launch
from gochat.commands import online
from tests.durability.process import Served


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(20)
        yield server


async def told(manager: socket.socket) -> list[str]:
    """The lines of the next datagram."""
    return (await trio.to_thread.run_sync(manager.recv, 4_096)).decode().splitlines()


async def test_a_node_tells_when_it_is_ready_reloads_and_stops(tmp_path: Path, manager: socket.socket) -> None:
    node = Served(tmp_path / "node", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    with trio.fail_after(60):
        try:
            await node.start()
            pid = f"MAINPID={node.pid}"
            assert await told(manager) == ["READY=1", pid]
            node.send_signal(signal.SIGHUP)
            state, since, by = await told(manager)
            assert (state, by) == ("RELOADING=1", pid)
            assert since.startswith("MONOTONIC_USEC=")
            assert await told(manager) == ["READY=1", pid]
            assert await node.stop() == 0
            assert await told(manager) == ["STOPPING=1", pid]
        finally:
            await node.aclose()


async def test_a_node_that_cannot_listen_is_never_ready(tmp_path: Path, manager: socket.socket) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = "{}:{}".format(*taken.getsockname())
        done = await trio.run_process(
            [
                sys.executable,
                "-m",
                "gochat",
                "serve",
                "--data",
                str(tmp_path / "data"),
                "--http",
                bind,
                "--tcp=",
                "--nng=",
            ],
            check=False,
            capture_stderr=True,
            env={"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
    assert done.returncode == 1, done.stderr
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4_096)


def test_an_abstract_address_and_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("")  # Linux chooses an abstract address
        server.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + server.getsockname()[1:].decode())
        launch.notify(launch.READY)
        assert server.recv(4_096).startswith(b"READY=1\n")
        monkeypatch.delenv("NOTIFY_SOCKET")
        launch.notify(launch.READY)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(4_096)


def test_a_manager_that_is_gone_is_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    launch.notify(launch.READY)
    assert [record.message for record in caplog.records] == [
        "the service manager can't be told: No such file or directory"
    ]


def test_a_manager_that_does_not_read_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(2_000):  # more than the kernel keeps
            launch.notify(launch.READY)


# ------------------------------------------------------------------------------------------- signals told twice


async def test_a_signal_that_is_told_twice_at_once_drains(tmp_path: Path) -> None:
    node = Served(tmp_path)
    with trio.fail_after(60):
        try:
            await node.start()
            link = await node.sign_in("ann")  # whom the drain waits for
            node.send_signal(signal.SIGTERM)
            while b"draining" not in node.log.read_bytes():
                await trio.sleep(0.005)
            node.send_signal(signal.SIGTERM)
            assert await node.ended() == 0
            await link.aclose()
        finally:
            await node.aclose()
    assert "stopped at once" not in node.log.read_text()


@asynccontextmanager
async def nobody(*_: object, **__: object) -> AsyncIterator[None]:
    """In the place of a connection, which does not matter here."""
    yield


async def interrupted_twice(_: object) -> None:
    """Ctrl-C, and again while what was begun is brought to its end."""
    signal.raise_signal(signal.SIGINT)
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            signal.raise_signal(signal.SIGINT)
            await wait_all_tasks_blocked()


def test_a_command_that_is_interrupted_twice_at_once_comes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "connect", nobody)
    assert online.online(interrupted_twice, "", "a token") is False


def test_people_who_interrupt_a_command_again_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "connect", nobody)
    monkeypatch.setattr(online, "SAME_SIGNAL_S", -1.0)  # as if the second came later
    with pytest.raises(KeyboardInterrupt):
        online.online(interrupted_twice, "", "a token")
