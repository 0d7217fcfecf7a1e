"""The text of a notification, from the operator's templates. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gochat.config import TEMPLATE_FIELDS
from gochat.domain.display_text import clean_line

#: Characters of a message's body that a notification carries at most.
BODY_CHARS: Final = 120
#: Characters of a title and of a text, with all that was put in.
TEXT_CHARS: Final = 500

_FIELD = re.compile("|".join(f"{{({name})}}" for name in TEMPLATE_FIELDS))


class Notification(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One user is told of one burst of one room."""

    id: str
    """The same at every try, so that receivers can tell a repeat."""
    user: str
    room: str
    sender: str
    """The user who wrote the latest message, and the name that they show."""
    sender_name: str
    room_title: str = ""
    """A group's title; empty in a private room."""
    count: int
    """Messages of the burst, at most 1,000."""
    seq: int
    """The latest message, and when it was recorded."""
    ts: int
    body: str = ""
    """The beginning of the latest message. Templates alone decide whether it leaves the node."""
    request: bool = False
    """Whether the sender is a stranger who asks to write."""


class Templates(msgspec.Struct, frozen=True):
    """The texts that users read. By default these name the sender, and say nothing of the message."""

    title: str = "{from}"
    text: str = "{count} new in {room}"

    def rendered(self, notification: Notification) -> tuple[str, str]:
        """Title and text, each one line."""
        return fill(self.title, notification), fill(self.text, notification)


def fill(template: str, notification: Notification) -> str:
    """Put the notification's values in the place of the names. Text that a user wrote is never read as a template."""
    name = notification.sender_name or notification.sender
    values = {
        "from": name,
        "user": notification.user,
        "room": notification.room_title or (name if notification.room.startswith("dm:") else notification.room),
        "count": str(notification.count),
        "body": clean_line(shortened(notification.body, BODY_CHARS)),
    }
    text = _FIELD.sub(lambda found: values[found[found.lastindex or 0]], template)
    return shortened(" ".join(text.split()), TEXT_CHARS)


def shortened(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def content(notification: Notification, templates: Templates) -> dict[str, object]:
    """The part of a notification that leaves the node, as an object of JSON. It has the body only inside a template."""
    title, text = templates.rendered(notification)
    told: dict[str, object] = {
        "id": notification.id,
        "user": notification.user,
        "room": notification.room,
        "from": notification.sender,
        "count": notification.count,
        "seq": notification.seq,
        "ts": notification.ts,
        "title": title,
        "text": text,
    }
    if notification.request:
        told["request"] = True
    return told
