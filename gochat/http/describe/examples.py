"""A likely value for a schema: the fields that are needed, and of the others those that a first reader wants to see."""

from __future__ import annotations

from typing import Any, Final

from gochat import __version__
from gochat.http.describe.schemas import Json

_WHEN: Final = 1_767_225_600_000
#: By the name of the field, where the kind of value agrees.
_VALUES: Final[dict[str, Any]] = {
    "action": "create", "actor": "ann", "body": "Water is on", "by": "bob", "client": "kettle/1",
    "code": "rate_limited", "cursor": "bob", "detail": "slow down", "device": "phone",
    "duplicate": False, "emoji": "👍", "epoch": "Zk3xV1",
    "from": "ann", "head": 42, "heartbeat_s": 30.0, "key": "kettle-1", "last_seen": _WHEN, "message": "slow down",
    "messages_per_s": 1.0, "name": "Bob", "next": "bob", "node": "node-1", "on": True, "owner": "ann", "q": "wat",
    "read": 41, "reason": "spam", "reconnect_ms": 1500, "reply_to": 41, "report": 3, "retry_after_ms": 600,
    "room": "group:tea", "rule": "messages_per_s", "seconds": 3600, "seq": 42, "server": f"gochat/{__version__}",
    "session": "b1Xq0Jd7", "since": _WHEN, "state": "contact", "status": 429, "subject": "bob", "successor": "bob",
    "target": 41, "title": "Tea", "to": "group:tea", "token": "eyJhbGciOi...", "ts": _WHEN, "unread": 1, "user": "bob",
    "users": "bob",
}  # fmt: skip
#: Where a field of that name means another thing: (schema's title, field).
_HERE: Final[dict[tuple[str, str], Any]] = {
    ("GroupAction", "name"): "tea",
    ("NewGroup", "name"): "tea",
    ("GroupView", "name"): "tea",
    ("AdminAction", "action"): "suspend",
    ("AuditEntry", "action"): "group.ban",
    ("ContactAction", "action"): "add",
    ("Goaway", "reason"): "draining",
    ("ProblemDetails", "title"): "Too Many Requests",
    ("Welcome", "user"): "ann",
    ("Request", "room"): "dm:ann:bob",
    ("RequestEntry", "room"): "dm:ann:bob",
    ("ContactEntry", "room"): "dm:ann:bob",
}
#: Fields that are shown though they may be left out, by the schema's title.
_SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "AdminAction": ("user", "seconds"),
    "Edit": ("body",),
    "Error": ("retry_after_ms",),
    "GroupAction": ("title", "users"),
    "GroupChange": ("title",),
    "Hello": ("token",),
    "Membership": ("role",),
    "Message": ("body", "key"),
    "MessageView": ("body",),
    "NewGroup": ("title", "users"),
    "Send": ("key",),
}
_KINDS: Final[dict[str, Any]] = {"string": "text", "integer": 1, "number": 1.0, "boolean": True, "null": None}


def example(schema: Json, components: Json, title: str = "", field: str = "") -> Any:
    """A value that the schema holds. `field` is the name it goes by in the schema `title`."""
    if "$ref" in schema:
        return example(components[schema["$ref"].rpartition("/")[2]], components)
    if schema.get("default") is not None:
        return schema["default"]
    if "const" in schema:
        return schema["const"]
    liked = _HERE.get((title, field), _VALUES.get(field))
    if "enum" in schema:
        return liked if liked in schema["enum"] else schema["enum"][0]
    if schema.get("type") == "object":
        return _object(schema, components)
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        return example(kinds[0], components, title, field)
    if schema["type"] == "array":
        return [example(schema["items"], components, title, field)]
    usual = _KINDS[schema["type"]]
    if type(liked) is type(usual):
        return liked
    return max(usual, schema.get("minimum", usual)) if schema["type"] == "integer" else usual


def _object(schema: Json, components: Json) -> Json:
    title = schema.get("title", "")
    required, shown = schema.get("required", ()), ("id", *_SHOWN.get(title, ()))
    return {
        name: example(property_, components, title, name)
        for name, property_ in schema.get("properties", {}).items()
        if name in required or name in shown
    }
