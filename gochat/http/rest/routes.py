"""The paths of the REST door, to be mounted in the app."""

from __future__ import annotations

import time

from starlette.routing import Route

from gochat.http.rest.allowance import Allowance
from gochat.http.rest.door import Operation, Resource
from gochat.http.rest.parts import RestParts
from gochat.http.rest.table import OPERATIONS


def steady_ms() -> int:
    """For limits: a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


def routes(parts: RestParts) -> list[Route]:
    allowance = Allowance(parts.reads_per_s, parts.read_burst, steady_ms)
    strangers = Allowance(
        parts.calls_per_s, parts.call_burst, steady_ms, told="too many attempts from this address",
        rule="calls_per_s",
    )  # fmt: skip
    paths: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, Resource(parts, allowance, strangers, methods)) for path, methods in paths.items()]
