"""States, facts and pages for tests of the screen that need no server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gochat.client.screen.composer import Composer
from gochat.client.screen.picture import Scene, picture, plain
from gochat.client.screen.state import State
from gochat.client.screen.viewport import Viewport
from gochat.client.wire import Fact, Page
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol.entries import ContactEntry, Last, RoomEntry

TEA, BOB = "group:tea", "dm:ann:bob"
#: Local noon: a few minutes around it are one day everywhere.
NOON = int(datetime(2026, 3, 1, 12).astimezone().timestamp() * 1000)
DAY = 24 * 3_600_000


def group(room: str = TEA, **fields: Any) -> RoomEntry:
    given = {"title": "", "role": "member", "epoch": "e", "head": 0, "read": 0, "unread": 0, **fields}
    return RoomEntry(room=room, **given)


def contact(user: str = "bob", **fields: Any) -> ContactEntry:
    room = f"dm:{min('ann', user)}:{max('ann', user)}"
    given = {"name": user, "online": False, "epoch": "e", "head": 0, "read": 0, "unread": 0, **fields}
    return ContactEntry(user=user, room=room, **given)


def last(ts: int, body: str = "hi", seq: int = 1) -> Last:
    return Last(seq=seq, ts=ts, sender="bob", body=body)


def state(*entries: RoomEntry | ContactEntry, to: str | None = None, **welcome: Any) -> State:
    """Of ann, with these rooms."""
    fields: dict[str, Any] = {
        "user": "ann",
        "session": "s",
        "node": "n",
        "server": "gochat",
        "heartbeat_s": 30.0,
        "limits": replies.Limits(),
        "requests": [],
        "contacts": [each for each in entries if isinstance(each, ContactEntry)],
        "rooms": [each for each in entries if isinstance(each, RoomEntry)],
    }
    return State(replies.Welcome(**{**fields, **welcome}), to)


def message(seq: int, body: str | None = "text", sender: str = "bob", room: str = TEA, **fields: Any) -> facts.Message:
    return facts.Message(**{"room": room, "seq": seq, "ts": NOON + seq, "sender": sender, "body": body, **fields})


def page(entries: list[Fact], head: int | None = None, room: str = TEA) -> Page:
    newest = entries[-1].seq if entries else 0
    return Page(room=room, epoch="e", entries=entries, head=newest if head is None else head, complete=True)


class Shown:
    """A screen of ann's without a server: what it would show."""

    def __init__(self, of: State, columns: int = 79, rows: int = 24) -> None:
        self.state = of
        self.viewport = Viewport(of)
        self.composer = Composer()
        self.columns, self.rows = columns, rows
        self.drafts: list[Any] = []
        self.now = 0.0

    def picture(self) -> Any:
        scene = Scene(self.state, self.viewport, self.composer, self.drafts, None, self.now)
        return picture(scene, self.columns, self.rows)

    def lines(self) -> list[str]:
        return [plain(row) for row in self.picture().rows]

    def messages(self) -> list[str]:
        """The rows of the messages, without the list of rooms."""
        side = self.picture().side
        return [line[side + 1 :] if side else line for line in self.lines()[1:-2]]
