"""WebSocket over TLS: bytes go through the stream, and all else is as on a plain connection."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import ssl
from pathlib import Path

import pytest
import trio
import trio_websocket
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gochat.node import Node
from tests import certificates
from tests.durability.process import Served
from tests.e2e.conftest import Start
from tests.e2e.peer import WsPeer, address


async def test_a_conversation(start: Start, nursery: trio.Nursery, tmp_path: Path) -> None:
    certificate = certificates.localhost(tmp_path)
    async with start(http={"tls_cert": str(certificate), "tls_key": str(certificate)}) as node:
        host, port = address(node, "https")
        context = ssl.create_default_context(cafile=str(certificate))
        secret = trio.SSLStream(await trio.open_tcp_stream(host, port), context, server_hostname="localhost")
        with trio.fail_after(25):
            socket = await trio_websocket.wrap_client_stream(nursery, secret, f"localhost:{port}", "/v1/ws")
            peer = WsPeer(node, socket, secret.transport_stream)
            await peer.hello("ann")
            # More than one read takes, and more than the window lets be carried out at once.
            bodies = [f"{number} {'x' * 1000}" for number in range(300)]
            async with trio.open_nursery() as sending:
                sending.start_soon(_send_all, peer, bodies)
                heard = [await peer.receive() for _ in bodies]
            assert [fact["body"] for fact in heard] == bodies
            await socket.ping()
            await socket.aclose(1000)
            while node.connections.statistics().open:
                await trio.lowlevel.checkpoint()


async def _send_all(peer: WsPeer, bodies: list[str]) -> None:
    for body in bodies:
        await peer.send({"type": "send", "to": "user:ann", "body": body})


# ---------------------------------------------------------------------------------------------- read again


async def _serial(where: tuple[str, int], trusted: Path) -> int:
    """The serial number of the certificate that a new connection is shown, once it has been checked."""
    context = ssl.create_default_context(cafile=str(trusted))
    with trio.fail_after(25):
        async with trio.SSLStream(await trio.open_tcp_stream(*where), context, server_hostname="localhost") as stream:
            await stream.do_handshake()
            shown = stream.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


async def _read_again(node: Node, caplog: pytest.LogCaptureFixture) -> str:
    caplog.clear()
    with caplog.at_level(logging.INFO, "gochat.node"):
        await trio.to_thread.run_sync(node.reload)
    [record] = [record for record in caplog.records if "certificate" in record.getMessage()]
    return f"{record.levelname} {record.getMessage()}"


async def test_a_new_certificate_is_for_new_connections_and_a_broken_one_changes_nothing(
    start: Start, nursery: trio.Nursery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "new").mkdir()
    old, new = certificates.localhost(tmp_path), certificates.localhost(tmp_path / "new", serial=2)
    in_use = tmp_path / "in_use.pem"
    shutil.copy(old, in_use)
    async with start(http={"tls_cert": str(in_use), "tls_key": str(in_use)}) as node:
        where = address(node, "https")
        context = ssl.create_default_context(cafile=str(old))
        secret = trio.SSLStream(await trio.open_tcp_stream(*where), context, server_hostname="localhost")
        web = await trio_websocket.wrap_client_stream(nursery, secret, f"localhost:{where[1]}", "/v1/ws")
        open_before = WsPeer(node, web, secret.transport_stream)
        await open_before.hello("ann")
        assert await _serial(where, old) == 1
        for broken in "", "no certificate", _cut(new), _encrypted(), _of_two(old, new):
            in_use.write_text(broken)
            told = await _read_again(node, caplog)
            assert told.startswith("ERROR the certificate stays as it was: http.tls_cert = "), told
            assert str(in_use) in told
            assert await _serial(where, old) == 1
        in_use.unlink()
        assert (await _read_again(node, caplog)).startswith("ERROR")
        assert await _serial(where, old) == 1
        shutil.copy(new, in_use)
        assert (await _read_again(node, caplog)).startswith("INFO")
        assert await _serial(where, new) == 2
        assert (await open_before.ask("ping"))["type"] == "pong"
        await web.aclose()


def _cut(certificate: Path) -> str:
    """As it is while a program that renews it is still writing."""
    return certificate.read_text()[:-100]


def _of_two(old: Path, new: Path) -> str:
    """The key of one and the certificate of the other."""
    begin = "-----BEGIN CERTIFICATE"
    return new.read_text().partition(begin)[0] + begin + old.read_text().partition(begin)[2]


def _encrypted() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    ).decode()


async def test_a_signal_has_it_read_again(tmp_path: Path) -> None:
    certificate = certificates.localhost(tmp_path)
    env = {"GOCHAT_HTTP__TLS_CERT": str(certificate), "GOCHAT_HTTP__TLS_KEY": str(certificate)}
    served = Served(tmp_path, env=env)
    await served.start()
    try:
        where = served.addresses["https"]
        assert await _serial(where, certificate) == 1
        certificates.localhost(tmp_path, serial=3)
        os.kill(served.pid, signal.SIGHUP)
        with trio.fail_after(25):
            while "the certificate is read again" not in served.log.read_text():
                await trio.sleep(0.05)
        assert await _serial(where, certificate) == 3
    finally:
        assert await served.stop() == 0
