"""Finds the handler that answers a path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gochat.http.messages import Handler, Request, Response
from gochat.http.problems import MEDIA_TYPE, problem_body

READING = ("GET", "HEAD")


class Route(NamedTuple):
    """A path and the handler that answers it."""

    path: str
    """Segments in braces, as in `/v1/groups/{group}`, stand for any text without a slash, and give it that name."""
    handler: Handler
    methods: tuple[str, ...] | None = READING
    """Other methods are answered 405; None: the handler sees them all."""


class _Node:
    """The segments that may follow the beginning of a path."""

    __slots__ = ("any", "literal", "name", "route")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.name = ""
        """The name that the segment leading here goes by."""
        self.route: Route | None = None


class Router:
    """A handler that hands each request to the handler of its path. Where a literal segment fits, named ones that stand
    in the same place are not tried."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises ValueError for two routes of one path, and for two names of one segment."""
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                node.any = node.any or _Node()
                node, name = node.any, segment[1:-1]
                if node.name not in ("", name):
                    raise ValueError(f"{route.path}: a segment is called {node.name} and {name}")
                node.name = name
            else:
                node = node.literal.setdefault(segment, _Node())
        if node.route is not None:
            raise ValueError(f"two routes for {route.path}")
        node.route = route

    def find(self, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The route of a decoded path, and the text of its named segments."""
        node, values = self._root, {}
        for segment in path.split("/")[1:]:
            following = node.literal.get(segment)
            if following is None:
                following = node.any if segment else None
                if following is None:
                    return None
                values[following.name] = segment
            node = following
        return None if node.route is None else (node.route, values)

    async def __call__(self, request: Request) -> Response:
        found = self.find(request.path)
        if found is None:
            return _problem(404, "not_found", "there is nothing at this path")
        route, request.segments = found
        if route.methods is not None and request.method not in route.methods:
            detail = "this path does not take that method"
            return _problem(405, "bad_request", detail, allow=", ".join(route.methods))
        return await route.handler(request)


def _problem(status: int, code: str, detail: str, **headers: str) -> Response:
    return Response(status, problem_body(status, code, detail), headers=headers, media_type=MEDIA_TYPE)
