"""WebSocket over TLS: bytes go through the stream, and all else is as on a plain connection."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
import trio
import trio_websocket
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.conftest import Start
from tests.e2e.peer import WsPeer, address


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Certificate and key of "localhost", in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = tmp_path / "both.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(pem))
    return file


async def test_a_conversation(start: Start, nursery: trio.Nursery, certificate: Path) -> None:
    async with start(http={"tls_cert": str(certificate), "tls_key": str(certificate)}) as node:
        host, port = address(node, "https")
        context = ssl.create_default_context(cafile=str(certificate))
        secret = trio.SSLStream(await trio.open_tcp_stream(host, port), context, server_hostname="localhost")
        with trio.fail_after(10):
            socket = await trio_websocket.wrap_client_stream(nursery, secret, f"localhost:{port}", "/v1/ws")
            peer = WsPeer(socket, secret.transport_stream)
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
