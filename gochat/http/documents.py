"""The documents that describe the interface, to anybody: files of the package, written by `make docs`.

They are read once, when the node starts. Clients that accept gzip get the compressed file; nothing is compressed here.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

import msgspec

from gochat.http.messages import Handler, Headers, Request, Response
from gochat.http.rest.conditions import is_fresh
from gochat.http.router import Route

#: The file that lists the others.
INDEX: Final = "index.json"

_CODINGS: Final = frozenset(("gzip", "x-gzip"))  # the same (RFC 9110, section 8.4.1.3)
_WEIGHT_0: Final = re.compile(r"q=0(?:\.0{0,3})?", re.IGNORECASE).fullmatch


class Document(msgspec.Struct, frozen=True):
    """One row of the index."""

    path: str
    """The path it is served at."""
    file: str
    """The name of its file; the compressed one ends in `.gz` as well."""
    media_type: str
    headers: dict[str, str]
    """Headers of every response, 304 included; the ETag is that of the uncompressed file."""


class _Variant(NamedTuple):
    """A document in one content coding."""

    content: bytes
    headers: dict[str, str]


def document_routes(folder: Traversable | None = None) -> list[Route]:
    """The routes of all documents in `folder`, by default the package's. Raises OSError where a file is missing."""
    folder = folder or files("gochat.http") / "files"
    documents = msgspec.json.decode((folder / INDEX).read_bytes(), type=list[Document])
    return [Route(document.path, _handler(folder, document)) for document in documents]


def _handler(folder: Traversable, document: Document) -> Handler:
    plain, zipped = ((folder / name).read_bytes() for name in (document.file, f"{document.file}.gz"))
    return static_handler(plain, zipped, document.media_type, document.headers)


def static_handler(content: bytes, compressed: bytes, media_type: str, headers: dict[str, str]) -> Handler:
    """A handler that always answers with the same bytes; `headers` hold the ETag of the uncompressed ones."""
    # Two codings are two representations, and each has a strong tag of its own (RFC 9110, section 8.8.3.3).
    vary = ", ".join(filter(None, (headers.get("vary"), "accept-encoding")))
    headers = headers | {"vary": vary}
    plain = _Variant(content, headers)
    zipped = _Variant(compressed, headers | {"etag": f'{headers["etag"][:-1]}-gzip"'})

    async def serve(request: Request) -> Response:
        compressed = accepts_gzip(request.headers)
        variant = zipped if compressed else plain
        if is_fresh(request.headers, variant.headers["etag"]):
            return Response(304, headers=variant.headers)
        coding = {"content-encoding": "gzip"} if compressed else {}
        content_type = {"content-type": media_type}
        return Response(200, variant.content, headers=variant.headers | coding | content_type)

    return serve


def accepts_gzip(headers: Headers) -> bool:
    """Whether the client takes gzip (RFC 9110, section 12.5.3). A client that names no coding takes any, but gets none:
    it may be a program that does not look at the headers."""
    named, others = None, False
    for item in ",".join(headers.get_all("accept-encoding")).split(","):
        coding, _, weight = item.partition(";")
        taken = not _WEIGHT_0(weight.strip())
        if coding.strip().lower() in _CODINGS:
            named = taken
        elif coding.strip() == "*":
            others = taken
    return others if named is None else named
