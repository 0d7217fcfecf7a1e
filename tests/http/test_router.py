from __future__ import annotations

import pytest

from gochat.http.messages import Request, Response
from gochat.http.rest.table import OPERATIONS
from gochat.http.router import Route, Router


async def nothing(request: Request) -> Response:
    return Response()


def router(*paths: str) -> Router:
    return Router([Route(path, nothing) for path in paths])


@pytest.mark.parametrize(
    ("path", "route", "segments"),
    [
        ("/", "/", {}),
        ("/a", "/a", {}),
        ("/a/new", "/a/new", {}),
        ("/a/x", "/a/{one}", {"one": "x"}),
        ("/a/x y\n", "/a/{one}", {"one": "x y\n"}),
        ("/a/{one}", "/a/{one}", {"one": "{one}"}),
        ("/a/x/b/y", "/a/{one}/b/{two}", {"one": "x", "two": "y"}),
        ("/a/", None, None),
        ("/a\n", None, None),
        ("//a", None, None),
        ("/a//b/y", None, None),
        ("/a/x/", None, None),
        ("/a/x/b", None, None),
        ("/a/x/b/y/c", None, None),
        ("/A", None, None),
        ("", None, None),
        ("a", None, None),
        ("*", None, None),
    ],
)
def test_a_path_has_one_route_or_none(path: str, route: str | None, segments: dict[str, str] | None) -> None:
    found = router("/", "/a", "/a/new", "/a/{one}", "/a/{one}/b/{two}").find(path)
    assert (found and found[0].path, found and found[1]) == (route, segments)


def test_two_routes_of_one_path_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two routes for /a"):
        router("/a", "/a")


def test_names_of_one_segment_agree() -> None:
    with pytest.raises(ValueError, match="one and two"):
        router("/a/{one}/b", "/a/{two}/c")


def test_every_operation_is_found_by_its_own_path() -> None:
    paths = {operation.path for operation in OPERATIONS}
    every = router(*paths)
    for path in paths:
        found = every.find(path)
        assert found is not None and found[0].path == path
