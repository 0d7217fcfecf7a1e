"""Receivers that do not answer are left alone for a while. Pure: the clock comes in.

When a push service is down, everybody's devices there would cost a time-out each. Once it has failed some times in a
row its circuit is open: for a pause nothing is sent there, then one notification at a time, until one is answered.
"""

from __future__ import annotations

from typing import Final

import msgspec

#: Failures in a row that open a circuit, and how long it stays open.
FAILURES: Final = 3
PAUSE_MS: Final = 30_000
#: Hosts that are kept in memory: those that failed last. Past it the one that failed first is forgotten.
MOST_HOSTS: Final = 1_000


class _Failing(msgspec.Struct):
    failures: int = 0
    until_ms: int = 0
    reason: str = ""
    probing: bool = False


class Circuits:
    """One for each host that fails."""

    def __init__(self, most: int = MOST_HOSTS) -> None:
        self._most = most
        self._failing: dict[str, _Failing] = {}

    def refusal(self, host: str, now_ms: int) -> str | None:
        """Why nothing is sent there now; None where something is: then `answered`, `failed` or `cancelled` follows."""
        failing = self._failing.get(host)
        if failing is None or failing.failures < FAILURES:
            return None
        if failing.probing or now_ms < failing.until_ms:
            return failing.reason
        failing.probing = True
        return None

    def answered(self, host: str) -> None:
        """It answered, whatever it said."""
        self._failing.pop(host, None)

    def failed(self, host: str, now_ms: int, reason: str) -> None:
        """It could not be reached, or did not answer in time."""
        failing = self._failing.get(host)
        if failing is None:
            if len(self._failing) >= self._most:
                del self._failing[next(iter(self._failing))]
            failing = self._failing[host] = _Failing()
        failing.failures += 1
        failing.until_ms = now_ms + PAUSE_MS
        failing.reason = reason
        failing.probing = False

    def cancelled(self, host: str) -> None:
        """Nobody waited for the answer."""
        failing = self._failing.get(host)
        if failing is not None:
            failing.probing = False
