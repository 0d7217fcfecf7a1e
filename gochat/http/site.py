"""The documentation at `/docs`, as a site: its pages are files of the package, written by `make docs` from docs/*.md.

A page is read, put into its frame and compressed when somebody first asks for it, in a thread; from then on it is in
memory, 1 MB for all of them. The search runs in the browser, on an index that is one of the files. Nothing comes from
elsewhere. The site has its colours in common with the page that people chat in, and is there without that page too.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache, partial
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec
import trio

from gochat import __version__
from gochat.http.documents import static_handler
from gochat.http.messages import Handler, Request, Response
from gochat.http.rest.conditions import entity_tag
from gochat.http.router import Route

#: Where the site stands. The description of REST and the sockets is beside its pages (documents.py).
BASE: Final = "/docs"
#: The site's own script, styles and index, and nothing else; no text becomes markup, and no site shows it in a frame.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}

_HTML: Final = "text/html; charset=utf-8"
#: Beside the pages: the path below BASE, the file, its media type.
_FILES: Final = (
    ("design.css", "web/css/design.css", "text/css; charset=utf-8"),
    ("docs.css", "docs/docs.css", "text/css; charset=utf-8"),
    ("docs.js", "docs/docs.js", "text/javascript; charset=utf-8"),
    ("search.js", "docs/search.js", "text/javascript; charset=utf-8"),
    ("search.json", "docs/search.json", "application/json"),
    ("icon.svg", "web/icon.svg", "image/svg+xml"),
)


def site_routes() -> list[Route]:
    """The routes of all pages and their files. Raises OSError where the package lacks them."""
    folder = files("gochat.http")
    routes = [Route(address, page_handler(address)) for address in titles()]
    routes += [
        Route(f"{BASE}/{path}", _when_asked(partial(_static, folder, file, media_type)))
        for path, file, media_type in _FILES
    ]
    return [*routes, Route(f"{BASE}/", _to_the_first_page)]


@cache
def titles() -> dict[str, str]:
    """The pages' titles by address."""
    return dict(_lines("titles.json"))


def page_handler(address: str) -> Handler:
    return _when_asked(partial(_page, address))


async def _to_the_first_page(request: Request) -> Response:
    return Response(308, headers={"location": BASE, "cache-control": "no-cache"})


def _when_asked(make: Callable[[], Handler]) -> Handler:
    """A handler that is made by the first request."""
    made: Handler | None = None

    async def serve(request: Request) -> Response:
        nonlocal made
        if made is None:
            made = await trio.to_thread.run_sync(make)
        return await made(request)

    return serve


def _page(address: str) -> Handler:
    content = html_of(address).encode()
    return static_handler(content, gzip.compress(content, mtime=0), _HTML, HEADERS | {"etag": entity_tag(content)})


def _static(folder: Traversable, file: str, media_type: str) -> Handler:
    content = folder.joinpath(*file.split("/")).read_bytes()
    return static_handler(content, gzip.compress(content, mtime=0), media_type, HEADERS | {"etag": entity_tag(content)})


# ------------------------------------------------------------------------------------------------ a page in its frame


def html_of(address: str) -> str:
    """A whole page."""
    name = address.removeprefix(BASE).strip("/") or "index"
    title = titles()[address]
    parts = {
        "title": escape(title if address == BASE else f"{title} · gochat"),
        "version": escape(__version__),
        "menu": _menu_at(address),
        "content": (_docs() / "pages").joinpath(*f"{name}.html".split("/")).read_text(encoding="utf-8"),
    }
    frame = (_docs() / "page.html").read_text(encoding="utf-8")
    before, *rest = frame.split("{{")
    pieces = (piece.split("}}", 1) for piece in rest)
    return before + "".join(parts[name] + text for name, text in pieces)


def _menu_at(address: str) -> str:
    """The menu, with the page at `address` marked; below a page of its own that is its folder's."""
    entries = _lines("menu.json")
    listed = {entry for entry, _ in entries}
    here = address if address in listed else address.rpartition("/")[0]
    made: list[str] = []
    for target, title in entries:
        if not target:
            made.append(f"{'</ul>' if made else ''}<h2>{escape(title)}</h2><ul>")
        else:
            current = ' aria-current="page"' if target == here else ""
            made.append(f'<li><a href="{escape(target)}"{current}>{escape(title)}</a></li>')
    return "\n".join([*made, "</ul>"])


@cache
def _lines(name: str) -> list[tuple[str, str]]:
    return msgspec.json.decode((_docs() / name).read_bytes(), type=list[tuple[str, str]])


def _docs() -> Traversable:
    return files("gochat.http") / "docs"
