"""A network of its own for a server and nodes, whose cables can be pulled: Linux's network namespaces.

There is a switch with the server at it, and each node has a cable to the switch. Peers of a node reach it on its own
loopback all the time: only the way to the server is cut. Nothing is left of a network once its test process has ended.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import trio

SERVER = "10.77.0.1"
_SWITCH_MAC = "02:00:00:00:00:01"
_CLONE_NEWNET = 0x4000_0000
_OWN = "/proc/thread-self/ns/net"


def _switch_to(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def _away_from_home() -> Iterator[None]:
    """In the block the thread may enter other namespaces."""
    home = os.open(_OWN, os.O_RDONLY)
    try:
        yield
    finally:
        _switch_to(home)
        os.close(home)


def _new_namespace() -> int:
    """A namespace, which lives as long as the descriptor and those who are in it. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    with _away_from_home():
        if libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        return os.open(_OWN, os.O_RDONLY)


class Network:
    def __init__(self, names: Sequence[str]) -> None:
        """Skips the test where there can be none."""
        missing = [program for program in ("ip", "nsenter") if shutil.which(program) is None]
        if missing or os.geteuid() != 0:
            pytest.skip("network namespaces take root, ip and nsenter: apt-get install iproute2 util-linux")
        self._namespaces: dict[str, int] = {}
        try:
            for name in ("", *names):
                self._namespaces[name] = _new_namespace()
            self._lay(names)
        except (OSError, subprocess.CalledProcessError) as error:
            self.close()
            pytest.skip(f"no network namespaces here, run it where root may make them: {error}")

    def _lay(self, names: Sequence[str]) -> None:
        self._ip("", "link set lo up")
        self._ip("", f"link add switch address {_SWITCH_MAC} type bridge")
        self._ip("", f"addr add {SERVER}/24 dev switch")
        self._ip("", "link set switch up")
        for number, name in enumerate(names, 2):
            self._ip("", f"link add {name} type veth peer name cable")
            self._ip("", f"link set cable netns {self._path(name)}")
            self._ip("", f"link set {name} master switch up")
            self._ip(name, "link set lo up")
            self._ip(name, f"addr add 10.77.0.{number}/24 dev cable")
            self._ip(name, "link set cable up")

    def close(self) -> None:
        for descriptor in self._namespaces.values():
            os.close(descriptor)
        self._namespaces.clear()

    def _path(self, name: str) -> str:
        return f"/proc/{os.getpid()}/fd/{self._namespaces[name]}"

    def prefix(self, name: str = "") -> list[str]:
        """The beginning of a command line that runs in the namespace of a node, or of the server."""
        return ["nsenter", f"--net={self._path(name)}", "--"]

    def _ip(self, name: str, arguments: str) -> None:
        subprocess.run([*self.prefix(name), "ip", *arguments.split()], check=True, capture_output=True)

    def cut(self, name: str, *, cable: bool) -> None:
        """Cut a node off from the server. With `cable` the node's own machine sees its cable pulled; else packets are
        lost further on, and nobody is told."""
        self._ip("", f"link set {name} {'down' if cable else 'nomaster'}")

    def mend(self, name: str) -> None:
        self._ip("", f"link set {name} master switch up")

    async def dial(self, name: str, host: str, port: int) -> trio.SocketStream:
        """A connection to where a node listens in its namespace. Raises OSError."""
        with _away_from_home():
            _switch_to(self._namespaces[name])
            sock = trio.socket.socket()
        try:
            await sock.connect((host, port))
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)
