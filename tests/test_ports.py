"""The port that a test holds is there for its servers, and for nobody else."""

from __future__ import annotations

import socket
import struct

import pytest

from gochat.transports.listen import open_listeners
from tests.ports import HOST, held_port

#: Linux 6.3: the ports that this socket may get where it asks for just any.
IP_LOCAL_PORT_RANGE = 51


def only(port: int) -> socket.socket:
    """A socket that asks for just any port, where there is but this one."""
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        asking.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("HH", port, port))
    except OSError:
        asking.close()
        pytest.skip("a socket is confined to a range of ports by Linux 6.3 and later, as in Debian 13")
    return asking


def test_servers_listen_there_one_after_the_other() -> None:
    with held_port() as port:
        for _ in range(3):
            (listener,) = open_listeners(f"{HOST}:{port}")
            with listener, socket.create_connection((HOST, port)) as client:
                listener.setblocking(True)
                accepted, _ = listener.accept()
                accepted.close()  # The server's side waits in TIME_WAIT or before, as after a stop.
                assert client.recv(1) == b""


def test_nobody_who_asks_for_just_any_port_gets_it() -> None:
    with held_port() as port, socket.create_server((HOST, 0)) as server:
        with only(port) as listening, pytest.raises(OSError, match="in use"):
            listening.bind((HOST, 0))
        with only(port) as dialling, pytest.raises(OSError, match="assign"):
            dialling.connect(server.getsockname())
    with only(port) as dialling:
        dialling.bind((HOST, 0))
