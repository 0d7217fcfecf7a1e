"""/internal/*: questions of other nodes of the cluster. Requests without the cluster's signature get no more than 403,
whatever they ask for; a node without a cluster has nothing there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeAlias

from gochat.errors import GochatError, Lives, UnderWay
from gochat.http.messages import Request, Response
from gochat.http.problems import MEDIA_TYPE, problem_body
from gochat.http.router import Route

log = logging.getLogger(__name__)

#: A question is no longer.
MOST_BYTES: Final = 64 << 10
#: Answers a question's body. Raises GochatError, whose text the asking node is told: nothing was done, but by UnderWay.
Answer: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class Signer(Protocol):
    """Knows the signatures of the cluster's nodes (cluster/signing.py)."""

    def sign(self, method: str, path: str, time_ms: int, body: bytes) -> str: ...

    def is_fresh(self, time: str) -> bool: ...

    def is_signed(self, method: str, path: str, time: str, body: bytes, mac: str) -> bool: ...


def internal_routes(answers: Mapping[str, Answer], signer: Signer) -> list[Route]:
    """`answers` by path, each of which begins with /internal/."""

    def route(path: str, answer: Answer) -> Route:
        async def internal(request: Request) -> Response:
            time, mac = request.headers.get("x-gochat-time"), request.headers.get("x-gochat-mac")
            # Before the body is read: strangers cost no more than this.
            if not mac or not signer.is_fresh(time):
                return _refused()
            body = bytearray()
            while piece := await request.read_body():
                body += piece
                if len(body) > MOST_BYTES:
                    return _refused()
            if not signer.is_signed(request.method, path, time, bytes(body), mac):
                return _refused()
            status = 200
            try:
                content = await answer(bytes(body))
            except UnderWay as error:
                status, content = 202, str(error).encode()
            except Lives as error:
                status, content = 409, problem_body(409, "conflict", str(error))
            except GochatError as error:
                status, content = 503, problem_body(503, "unavailable", str(error))
            # Refusals, too: whoever asks counts on it that nothing was done.
            headers = {"cache-control": "no-store", "x-gochat-mac": signer.sign("ANSWER", path, int(time), content)}
            kind = MEDIA_TYPE if status in (409, 503) else "application/octet-stream"
            return Response(status, content, headers=headers, media_type=kind)

        return Route(path, internal, ("POST",))

    return [route(path, answer) for path, answer in answers.items()]


def _refused() -> Response:
    return _problem(403, "forbidden", "this is for nodes of the cluster")


def _problem(status: int, code: str, detail: str) -> Response:
    return Response(status, problem_body(status, code, detail), media_type=MEDIA_TYPE)
