"""The whole page, made once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

from gochat import __version__
from gochat.errors import CODES, Code
from gochat.http.describe import asyncapi, openapi
from gochat.http.describe.page import rest, sockets
from gochat.http.describe.page.markup import code, definitions, element, link, paragraph, prose
from gochat.http.describe.page.rest import Part

_STYLE: Final = (files("gochat.http.describe.page") / "style.css").read_text(encoding="utf-8")
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
#: Nothing may be loaded, run, sent or framed; the one style sheet is the one inside.
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def page() -> bytes:
    """The page as UTF-8; always the same bytes."""
    called, framed = openapi.build(), asyncapi.build()
    rest_intro = [called["info"]["description"], "The token goes into the header `Authorization: Bearer TOKEN`."]
    closes = "Why the server ended a session: in the close frame, or in a last `error`."
    chapters = [
        _chapter("rest", "REST", rest_intro, link("/v1/openapi.json", "OpenAPI 3.1 document"), rest.parts(called)),
        _chapter(
            "sockets", "WebSocket and TCP",
            [framed["info"]["description"], framed["channels"]["session"]["description"]],
            link("/v1/asyncapi.json", "AsyncAPI 3.0 document") + sockets.servers(framed), sockets.parts(framed),
        ),
        _chapter("errors", "Errors", ["What a request is refused with: the first that applies."], _codes()),
        _chapter("closes", "Close codes", [closes], sockets.close_codes(framed)),
    ]  # fmt: skip
    contents = element("ul", *(contents for contents, _ in chapters))
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>gochat {__version__}: REST and sockets</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#main">Skip to the text</a>'
        f"<header><h1>gochat <small>{__version__}</small></h1>{link('/docs', 'Documentation')}</header>"
        f'<nav aria-label="Contents">{contents}</nav>'
        f'<main id="main">{"".join(content for _, content in chapters)}</main></body></html>\n'
    ).encode()


def _chapter(
    anchor: str, title: str, texts: Iterable[str], opening: str, parts: Iterable[Part] = ()
) -> tuple[str, str]:
    """Its entry in the table of contents, and itself."""
    listed, told = "", ""
    for part in parts:
        entries = element("ul", *(element("li", link(f"#{where}", name)) for where, name in part.entries))
        listed += element("li", link(f"#{part.anchor}", part.title), entries if part.entries else "")
        told += element("section", element("h3", part.title), part.content, id=part.anchor, class_="part")
    contents = element("li", link(f"#{anchor}", title), element("ul", listed) if listed else "")
    head = element("h2", title) + "".join(map(paragraph, texts))
    return contents, element("section", head, opening, told, id=anchor, class_="chapter")


def _codes() -> str:
    def entry(row: Code) -> tuple[str, str]:
        told = f" HTTP {row.http}, {'temporary' if row.temporary else 'not temporary'}"
        return code(row.name) + element("span", told, class_="kind"), prose(row.meaning)

    return definitions(map(entry, CODES), class_="fields")
