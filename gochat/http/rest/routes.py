"""The paths of the REST door, to be mounted in the app."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gochat.http.rest.allowance import Allowance
from gochat.http.rest.conditions import entity_tag, is_fresh
from gochat.http.rest.door import JSON, Operation, Resource
from gochat.http.rest.openapi import document
from gochat.http.rest.parts import RestParts
from gochat.http.rest.table import OPERATIONS

DOCUMENT: Final = "/v1/openapi.json"


def routes(parts: RestParts) -> list[Route]:
    allowance = Allowance(parts.reads_per_s, parts.read_burst, parts.now_ms)
    paths: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation
    resources = [Route(path, Resource(parts, allowance, methods)) for path, methods in paths.items()]
    return [Route(DOCUMENT, _openapi), *resources]


async def _openapi(request: Request) -> Response:
    content = document()
    tag = entity_tag(content)
    headers = {"etag": tag, "cache-control": "no-cache"}
    if is_fresh(request.headers, tag):
        return Response(None, 304, headers)
    return Response(content, headers=headers, media_type=JSON)
