"""A REST client that speaks bytes: it knows nothing of the server but its address."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import trio

from gochat.node import Node
from tests.e2e.peer import WAIT_S, address
from tests.http.wiring import Client
from tests.tokens import issue as issue


class Answer:
    def __init__(self, status: int, headers: dict[bytes, bytes], body: bytes) -> None:
        self.status = status
        self.headers = {name.decode(): value.decode("latin-1") for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and the code of a problem, whose form is checked."""
        assert self.headers["content-type"] == "application/problem+json", (self.status, self.body)
        problem = self.json
        assert problem["status"] == self.status
        assert problem["title"] and problem["detail"]
        return self.status, problem["code"]

    @property
    def next(self) -> str:
        """The path and query that the Link header leads to."""
        target, _, relation = self.headers["link"].partition(">; ")
        assert relation == 'rel="next"'
        return target.removeprefix("<")


class Rest:
    """One user's calls, all on one connection that is opened anew when the server closed it."""

    def __init__(self, node: Node, token: str | None) -> None:
        self._address = address(node, "http")
        self._token = token
        self._client: Client | None = None

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        lines = {"Host": "localhost"}
        if self._token is not None:
            lines["Authorization"] = f"Bearer {self._token}"
        content = raw
        if body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
        lines |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        return await self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (content or b""), method)

    async def send(self, data: bytes, method: str = "GET") -> Answer:
        with trio.fail_after(WAIT_S):
            client = await self._connected()
            await client.send(data)
            answer = Answer(*await client.response(body=method != "HEAD"))
        if answer.headers.get("connection") == "close":
            await self.aclose()
        return answer

    async def _connected(self) -> Client:
        if self._client is None:
            self._client = Client(await trio.open_tcp_stream(*self._address))
        return self._client

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.stream.aclose()
            self._client = None

    async def get(self, path: str, **query: Any) -> Answer:
        asked = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        return await self("GET", f"{path}?{asked}" if asked else path)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        return await self("POST", path, body, headers={name.replace("_", "-"): v for name, v in headers.items()})

    async def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return await self("PATCH", path, body, headers={name.replace("_", "-"): v for name, v in headers.items()})

    async def delete(self, path: str, **headers: str) -> Answer:
        return await self("DELETE", path, headers={name.replace("_", "-"): v for name, v in headers.items()})
