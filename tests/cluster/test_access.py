"""Connections that the settings name: with TLS, and with a password that stands in no address."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, ConnectionError, RedisError

from gochat.cluster.access import link_maker
from gochat.cluster.link import ServerLink
from gochat.config import Cluster
from gochat.errors import ConfigError
from tests.certificates import localhost
from tests.cluster.real import PATIENCE_S, RealServer
from tests.ports import held_port

PASSWORD = "p" * 20


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return localhost(tmp_path)


@pytest.fixture
def port(redis: RealServer, certificate: Path) -> Iterator[int]:
    """Where the server speaks TLS."""
    files = [part for name in ("cert", "key", "ca-cert") for part in (f"tls-{name}-file", str(certificate))]
    with held_port() as port:
        redis.command("CONFIG", "SET", *files, "tls-auth-clients", "no", "tls-port", port)
        yield port
        redis.command("CONFIG", "SET", "tls-port", 0)


def answer(settings: Cluster) -> object:
    link = link_maker(settings, PATIENCE_S)()
    try:
        link.open()
        return link.call("PING")
    finally:
        link.close()


def test_a_server_shows_a_certificate_that_is_trusted(port: int, certificate: Path) -> None:
    assert answer(Cluster(url=f"rediss://localhost:{port}?ssl_ca_certs={certificate}")) == b"PONG"


@pytest.fixture
def link(port: int, certificate: Path) -> Iterator[ServerLink]:
    """An open one, with TLS."""
    made = link_maker(Cluster(url=f"rediss://localhost:{port}?ssl_ca_certs={certificate}"), PATIENCE_S)()
    assert isinstance(made, ServerLink)
    made.open()
    yield made
    made.close()


def test_an_interrupted_connection_sends_nothing_in_the_clear(link: ServerLink) -> None:
    """The thread whose link it is may be about to send a message, or the password."""
    sock = link._connection._sock
    assert isinstance(sock, ssl.SSLSocket)
    link.interrupt()
    assert sock._sslobj is not None  # type: ignore[attr-defined]
    with pytest.raises(OSError, match=r"EOF occurred|Broken pipe"):
        sock.send(b"a message")


def test_an_interrupted_connection_waits_no_more(link: ServerLink) -> None:
    ended: list[Exception] = []

    def wait() -> None:
        try:
            link.call("BLPOP", "nothing", 0)
        except (RedisError, OSError) as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    link.interrupt()
    thread.join(PATIENCE_S / 2)
    assert ended


def test_one_that_nobody_vouches_for_is_refused(port: int, certificate: Path) -> None:
    with pytest.raises(ConnectionError, match="certificate verify failed"):
        answer(Cluster(url=f"rediss://localhost:{port}"))
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1"):
        answer(Cluster(url=f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}"))


def test_a_password_comes_by_a_file(redis: RealServer, tmp_path: Path) -> None:
    redis.command("ACL", "SETUSER", "gochat", "reset", "on", f">{PASSWORD}", "+@all", "~*")
    url = redis.url.replace("unix://", "unix://gochat@")
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    assert answer(Cluster(url=url, password_file=str(file))) == b"PONG"
    assert answer(Cluster(url=url, password=PASSWORD)) == b"PONG"
    with pytest.raises(AuthenticationError) as caught:
        answer(Cluster(url=url, password="q" * 20))
    assert "q" * 20 not in str(caught.value)
    file.unlink()
    with pytest.raises(ConfigError, match="password_file"):
        link_maker(Cluster(url=url, password_file=str(file)))


def test_an_option_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cluster\.url"):
        link_maker(Cluster(url="redis://localhost?no_such_option=1"))
