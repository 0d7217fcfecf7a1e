"""Asks another node over HTTP, below /internal/: signed, with a bound for the time and for the answer."""

from __future__ import annotations

import ssl
from contextlib import aclosing
from typing import Final

import httpcore2
import msgspec
import trio

from gochat.cluster.signing import MAC, TIME, Signer
from gochat.errors import GochatError, Lives, UnderWay

TIMEOUT_S: Final = 5.0
#: An answer is no longer: a hundred thousand users are online at one node at most.
MOST_BYTES: Final = 16 << 20
#: A question's time is ahead of the clock by less.
MOST_AHEAD_MS: Final = 1_000
_CONNECTIONS: Final = 16
_IDLE_S: Final = 30.0
#: The answers of a node that did nothing: to strangers, and where it has nothing of the path. A 503 that is not signed
#: may be a proxy's, whose node goes on.
_REFUSALS: Final = frozenset({403, 404, 405})


class PeerAway(GochatError):
    """The node did not answer, or not as one of the cluster. Nobody knows whether it has done what was asked."""


class Refused(PeerAway):
    """The node was not reached, or refused: it has not done what was asked."""


class _Problem(msgspec.Struct):
    """The body of a refusal (RFC 9457), as far as it is of use here."""

    detail: str


class Peers:
    """Asks any number of nodes. Connections are kept for a while; `aclose` lets go of them."""

    def __init__(self, signer: Signer, *, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None) -> None:
        self._signer = signer
        self._timeout_s = timeout_s
        self._asked_ms = 0
        """The time of the last question."""
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_connections=_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
            network_backend=httpcore2.TrioBackend(),
        )

    async def ask(self, url: str, path: str, body: bytes = b"") -> bytes:
        """The node's answer. `url`: where it says that it is reached, whatever that is; `path`: begins with
        /internal/. Raises PeerAway, UnderWay where the node says that it goes on with it,
        and Lives where it won't put out a node."""
        try:
            address = httpcore2.URL(url.rstrip("/") + path)
        except (TypeError, ValueError) as error:
            raise PeerAway(f"{url} is no address of a node: {error}") from error
        time_ms = self._asked_ms = self._time_of_its_own()
        headers = {
            "content-type": "application/octet-stream",
            TIME: str(time_ms),
            MAC: self._signer.sign("POST", path, time_ms, body),
        }
        try:
            with trio.fail_after(self._timeout_s):
                async with self._pool.stream("POST", address, headers=list(headers.items()), content=body) as response:
                    answer = bytearray()
                    async with aclosing(response.aiter_stream()) as pieces:
                        async for piece in pieces:
                            answer += piece
                            if len(answer) > MOST_BYTES:
                                raise PeerAway(f"{url} answers with more than {MOST_BYTES} bytes")
                    found = {name.decode().lower(): value.decode("latin-1") for name, value in response.headers}
                    status = response.status
        except trio.TooSlowError:
            raise PeerAway(f"{url} does not answer within {self._timeout_s:g} s") from None
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.UnsupportedProtocol) as error:
            raise Refused(_unreached(url, error)) from error
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            OSError,
            UnicodeError,  # The host can be no name: it is encoded on its way to the resolver.
        ) as error:
            raise PeerAway(_unreached(url, error)) from error
        is_signed = self._signer.is_answer(path, time_ms, bytes(answer), found.get(MAC, ""))
        if status == 409 and is_signed:
            raise Lives(f"{url}: {_reason(bytes(answer))}")
        if status not in (200, 202):
            kind = Refused if status in _REFUSALS or (status == 503 and is_signed) else PeerAway
            raise kind(f"{url} refuses {path} ({status}): {_reason(bytes(answer))}")
        if not is_signed:
            raise PeerAway(f"{url} answers without the cluster's secret")
        if status == 202:
            raise UnderWay(f"{url}: {answer.decode(errors='replace')}")
        return bytes(answer)

    def _time_of_its_own(self) -> int:
        """The time of a question: the answer to another one does not pass for its answer. A clock that was set back
        counts from where it is, or the others would take questions for old or forged ones."""
        now_ms, next_ms = self._signer.now_ms(), self._asked_ms + 1
        return next_ms if now_ms < next_ms < now_ms + MOST_AHEAD_MS else now_ms

    async def aclose(self) -> None:
        await self._pool.aclose()


def _unreached(url: str, error: Exception) -> str:
    return f"{url} can't be reached: {str(error) or type(error).__name__}"


def _reason(body: bytes) -> str:
    """Why a node refuses, in its own words: or those of whatever else answers at its address."""
    try:
        return msgspec.json.decode(body, type=_Problem).detail
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body[:200].decode(errors="replace")
