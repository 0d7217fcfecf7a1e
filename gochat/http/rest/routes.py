"""The paths of the REST door, to be mounted in the app."""

from __future__ import annotations

from starlette.routing import Route

from gochat.http.rest.allowance import Allowance
from gochat.http.rest.door import Operation, Resource
from gochat.http.rest.parts import RestParts
from gochat.http.rest.table import OPERATIONS


def routes(parts: RestParts) -> list[Route]:
    allowance = Allowance(parts.reads_per_s, parts.read_burst, parts.now_ms)
    paths: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, Resource(parts, allowance, methods)) for path, methods in paths.items()]
