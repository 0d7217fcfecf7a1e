"""POSTs to receivers: no redirects, no proxies, no cookies, and only to addresses that were checked."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import httpcore2
import trio

from gochat.notify.address import Unreachable, resolve

#: Of an answer no more is read; most receivers send none.
MOST_BYTES: Final = 64 << 10
#: Connections to all receivers of one channel together, and how long an idle one is kept.
CONNECTIONS: Final = 16
IDLE_S: Final = 30.0


class Answer(NamedTuple):
    """The answer of a receiver."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes
    """The first `MOST_BYTES` of it."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after_ms(self) -> int:
        """`Retry-After` in seconds; 0 where it is missing or a date."""
        told = self.headers.get("retry-after", "")
        return int(told[:9]) * 1000 if told.isascii() and told.isdecimal() else 0


class NoAnswer(Exception):
    """The receiver could not be reached, or did not answer in time. The text is for the operator."""


class Unsendable(NoAnswer):
    """HTTP has no form for the request: nothing was sent, nothing ever will be, and the receiver is not to blame."""


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection that is closed also where its TLS handshake is broken off by a time-out."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's interface
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._inner.aclose()
            raise


class _Guarded(httpcore2.AsyncNetworkBackend):
    """Resolves and checks before it connects. TLS still asks for a certificate of the name."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = httpcore2.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await resolve(host, port, allow_private=self._allow_private)
        except Unreachable as error:
            raise httpcore2.ConnectError(str(error)) from error
        for address in addresses:
            try:
                stream = await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError:
                continue  # The next address may answer; where none does, that is raised below.
            return _Stream(stream)
        raise httpcore2.ConnectError("no connection")


class Poster:
    """Posts to any number of hosts. Connections are kept for a while; `aclose` lets go of them."""

    def __init__(self, timeout_s: float, *, allow_private: bool, tls: ssl.SSLContext | None = None) -> None:
        """`timeout_s` is for a whole request, from the name's resolution to the last byte of the answer."""
        self._timeout_s = timeout_s
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=CONNECTIONS,
            keepalive_expiry=IDLE_S,
            network_backend=_Guarded(allow_private),
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises NoAnswer; Unsendable where the URL or a header is at fault."""
        try:
            with trio.fail_after(self._timeout_s):
                async with self._pool.stream("POST", url, headers=list(headers.items()), content=body) as response:
                    told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                    return Answer(response.status, told, await _beginning(response))
        except trio.TooSlowError:
            raise NoAnswer(f"no answer within {self._timeout_s:g} s") from None
        except httpcore2.LocalProtocolError as error:
            raise Unsendable(str(error) or type(error).__name__) from error
        except (
            httpcore2.TimeoutException,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.UnsupportedProtocol,
        ) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error
        except (ssl.SSLError, OSError) as error:
            raise NoAnswer(f"the connection failed: {error}") from error

    async def aclose(self) -> None:
        await self._pool.aclose()


async def _beginning(response: httpcore2.Response) -> bytes:
    body = b""
    async with aclosing(response.aiter_stream()) as parts:
        async for part in parts:
            body += part
            if len(body) >= MOST_BYTES:
                break  # The connection is closed with the rest unread.
    return body[:MOST_BYTES]
