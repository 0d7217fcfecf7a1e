"""The generated documents, to anybody: the same bytes for as long as the node runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gochat.http import asyncapi
from gochat.http.page import POLICY, page
from gochat.http.rest import openapi
from gochat.http.rest.conditions import entity_tag, is_fresh

_JSON: Final = "application/json"


def documents() -> list[Route]:
    safe = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}
    return [
        _route("/v1/openapi.json", openapi.document, _JSON),
        _route("/v1/asyncapi.json", asyncapi.document, _JSON),
        _route("/docs", page, "text/html; charset=utf-8", safe),
    ]


def _route(path: str, make: Callable[[], bytes], media_type: str, extra: dict[str, str] | None = None) -> Route:
    async def serve(request: Request) -> Response:
        # The first time it takes longer than the loop may be held up.
        content = await trio.to_thread.run_sync(make)
        tag = entity_tag(content)
        headers = {"etag": tag, "cache-control": "no-cache", "x-content-type-options": "nosniff", **(extra or {})}
        if is_fresh(request.headers, tag):
            return Response(None, 304, headers)
        return Response(content, headers=headers | {"content-type": media_type})

    return Route(path, serve)
