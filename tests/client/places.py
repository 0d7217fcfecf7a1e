"""A server's answers about rooms and where they are."""

from __future__ import annotations

from gochat.client.wire import Page
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol.entries import ContactEntry, Last, RequestEntry, RoomEntry

TEA, DM = "group:tea", "dm:ann:bob"


def message(seq: int, room: str = TEA) -> facts.Message:
    return facts.Message(room=room, seq=seq, ts=seq, sender="bob", body=f"m{seq}")


def member(seq: int, change: facts.Change, *users: str) -> facts.Member:
    return facts.Member(room=TEA, seq=seq, ts=seq, sender="eve", users=list(users), change=change)


def room(head: int, *, room: str = TEA, epoch: str = "e1", read: int = 0) -> RoomEntry:
    return RoomEntry(room=room, title="", role="member", epoch=epoch, head=head, read=read, unread=0)


def contact(head: int, *, read: int = 0, epoch: str = "e1") -> ContactEntry:
    return ContactEntry(
        user="bob", name="bob", online=True, room=DM, epoch=epoch, head=head, read=read, unread=head - read
    )


def request(head: int) -> RequestEntry:
    last = Last(seq=head, ts=head, sender="bob", body="hi")
    return RequestEntry(user="bob", name="bob", room=DM, head=head, last=last)


def welcome(*entries: RoomEntry | ContactEntry | RequestEntry, epoch: str | None = None) -> replies.Welcome:
    """Without `epoch` it is an older server's."""
    return replies.Welcome(
        user="ann",
        session="s",
        node="n",
        server="test",
        heartbeat_s=30,
        limits=replies.Limits(),
        requests=[entry for entry in entries if isinstance(entry, RequestEntry)],
        contacts=[entry for entry in entries if isinstance(entry, ContactEntry)],
        rooms=[entry for entry in entries if isinstance(entry, RoomEntry)],
        epoch=epoch,
    )


def page(head: int, *seqs: int, epoch: str = "e1", complete: bool = True, room: str = TEA) -> Page:
    return Page(room=room, epoch=epoch, entries=[message(seq, room) for seq in seqs], head=head, complete=complete)
