"""The users who are online, where there is one node."""

from __future__ import annotations


class LocalPresence:
    """`ports.Presence` of a node that is alone: its own sessions are all there are."""

    def __init__(self) -> None:
        self._users: set[str] = set()
        self._sessions: dict[str, str] = {}
        """The user of each session."""
        self._counts: dict[str, int] = {}

    def came(self, user: str) -> bool:
        if user in self._users:
            return False
        self._users.add(user)
        return True

    def went(self, user: str) -> bool:
        if user not in self._users:
            return False
        self._users.remove(user)
        return True

    def is_online(self, user: str) -> bool:
        return user in self._users

    def entered(self, session: str, user: str, device: str | None) -> None:
        self._sessions[session] = user
        self._counts[user] = self._counts.get(user, 0) + 1

    def left(self, session: str) -> None:
        user = self._sessions.pop(session, None)
        if user is not None:
            self._counts[user] -= 1
            if not self._counts[user]:
                del self._counts[user]

    def count(self, user: str) -> int:
        return self._counts.get(user, 0)
