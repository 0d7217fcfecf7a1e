"""The users who are online, where there is one node."""

from __future__ import annotations


class LocalPresence:
    """`ports.Presence` of a node that is alone: its own sessions are all there are."""

    def __init__(self) -> None:
        self._users: set[str] = set()

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
