"""Behind proxies, with their defaults and with the files of deploy/: nobody gets in without a credential,
REST with a token works, and with the documented settings everybody with a token chats."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from gochat.node import Node
from gochat.protocol.websocket import TEXT, client_frame
from tests.certificates import localhost
from tests.e2e.conftest import Start
from tests.e2e.peer import address
from tests.http.wiring import Client, Response
from tests.ports import HOST, held_port
from tests.programs import wants
from tests.tokens import issue

pytestmark = pytest.mark.long

DEPLOY = Path(__file__).parents[2] / "deploy"

#: With its defaults: the text around a page, and the site that leads to the node.
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  {site}
}}
"""
NGINX_SITE = "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{node}; }} }}"
HAPROXY_SITE = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
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
{site}
"""
CADDY_SITE = """
http://127.0.0.1:{port} {{
  reverse_proxy {node}
}}
"""


class Proxy(NamedTuple):
    around: str
    """The text around a site in the proxy's main file."""
    defaults: str
    """A site that says no more than where the node is."""
    documented: str
    """The file in deploy/ that the pages name."""
    here: dict[str, str]
    """Texts of that file, and what stands for them on this machine."""
    command: Callable[[str], list[str]]


PROXIES = {
    "nginx": Proxy(
        NGINX,
        NGINX_SITE,
        "nginx.conf",
        {"443": "127.0.0.1:{port}", "/etc/ssl/chat.example.org.pem": "{pem}", "/etc/ssl/chat.example.org.key": "{pem}"},
        lambda file: ["nginx", "-c", file],
    ),
    "haproxy": Proxy(
        "{site}",
        HAPROXY_SITE,
        "haproxy.cfg",
        {":443": "127.0.0.1:{port}", "/etc/haproxy/chat.example.org.pem": "{pem}"},
        lambda file: ["haproxy", "-db", "-f", file],
    ),
    "caddy": Proxy(
        CADDY,
        CADDY_SITE,
        "Caddyfile",
        {"chat.example.org {": "https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {pem} {pem}"},
        lambda file: ["caddy", "run", "--adapter", "caddyfile", "--config", file],
    ),
}


def settings(proxy: Proxy, *, documented: bool, **here: object) -> str:
    """The proxy's whole file for this test; the documented site is that of deploy/, but for addresses and paths."""
    site = proxy.defaults
    if documented:
        site = (DEPLOY / proxy.documented).read_text(encoding="utf-8").replace("{", "{{").replace("}", "}}")
        for text, stands_for in {**proxy.here, "127.0.0.1:8080": "{node}"}.items():
            text = text.replace("{", "{{")
            assert site.count(text) == 1, text
            site = site.replace(text, stands_for)
    return proxy.around.format(site=site.format(**here), **here)


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
        pass  # One side has gone: the proxy is done.


class Entry(NamedTuple):
    """Where clients come in."""

    port: int
    tls: ssl.SSLContext | None = None

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return self.origin.partition("://")[2]

    async def connect(self) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        # nginx and HAProxy close without a word, as most servers do.
        return (
            trio.SSLStream(stream, self.tls, server_hostname="localhost", https_compatible=True) if self.tls else stream
        )


@asynccontextmanager
async def proxied(kind: str, node: Node, folder: Path, *, documented: bool) -> AsyncIterator[Entry]:
    there = address(node, "http")
    if kind == "forwarder":
        async with trio.open_nursery() as nursery:
            [listener] = await nursery.start(partial(trio.serve_tcp, partial(_pass_on, there), 0, host="127.0.0.1"))
            yield Entry(listener.socket.getsockname()[1])
            nursery.cancel_scope.cancel()
        return
    wants(kind)
    proxy = PROXIES[kind]
    with held_port() as port:
        pem = localhost(folder)
        file = folder / proxy.documented
        here = {"folder": folder, "port": port, "node": "{}:{}".format(*there), "pem": pem}
        file.write_text(settings(proxy, documented=documented, **here))
        async with trio.open_nursery() as nursery:
            with (folder / "output").open("wb") as output:
                run = partial(
                    trio.run_process,
                    proxy.command(str(file)),
                    check=False,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={"PATH": os.environ["PATH"], "HOME": str(folder)},
                )
                process = await nursery.start(run)
            with trio.fail_after(25):
                while True:
                    try:
                        await (await trio.open_tcp_stream(HOST, port)).aclose()
                        break
                    except OSError:
                        assert process.poll() is None, (folder / "output").read_text()
                        await trio.sleep(0.05)
            yield Entry(port, ssl.create_default_context(cafile=str(pem)) if documented else None)
            process.terminate()


async def ask(entry: Entry, path: str, token: str = "", *lines: str) -> Response:
    head = [f"GET {path} HTTP/1.1", f"Host: {entry.host}", *lines]
    if token:
        head.append(f"Authorization: Bearer {token}")
    async with await entry.connect() as stream:
        await stream.send_all("\r\n".join([*head, "", ""]).encode())
        with trio.fail_after(25):
            return await Client(stream).response()


async def hello(entry: Entry, frame: dict[str, str]) -> bytes:
    """All that comes after a page's upgrade and a hello, up to the first answer to it or the end."""
    head = (
        f"GET /v1/ws HTTP/1.1\r\nHost: {entry.host}\r\nOrigin: {entry.origin}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    async with await entry.connect() as stream:
        found = b""
        with trio.fail_after(25):
            try:
                await stream.send_all(head.encode())
                while b"\r\n\r\n" not in found and (data := await stream.receive_some()):
                    found += data
                if found.startswith(b"HTTP/1.1 101"):
                    await stream.send_all(client_frame(TEXT, json.dumps(frame).encode()))
                    while b'"type":' not in found and (data := await stream.receive_some()):
                        found += data
            except trio.BrokenResourceError:
                pass  # The caller looks at what came before.
    return found


@pytest.mark.parametrize("documented", [False, True])
@pytest.mark.parametrize("kind", ["forwarder", *PROXIES])
async def test_nobody_gets_in_without_a_credential(start: Start, tmp_path: Path, kind: str, documented: bool) -> None:
    http = {"trusted_proxies": ["127.0.0.1/32"]} if documented and kind != "forwarder" else {}
    async with start(http=http) as node, proxied(kind, node, tmp_path, documented=documented) as entry:
        token = issue(node, "ann")
        for forged in (), ("X-Forwarded-For: 127.0.0.1",):
            assert (await ask(entry, "/metrics", "", *forged)).status == 401
        assert (await ask(entry, "/metrics", token)).status == 403
        assert (await ask(entry, "/v1/me")).status == 401
        assert (await ask(entry, "/v1/me", token)).status == 200
        for frame in {"type": "hello", "user": "ann"}, {"type": "hello", "token": "x"}:
            assert b'"welcome"' not in await hello(entry, frame)
        welcomed = await hello(entry, {"type": "hello", "token": token})
        if documented or kind == "forwarder":
            assert b'"welcome"' in welcomed
