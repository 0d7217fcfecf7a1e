"""The paths of REST, to be mounted in the app."""

from __future__ import annotations

from gochat.http.rest.context import RestContext
from gochat.http.rest.limiter import Limiter, steady_ms
from gochat.http.rest.resource import Operation, Resource
from gochat.http.rest.table import OPERATIONS
from gochat.http.router import Route


def routes(context: RestContext) -> list[Route]:
    reads = Limiter(context.reads_per_s, context.read_burst, steady_ms)
    refusal = "too many attempts from this address"
    strangers = Limiter(context.calls_per_s, context.call_burst, steady_ms, refusal=refusal, rule="calls_per_s")
    paths: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, Resource(context, reads, strangers, row), methods=None) for path, row in paths.items()]
