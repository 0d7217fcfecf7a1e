"""Who was in a room, and what it was called, as its facts make it: for any point of the log, where the store's own
tables know only the present."""

from __future__ import annotations

from typing import Any, NamedTuple

from gochat.domain.ids import dm_users, is_dm


class Seat(NamedTuple):
    role: str
    since_seq: int
    since_ts: int
    left_seq: int | None = None


class Past:
    """Fold facts in order with `apply`."""

    def __init__(self, room: str) -> None:
        self.seats: dict[str, Seat] = {}
        self.title, self.history, self.post, self.closed = "", "all", "members", False
        self._dm = dm_users(room) if is_dm(room) else None

    def apply(self, kind: str, seq: int, ts: int, data: dict[str, Any]) -> None:
        if seq == 1 and self._dm is not None:
            self.seats = {user: Seat("member", 1, ts) for user in self._dm}
        if kind in ("member", "group"):
            self.title = data.get("title", self.title)
        if kind == "member":
            self._member(seq, ts, data)
        elif kind == "group":
            self.history, self.post = data.get("history", self.history), data.get("post", self.post)
        elif kind == "closed":
            self.closed = True
            self._leave(list(self.seats), seq)

    def _member(self, seq: int, ts: int, data: dict[str, Any]) -> None:
        users = data["users"]
        if data["change"] == "added":
            self.seats.update({user: Seat(data.get("role", "member"), seq, ts) for user in users})
        elif data["change"] == "role":
            self.seats.update({u: self.seats[u]._replace(role=data["role"]) for u in users if u in self.seats})
        else:
            self._leave(users, seq)

    def _leave(self, users: list[str], seq: int) -> None:
        for user in users:
            seat = self.seats.get(user)
            if seat is not None and seat.role != "former":
                self.seats[user] = seat._replace(role="former", left_seq=seq)
