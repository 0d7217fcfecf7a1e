"""The subjects of events that are told once: the latest of each subject counts, and must not be lost. No I/O.

A full inbox leaves out facts, which are asked for again, and typing and receipts, which soon count no more. A request,
a relation, a read position of one's own and the presence of a user are told once. They are kept, and take the place of
earlier ones of the same subject: so no more of them wait than there are users and rooms.
"""

from __future__ import annotations

from typing import TypeAlias

from gochat.client.events import Event
from gochat.protocol import replies

Subject: TypeAlias = tuple[str, ...]


def subject_of(event: Event, me: str) -> Subject | None:
    """The subject of an event for the user `me`; None where the event may be left out."""
    match event:
        case replies.Request():
            return ("request", event.user)
        case replies.Contact():
            return ("contact", event.user)
        case replies.Read() if event.sender == me:
            return ("read", event.room)
        case replies.Presence():
            return ("presence", *sorted(entry.user for entry in event.users))
        case _:
            return None
