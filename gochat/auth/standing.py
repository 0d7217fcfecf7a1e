"""Reasons to refuse a good token: its user was deleted or suspended, or the token was revoked.

They are kept in memory, as the store has them; a change is recorded first and then applied here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import trio

from gochat.domain.jumps import Jumps
from gochat.domain.side_records import AnyStanding, Deleted, Revoked, Suspended
from gochat.ports.tokens import Identity

DELETED = "account deleted"
SUSPENDED = "the user is suspended"
REVOKED = "the token was revoked"


class Standing:
    """Consulted at every hello, refresh and request of REST."""

    def __init__(self, entries: Iterable[AnyStanding | Deleted] = (), jumps: Jumps | None = None) -> None:
        """`jumps` of the wall clock move the ends of suspensions; by default there are none."""
        self._jumps = jumps or Jumps(time.time_ns, time.time_ns)
        self._offset = self._jumps.offset
        self._deleted: set[str] = set()
        self._suspended: dict[str, int | None] = {}
        self._tokens: dict[str, Revoked] = {}
        """By the id, the first revocation of each."""
        self._users: dict[str, int] = {}
        self.changing = trio.Lock()
        """Held from before an admin's action is recorded until it is applied: of two the later one holds in the end.
        Entries that nothing lifts do without."""
        for entry in entries:
            self.apply(entry)

    def apply(self, entry: AnyStanding | Deleted) -> None:
        """Apply an entry that has been recorded."""
        if isinstance(entry, Deleted):
            self._deleted.add(entry.user)
        elif isinstance(entry, Suspended):
            self._suspended.pop(entry.user, None)
            if entry.on:
                self._jumps.now_ms()
                self._follow()
                self._suspended[entry.user] = entry.until
        elif entry.kind == "jti":
            self._tokens.setdefault(entry.value, entry)
        else:
            self._users[entry.value] = max(entry.ts, self._users.get(entry.value, 0))

    def refusal(self, identity: Identity) -> str | None:
        """Why this identity is not let in; None if it is.

        A token's `iat` has whole seconds: one issued in the very second of a revocation is revoked with the others.
        """
        if identity.user in self._deleted:
            return DELETED
        if identity.user in self._suspended:
            now_ms = self._jumps.now_ms()
            self._follow()
            until = self._suspended[identity.user]
            if until is None or until > now_ms:
                return SUSPENDED
        if identity.token_id is not None and identity.token_id in self._tokens:
            return REVOKED
        revoked = self._users.get(identity.user)
        if revoked is not None and identity.issued_s is not None and identity.issued_s * 1000 <= revoked:
            return REVOKED
        return None

    def shut_out(self, user: str) -> bool:
        """Whether no token of the user lets anybody in: deleted, or suspended."""
        return self.refusal(Identity(user=user, scopes=frozenset())) is not None

    def _follow(self) -> None:
        """Move the ends of suspensions along with the wall clock."""
        by, self._offset = self._jumps.offset - self._offset, self._jumps.offset
        if by:
            for user, until in self._suspended.items():
                self._suspended[user] = None if until is None else until + by

    def is_revoked(self, token_id: str) -> bool:
        """Whether this one id was revoked, or used up."""
        return token_id in self._tokens

    def is_first(self, entry: Revoked) -> bool:
        """Whether the id was revoked by this very entry, which was applied, and by none before."""
        return self._tokens.get(entry.value) is entry


def touches(entry: AnyStanding, identity: Identity) -> bool:
    """Whether live sessions of this identity end by `entry`, which has just been recorded."""
    if isinstance(entry, Suspended):
        return entry.on and entry.user == identity.user
    if entry.kind == "jti":
        return entry.value == identity.token_id
    return entry.value == identity.user
