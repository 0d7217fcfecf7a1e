"""The written documents as they are served: one path, two codings, and nothing made while a node runs."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from gochat.http.documents import accepts_gzip, document_routes
from gochat.http.messages import Headers
from gochat.http.router import Router
from gochat.http.shell import HttpShell
from tests.http.wiring import Client, Response, serving

PATHS = ["/docs/api", "/v1/openapi.json", "/v1/asyncapi.json"]
SHELL = HttpShell(Router(document_routes()))


async def ask(client: Client, path: str, *lines: str, method: str = "GET") -> Response:
    head = "".join(f"{line}\r\n" for line in lines)
    await client.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    return await client.response(body=method != "HEAD")


@pytest.mark.parametrize("path", PATHS)
async def test_both_codings_are_one_document(path: str) -> None:
    async with serving(SHELL) as client:
        plain = await ask(client, path)
        zipped = await ask(client, path, "Accept-Encoding: br, gzip")
    assert b"content-encoding" not in plain.headers and zipped.headers[b"content-encoding"] == b"gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len(zipped.body) * 5 < len(plain.body)
    assert plain.headers[b"content-type"] == zipped.headers[b"content-type"]
    assert plain.headers[b"vary"] == zipped.headers[b"vary"] == b"accept-encoding"
    assert plain.headers[b"etag"] != zipped.headers[b"etag"], "they are two representations"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("lines", [(), ("Accept-Encoding: gzip",)])
async def test_head_and_what_the_client_has_already(path: str, lines: tuple[str, ...]) -> None:
    async with serving(SHELL) as client:
        got = await ask(client, path, *lines)
        head = await ask(client, path, *lines, method="HEAD")
        tag = got.headers[b"etag"].decode()
        same = await ask(client, path, *lines, f'If-None-Match: "x", W/{tag}')
        other = await ask(client, path, *lines, 'If-None-Match: "x"')
    del got.headers[b"date"], head.headers[b"date"]
    assert head.headers == got.headers
    assert (same.status, same.body, same.headers[b"etag"]) == (304, b"", tag.encode())
    assert b"content-length" not in same.headers and b"content-encoding" not in same.headers
    assert other.status == 200 and other.body == got.body


async def test_a_tag_of_one_coding_is_none_of_the_other() -> None:
    async with serving(SHELL) as client:
        tag = (await ask(client, "/docs/api")).headers[b"etag"].decode()
        assert (await ask(client, "/docs/api", f"If-None-Match: {tag}", "Accept-Encoding: gzip")).status == 200


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip ; q=1.0", True),
        ("*", True),
        ("*;q=0, gzip", True),
        ("gzip;q=0.001", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; Q=0.000", False),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("gzipped", False),
        (",,", False),
    ],
)
def test_which_clients_get_gzip(given: str, taken: bool) -> None:
    assert accepts_gzip(Headers([(b"accept-encoding", given.encode())])) is taken


def test_a_client_that_names_no_coding_gets_none() -> None:
    assert not accepts_gzip(Headers())


def test_a_file_that_is_missing_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        document_routes(tmp_path)


def test_a_node_loads_nothing_that_makes_them() -> None:
    program = "import sys, gochat.process; print(*(m for m in sys.modules if m.startswith('gochat.http.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = done.stdout.split()
    assert "gochat.http.documents" in loaded
    assert [name for name in loaded if name.startswith("gochat.http.describe")] == []
