"""Signs what nodes ask each other over HTTP, below /internal/, and the answers: with the cluster's secret.

A signature is over the method, the path, the time and the body. The time bounds how long a request that was overheard
may be sent again; whatever is asked for there does no harm when it comes twice. An answer is signed with the time of
its question, which no other question of its asker has: it counts as long as the asker waits, however long its node has
worked at it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

#: The names of the headers.
TIME: Final = "x-gochat-time"
MAC: Final = "x-gochat-mac"
#: How far apart the two nodes' clocks may be, and how long a request counts.
MOST_OFF_MS: Final = 30_000
#: The method that stands for an answer to a request.
ANSWER: Final = "ANSWER"


class Signer:
    """Both halves of it: the same on every node."""

    def __init__(self, secret: str, now_ms: Callable[[], int]) -> None:
        key = hashlib.blake2b(secret.encode(), digest_size=64, person=b"gochat secret").digest()
        self._keyed = hashlib.blake2b(key=key, digest_size=32, person=b"gochat internal")
        self.now_ms = now_ms

    def sign(self, method: str, path: str, time_ms: int, body: bytes) -> str:
        """For the header MAC, beside the time in TIME."""
        keyed = self._keyed.copy()
        keyed.update(f"{method} {path} {time_ms}\n".encode())
        keyed.update(body)
        return keyed.hexdigest()

    def is_fresh(self, time: str) -> bool:
        """Whether a request of that time, as its header has it, is worth reading."""
        if not (time.isascii() and time.isdecimal() and len(time) <= 15):
            return False
        return abs(self.now_ms() - int(time)) <= MOST_OFF_MS

    def is_signed(self, method: str, path: str, time: str, body: bytes, mac: str) -> bool:
        """Whether a node of the cluster wrote it. `time` and `mac` are as their headers have them."""
        return self.is_fresh(time) and self._is_right(method, path, int(time), body, mac)

    def is_answer(self, path: str, time_ms: int, body: bytes, mac: str) -> bool:
        """Whether a node of the cluster wrote it in answer to the question that was signed with this time."""
        return self._is_right(ANSWER, path, time_ms, body, mac)

    def _is_right(self, method: str, path: str, time_ms: int, body: bytes, mac: str) -> bool:
        return compare_digest(self.sign(method, path, time_ms, body), mac if mac.isascii() else "")
