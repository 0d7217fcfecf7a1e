from __future__ import annotations

import pytest
import trio

from gochat.client import BadUrl, Unreachable, connect
from gochat.client.links import Address, parse_url
from gochat.node import Node
from tests.client.conftest import url


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("ws://127.0.0.1:8080/v1/ws", Address("ws", "127.0.0.1", 8080, "/v1/ws")),
        ("ws://chat.example.org", Address("ws", "chat.example.org", 80, "/v1/ws")),
        ("wss://chat.example.org/chat/ws", Address("wss", "chat.example.org", 443, "/chat/ws")),
        ("ws://[::1]:8080/", Address("ws", "::1", 8080, "/v1/ws")),
        ("tcp://127.0.0.1", Address("tcp", "127.0.0.1", 8081, "/v1/ws")),
        ("nng+tcp://127.0.0.1", Address("nng+tcp", "127.0.0.1", 8082, "/v1/ws")),
        ("nng+tls+tcp://chat.example.org:9/", Address("nng+tls+tcp", "chat.example.org", 9, "/v1/ws")),
    ],
)
def test_an_address_has_its_defaults(given: str, address: Address) -> None:
    assert parse_url(given) == address


@pytest.mark.parametrize(
    "given",
    [
        "",
        "chat.example.org",
        "http://chat.example.org",
        "ws://",
        "ws://host:port",
        "ws://host:99999",
        "tcp://host/path",
        "nng+tcp://host/path",
        "nng+ipc://host",
        "ws://ann:secret@host/v1/ws",
        "ws://host/v1/ws?token=secret",
        "ws://host/v1/ws#secret",
        "ws://[::1",
    ],
)
def test_what_names_no_server_is_refused_without_being_repeated(given: str) -> None:
    with pytest.raises(BadUrl) as caught:
        parse_url(given)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_reason_is_the_system_s_own(host: str) -> None:
    with trio.fail_after(60), pytest.raises(Unreachable) as caught:
        async with connect(f"ws://{host}:1", token="abc"):
            pytest.fail("nobody listens there")
    assert str(caught.value) == "connection refused"


async def test_a_wrong_path_and_a_wrong_scheme_are_told_with_the_way_out(strict: Node) -> None:
    for wrong, reason in (
        (url(strict).replace("/v1/ws", "/chat"), "HTTP status 404); a node has its own at /v1/ws"),
        (url(strict).replace("ws://", "wss://"), "TLS: the port answers without it"),
    ):
        with trio.fail_after(60), pytest.raises(Unreachable) as caught:
            async with connect(wrong, token="abc"):
                pytest.fail("no session is made there")
        assert str(caught.value).endswith(reason)
