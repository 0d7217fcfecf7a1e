"""Behind proxies, with their defaults and with the settings of docs/howto/run.md: nobody gets in without a credential,
REST with a token works, and with the documented settings everybody with a token chats."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from gochat.node import Node
from gochat.protocol.websocket import TEXT, client_frame
from tests.e2e.conftest import Start
from tests.e2e.peer import address
from tests.http.wiring import Client, Response
from tests.tokens import issue

pytestmark = pytest.mark.long

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{node}; {more} }} }}
}}
"""
NGINX_MORE = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
    " proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_read_timeout 90s;"
)
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
{more}
frontend all
  bind 127.0.0.1:{port}
  default_backend gochat
backend gochat
  server one {node}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  reverse_proxy {node}
}}
"""


#: Name: the template, what is documented beside the defaults, and how it is started with a file.
PROXIES: dict[str, tuple[str, str, Callable[[str], list[str]]]] = {
    "nginx": (NGINX, NGINX_MORE, lambda file: ["nginx", "-c", file]),
    "haproxy": (HAPROXY, "  timeout tunnel 90s\n  option forwardfor", lambda file: ["haproxy", "-db", "-f", file]),
    "caddy": (CADDY, "", lambda file: ["caddy", "run", "--adapter", "caddyfile", "--config", file]),
}


async def _pass_on(there: tuple[str, int], stream: trio.SocketStream) -> None:
    async with await trio.open_tcp_stream(*there) as other, trio.open_nursery() as nursery:
        nursery.start_soon(_copy, stream, other)
        nursery.start_soon(_copy, other, stream)


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
        await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


@asynccontextmanager
async def proxied(kind: str, node: Node, folder: Path, *, documented: bool) -> AsyncIterator[int]:
    """The port of the proxy."""
    there = address(node, "http")
    if kind == "forwarder":
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, partial(_pass_on, there), 0, host="127.0.0.1"))
            yield listener.socket.getsockname()[1]
            nursery.cancel_scope.cancel()
        return
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    template, more, command = PROXIES[kind]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = folder / f"{kind}.conf"
    file.write_text(
        template.format(folder=folder, port=port, node="{}:{}".format(*there), more=more if documented else "")
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process, command(str(file)), check=False, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
            )
        )
        with trio.fail_after(20):
            while True:
                try:
                    await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
                    break
                except OSError:
                    assert process.poll() is None, f"{kind} does not start"
                    await trio.sleep(0.05)
        yield port
        process.terminate()


async def ask(port: int, path: str, token: str = "", *lines: str) -> Response:
    head = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *lines]
    if token:
        head.append(f"Authorization: Bearer {token}")
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all("\r\n".join([*head, "", ""]).encode())
        with trio.fail_after(10):
            return await Client(stream).response()


async def hello(port: int, frame: dict[str, str]) -> bytes:
    """All that comes after a page's upgrade and a hello, up to the first answer to it or the end."""
    head = (
        f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        found = b""
        with trio.fail_after(10):
            try:
                await stream.send_all(head.encode())
                while b"\r\n\r\n" not in found and (data := await stream.receive_some()):
                    found += data
                if found.startswith(b"HTTP/1.1 101"):
                    await stream.send_all(client_frame(TEXT, json.dumps(frame).encode()))
                    while b'"type":' not in found and (data := await stream.receive_some()):
                        found += data
            except trio.BrokenResourceError:
                pass
    return found


@pytest.mark.parametrize("documented", [False, True])
@pytest.mark.parametrize("kind", ["forwarder", *PROXIES])
async def test_nobody_gets_in_without_a_credential(start: Start, tmp_path: Path, kind: str, documented: bool) -> None:
    http = {"trusted_proxies": ["127.0.0.1/32"]} if documented and kind != "forwarder" else {}
    async with start(http=http) as node, proxied(kind, node, tmp_path, documented=documented) as port:
        token = issue(node, "ann")
        for forged in (), ("X-Forwarded-For: 127.0.0.1",):
            assert (await ask(port, "/metrics", "", *forged)).status == 401
        assert (await ask(port, "/metrics", token)).status == 403
        assert (await ask(port, "/v1/me")).status == 401
        assert (await ask(port, "/v1/me", token)).status == 200
        for frame in {"type": "hello", "user": "ann"}, {"type": "hello", "token": "x"}:
            assert b'"welcome"' not in await hello(port, frame)
        welcomed = await hello(port, {"type": "hello", "token": token})
        if documented or kind == "forwarder":
            assert b'"welcome"' in welcomed
