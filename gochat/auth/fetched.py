"""A JWK set behind a URL: fetched in a thread, kept, and fetched again when it is old or lacks a key.

While the issuer can't be reached, the last keys go on verifying. Strangers can cause only so many fetches: one at a
time, and for unknown keys one in `RETRY_S`.
"""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import IO
from urllib.parse import urlsplit

import trio

from gochat.auth.keys import Key, KeySet, parse_key_set
from gochat.errors import AuthError

#: Age at which a set is fetched again, as common clients do (PyJWT, jose4j: 5 minutes).
REFRESH_S = 300.0
#: Least time between two fetches: at worst, a new key of the issuer is found this late.
RETRY_S = 30.0
#: For a connection, and for each piece of the answer; the whole answer has twice as long.
TIMEOUT_S = 5.0
MAX_BYTES = 262_144

logger = logging.getLogger(__name__)


class KeysUnavailable(AuthError):
    """No key was ever fetched: a fault of the site, not of the token. The client may try again."""


class FetchedKeys:
    """The keys at `url`, an https URL or one of a loopback host."""

    def __init__(
        self,
        url: str,
        algorithm: str,
        *,
        refresh_s: float = REFRESH_S,
        retry_s: float = RETRY_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._algorithm = algorithm
        self._refresh_s = refresh_s
        self._retry_s = retry_s
        self._timeout_s = timeout_s
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._one_at_a_time = trio.Lock()
        # Of its own: a fetch that hangs holds its thread, and must not hold one of everybody's.
        self._threads = trio.CapacityLimiter(1)

    async def find(self, kid: str | None) -> Key:
        if self._is_due(kid):
            async with self._one_at_a_time:
                if self._is_due(kid):
                    await self._refresh()
        if self._keys is None:
            raise KeysUnavailable("the keys that verify tokens can't be fetched now")
        return await self._keys.find(kid)

    def _is_due(self, kid: str | None) -> bool:
        now = trio.current_time()
        if now < self._tried_at + self._retry_s:
            return False
        return self._keys is None or now >= self._fetched_at + self._refresh_s or self._keys.get(kid) is None

    async def _refresh(self) -> None:
        self._tried_at = trio.current_time()
        try:
            with trio.fail_after(2 * self._timeout_s):
                document = await trio.to_thread.run_sync(
                    _fetch, self._url, self._timeout_s, abandon_on_cancel=True, limiter=self._threads
                )
            self._keys = parse_key_set(document, self._algorithm)
            self._fetched_at = trio.current_time()
        except (OSError, HTTPException, ValueError, trio.TooSlowError) as error:
            host = urlsplit(self._url).hostname
            logger.warning("can't fetch the keys that verify tokens", extra={"host": host, "reason": str(error)})


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The operator chose where keys come from."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def _fetch(url: str, timeout_s: float) -> bytes:
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(url, timeout=timeout_s) as response:
            document: bytes = response.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()  # it is the response too, and holds the socket
        raise
    if len(document) > MAX_BYTES:
        raise ValueError(f"the JWK set is over {MAX_BYTES} bytes")
    return document
