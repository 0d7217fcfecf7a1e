"""The paths of REST, to be mounted in the app."""

from __future__ import annotations

from gochat.http.rest.context import RestContext
from gochat.http.rest.limiter import Limiter, steady_ms
from gochat.http.rest.resource import Operation, Resource
from gochat.http.rest.table import OPERATIONS
from gochat.http.router import Route


def routes(context: RestContext) -> list[Route]:
    strangers = Limiter(context.calls_per_s, context.call_burst, steady_ms)
    paths: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, Resource(context, strangers, row), methods=None) for path, row in paths.items()]
