"""The files in `gochat/http/files` and their contents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from gochat.http.describe import asyncapi, openapi
from gochat.http.describe.page import POLICY, page
from gochat.http.documents import INDEX, Document
from gochat.http.rest.conditions import entity_tag

_JSON: Final = "application/json"


def files() -> Iterator[tuple[str, bytes]]:
    """Each file's name and content: every document as it is and as `.gz`, whose content is given uncompressed, and the
    index. Always the same bytes."""
    documents = []
    for path, name, media_type, content, extra in _documents():
        headers = {"etag": entity_tag(content), "cache-control": "no-cache", "x-content-type-options": "nosniff"}
        documents.append(Document(path, name, media_type, headers | extra))
        yield name, content
        yield f"{name}.gz", content
    yield INDEX, msgspec.json.format(msgspec.json.encode(documents)) + b"\n"


def _documents() -> Iterator[tuple[str, str, str, bytes, dict[str, str]]]:
    """Path, name of the file, media type, content, and headers of its own."""
    safe = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
    yield "/v1/openapi.json", "openapi.json", _JSON, openapi.document(), {}
    yield "/v1/asyncapi.json", "asyncapi.json", _JSON, asyncapi.document(), {}
    yield "/docs/api", "api.html", "text/html; charset=utf-8", page(), safe
