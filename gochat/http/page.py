"""The page that people chat in, and the one for operators: files of the package, read and compressed once, when the
first node starts.

The page is static and knows nobody; whoever opens it signs in by its WebSocket. Its policy lets it load nothing from
elsewhere, and lets no text become markup or script. `http.origins` says which sites may show it in a frame.

The operators' page at `/admin` is as static: it tells nothing that REST does not tell the token of whoever looks at it.
No site may show it in a frame.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from gochat.http.documents import static_handler
from gochat.http.messages import Handler
from gochat.http.rest.conditions import entity_tag
from gochat.http.router import Route

INDEX: Final = "index.html"
#: The page of operators, and the folder of the files that only it loads.
ADMIN: Final = "admin/"
ADMIN_INDEX: Final = f"{ADMIN}{INDEX}"
#: The service worker, which keeps the other files in the browser; it is told which these are.
WORKER: Final = "sw.js"

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
#: Files beside the page that no browser asks for.
_UNSERVED: Final = ("jsconfig.json", "package.json", ".d.mts", ".txt", ".sh", ".sha256")
_ORIGINS_META: Final = b'<meta name="gochat-origins" content="">'
_NO_FILES: Final = b'const FILES = [];\nconst VERSION = "";'


def page_routes(origins: Sequence[str]) -> tuple[Handler, list[Route]]:
    """The handler of the page itself, for `/`, and the routes of the files it loads and of the operators' page."""
    headers = _headers(policy(origins))
    page = _page_files()
    served = page | {INDEX: _index(page[INDEX].content, tuple(origins))}
    handlers = {
        path: static_handler(file.content, file.zipped, file.media_type, headers | file.headers)
        for path, file in served.items()
        if path != ADMIN_INDEX
    }
    admin = page[ADMIN_INDEX]
    admin_page = static_handler(admin.content, admin.zipped, admin.media_type, _headers(ADMIN_POLICY) | admin.headers)
    routes = [Route("/admin", admin_page), Route("/admin/", admin_page)]
    return handlers.pop(INDEX), [*routes, *(Route(f"/{path}", handler) for path, handler in handlers.items())]


_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; "
)
#: The operators' page makes no type trusted, and stands in no frame.
ADMIN_POLICY: Final = f"{_POLICY}frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"


def policy(origins: Sequence[str]) -> str:
    """The page's Content-Security-Policy. Its one trusted type is the address of the service worker."""
    ancestors = " ".join(["'self'", *origins])
    return f"{_POLICY}frame-ancestors {ancestors}; require-trusted-types-for 'script'; trusted-types gochat-worker"


def _headers(security_policy: str) -> dict[str, str]:
    return {
        "cache-control": "no-cache",
        "content-security-policy": security_policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
    }


def with_files(contents: dict[str, bytes]) -> bytes:
    """The worker, with the list of the files, and a name that changes with any of them: browsers then get all anew.
    The operators' page is of no use without the server, and is not kept."""
    kept = sorted(path for path in contents if not path.startswith(ADMIN))
    paths = ["/", *(f"/{path}" for path in kept if path not in (INDEX, WORKER))]
    version = hashlib.sha256(b"".join(contents[path] for path in kept)).hexdigest()[:16]
    filled = f"const FILES = {json.dumps(paths)};\nconst VERSION = {json.dumps(version)};"
    return contents[WORKER].replace(_NO_FILES, filled.encode())


def _contents(folder: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        name = f"{path}{each.name}"
        if each.is_dir():
            yield from _contents(each, f"{name}/")
        elif not name.endswith(_UNSERVED):
            yield name, each.read_bytes()


def without_comments(module: bytes) -> bytes:
    """The page's own module as it is sent: lines that are nothing but a comment are empty. They are a fifth of what a
    browser would fetch, compressed, before the list of chats stands. The others keep their numbers, so that what a
    browser says of a fault is found in the repository."""
    lines, inside = [], False
    for line in module.split(b"\n"):
        bare = line.strip()
        begins = not inside and bare.startswith(b"/**")
        is_comment = inside or begins or bare.startswith(b"//")
        if begins and b"*/" in bare and not bare.endswith(b"*/"):
            is_comment = False  # A type, and the expression that has it.
        inside = (inside or (begins and is_comment)) and not bare.endswith(b"*/")
        lines.append(b"" if is_comment else line)
    return b"\n".join(lines)


class _File(NamedTuple):
    """A file as it is served; its headers beside those that all have."""

    content: bytes
    zipped: bytes
    media_type: str
    headers: dict[str, str]

    @classmethod
    def of(cls, path: str, content: bytes, **headers: str) -> _File:
        media_type = _TYPES[path.rpartition(".")[2]]
        return cls(content, gzip.compress(content, mtime=0), media_type, {"etag": entity_tag(content)} | headers)


@cache
def _page_files() -> dict[str, _File]:
    """All files of the page by path, read and compressed: once in a process, as it takes 20 ms."""
    contents = {
        path: without_comments(content) if path.endswith(".js") else content
        for path, content in _contents(files("gochat.http") / "web", "")
    }
    contents[WORKER] = with_files(contents)
    return {path: _File.of(path, content) for path, content in contents.items()}


@cache
def _index(content: bytes, origins: tuple[str, ...]) -> _File:
    """The page itself, which takes tokens by postMessage from these origins alone."""
    meta = f'<meta name="gochat-origins" content="{escape(" ".join(origins))}">'
    # Programs get a text at this path.
    return _File.of(INDEX, content.replace(_ORIGINS_META, meta.encode()), vary="accept")
