"""Every operation: the frame that asks for it, and the calls of REST that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.authz.stage import Call, Stage
from tests.e2e.peer import Frame


class Operation(NamedTuple):
    frame: Callable[[Stage], Frame] | None = None
    call: Callable[[Stage], Call] | None = None
    row: tuple[str, str] | None = None
    """Of the table of REST: the method and the path that `call` is of."""
    spends: str = ""
    """Where it changes what the user who asks is to the room, so that nothing else can be asked there: `group` or
    `private`, or both."""
    silent: bool = False
    """No reply comes, whatever happens."""


MESSAGES, MESSAGE, REPORTS = "/v1/messages", "/v1/messages/{id}", "/v1/reports"
GROUPS, GROUP, USERS, USER = (
    "/v1/groups",
    "/v1/groups/{group}",
    "/v1/groups/{group}/users",
    "/v1/groups/{group}/users/{id}",
)
CONTACT, REQUEST, BLOCK = "/v1/contacts/{id}", "/v1/requests/{id}", "/v1/blocks/{id}"


def asks(kind: str, **fields: Callable[[Stage], Any] | Any) -> Callable[[Stage], Frame]:
    """A frame; fields that are functions are asked of the stage."""

    def frame(stage: Stage) -> Frame:
        found = {name: value(stage) if callable(value) else value for name, value in fields.items()}
        return {"type": kind, **found}

    return frame


def group(action: str, **fields: Any) -> Callable[[Stage], Frame]:
    return asks("group", name=lambda s: s.name, action=action, **fields)


def contact(action: str, method: str, path: str) -> Operation:
    frame = asks("contact", user=lambda s: s.meets, action=action)
    return Operation(
        frame, lambda s: (method, path.replace("{id}", s.meets), None), (method, path), spends="private group"
    )


def admin(action: str, method: str, path: str, body: Any = None) -> Operation:
    def call(stage: Stage) -> Call:
        filled = body and {name: value.format(s=stage) for name, value in body.items()}
        return method, path.replace("{id}", f"{stage.new}.x"), filled

    return Operation(asks("admin", action=action, user=lambda s: f"{s.new}.x"), call, (method, path))


def sanction(action: str, user: Callable[[Stage], str] | str, **fields: int) -> Operation:
    method, kind = ("DELETE", action.removeprefix("un")) if action.startswith("un") else ("PUT", action)
    path = f"/v1/groups/{{group}}/{kind}s/{{id}}"

    def call(stage: Stage) -> Call:
        name = user(stage) if callable(user) else user
        return method, path.replace("{group}", stage.name).replace("{id}", name), fields or None

    return Operation(group(action, user=user, **fields), call, (method, path))


def get(path: str, row: str) -> tuple[Callable[[Stage], Call], tuple[str, str]]:
    return lambda s: ("GET", path.format(s=s), None), ("GET", row)


def remove(user: str) -> Operation:
    return Operation(
        group("remove", users=[user]), lambda s: ("DELETE", f"/v1/groups/{s.name}/users/{user}", None), ("DELETE", USER)
    )


def role(user: str, given: str) -> Operation:
    return Operation(
        group("role", user=user, role=given),
        lambda s: ("PUT", f"/v1/groups/{s.name}/users/{user}", {"role": given}),
        ("PUT", USER),
    )


def patched(**fields: str) -> tuple[Callable[[Stage], Call], tuple[str, str]]:
    return lambda s: ("PATCH", f"/v1/groups/{s.name}", fields), ("PATCH", GROUP)


def edit(seq: Callable[[Stage], int]) -> Operation:
    return Operation(
        asks("edit", room=lambda s: s.room, seq=seq, body="coffee"),
        lambda s: ("PATCH", f"/v1/messages/{s.room}:{seq(s)}", {"body": "coffee"}),
        ("PATCH", MESSAGE),
    )


def delete(seq: Callable[[Stage], int]) -> Operation:
    return Operation(
        asks("delete", room=lambda s: s.room, seq=seq),
        lambda s: ("DELETE", f"/v1/messages/{s.room}:{seq(s)}", None),
        ("DELETE", MESSAGE),
    )


#: Of the form of one: a node that does not push looks no closer.
DEVICE: Final = {"endpoint": "https://push.example/1", "keys": {"p256dh": "BK", "auth": "k"}}
ROOM: Final = {"room": lambda s: s.room}

OPERATIONS: Final[dict[str, Operation]] = {
    "ping": Operation(asks("ping")),
    "pong": Operation(asks("pong"), silent=True),
    "hello again": Operation(asks("hello", token=lambda s: s.token)),
    "refresh": Operation(asks("refresh", token=lambda s: s.token)),
    "refresh with another's token": Operation(asks("refresh", token=lambda s: s.strange_token)),
    "read metrics": Operation(None, *get("/metrics", "/metrics")),
    "who am I": Operation(None, *get("/v1/me", "/v1/me")),
    # Messages
    "send": Operation(
        asks("send", to=lambda s: s.room, body="tea"),
        lambda s: ("POST", MESSAGES, {"to": s.room, "body": "tea"}),
        ("POST", MESSAGES),
        spends="private",
    ),
    "send a recorded key": Operation(
        asks("send", to=lambda s: s.room, body="tea", key="recorded"),
        lambda s: ("POST", MESSAGES, {"to": s.room, "body": "tea", "headers": {"Idempotency-Key": "recorded"}}),
        ("POST", MESSAGES),
    ),
    "edit one's own": edit(lambda s: s.own[0]),
    "edit another's": edit(lambda s: s.others[0]),
    "delete one's own": delete(lambda s: s.own[1]),
    "delete another's": delete(lambda s: s.others[1]),
    "react": Operation(asks("react", **ROOM, seq=lambda s: s.own[0], emoji="👍", on=True)),
    "read": Operation(asks("read", **ROOM, seq=1)),
    "got": Operation(asks("got", **ROOM, seq=1)),
    "typing": Operation(asks("typing", **ROOM)),
    "report": Operation(
        asks("report", **ROOM, seq=lambda s: s.others[0]),
        lambda s: ("POST", f"/v1/messages/{s.room}:{s.others[0]}/reports", None),
        ("POST", "/v1/messages/{id}/reports"),
    ),
    # Reading
    "resume": Operation(asks("resume", **ROOM, seq=0)),
    "history": Operation(asks("history", **ROOM), *get("/v1/messages?room={s.room}", MESSAGES)),
    "one message": Operation(None, *get("/v1/messages/{s.room}:{s.own[0]}", MESSAGE)),
    "search in it": Operation(asks("search", **ROOM, q="tea", **{"in": "messages"})),
    "search everywhere": Operation(asks("search", q="tea", **{"in": "messages"})),
    "search users": Operation(asks("search", q="kee", **{"in": "users"}), *get("/v1/users?q=kee", "/v1/users")),
    "members": Operation(asks("members", **ROOM)),
    "list members": Operation(None, *get("/v1/groups/{s.name}/users", USERS)),
    "one member": Operation(None, *get("/v1/groups/{s.name}/users/to.meet", USER)),
    "one group": Operation(None, *get("/v1/groups/{s.name}", GROUP)),
    "groups": Operation(asks("groups"), *get(GROUPS, GROUPS)),
    "export": Operation(None, *get("/v1/groups/{s.name}/export", "/v1/groups/{group}/export")),
    "one's own devices": Operation(asks("devices"), *get("/v1/devices", "/v1/devices")),
    "sign out a device of nobody": Operation(
        asks("sign_out", handle=lambda s: s.new),
        lambda s: ("DELETE", f"/v1/devices/{s.new}", None),
        ("DELETE", "/v1/devices/{handle}"),
    ),
    "names": Operation(asks("names", users=lambda s: [s.other])),
    "watch": Operation(asks("watch", users=lambda s: [s.other])),
    # Other users
    "contacts": Operation(asks("contacts"), *get("/v1/contacts", "/v1/contacts")),
    "blocks": Operation(None, *get("/v1/blocks", "/v1/blocks")),
    "requests": Operation(asks("requests"), *get("/v1/requests", "/v1/requests")),
    "add a contact": contact("add", "PUT", CONTACT),
    "remove a contact": contact("remove", "DELETE", CONTACT),
    "block": contact("block", "PUT", BLOCK),
    "unblock": contact("unblock", "DELETE", BLOCK),
    "accept a request": contact("accept", "PUT", REQUEST),
    "decline a request": contact("decline", "DELETE", REQUEST),
    # Groups
    "create": Operation(
        asks("group", name=lambda s: s.new, action="create"),
        lambda s: ("POST", GROUPS, {"name": s.new}),
        ("POST", GROUPS),
    ),
    "create what exists": Operation(group("create"), lambda s: ("POST", GROUPS, {"name": s.name}), ("POST", GROUPS)),
    "set the title": Operation(group("set", title="Tea"), *patched(title="Tea")),
    "set history and post": Operation(
        group("set", history="all", post="members"), *patched(history="all", post="members")
    ),
    "add users": Operation(
        group("add", users=lambda s: [s.new]),
        lambda s: ("PUT", f"/v1/groups/{s.name}/users/{s.new}", None),
        ("PUT", USER),
    ),
    "remove a member": remove("to.remove"),
    "remove a moderator": remove("mod.to.remove"),
    "remove an owner": remove("own.to.remove"),
    "make a member moderator": role("to.promote", "moderator"),
    "make an owner member": role("own.to.demote", "member"),
    "leave": Operation(
        group("leave"),
        lambda s: ("DELETE", f"/v1/groups/{s.name}/users/{s.asker}", None),
        ("DELETE", USER),
        spends="group",
    ),
    "delete the group": Operation(
        group("delete"), lambda s: ("DELETE", f"/v1/groups/{s.name}", None), ("DELETE", GROUP), spends="group"
    ),
    "mute a member": sanction("mute", "to.mute"),
    "mute a moderator": sanction("mute", "mod.to.mute", seconds=60),
    "mute an owner": sanction("mute", "own.to.mute"),
    "unmute": sanction("unmute", "to.unmute"),
    "ban a member": sanction("ban", "to.ban"),
    "ban a moderator": sanction("ban", "mod.to.ban", seconds=60),
    "ban an owner": sanction("ban", "own.to.ban"),
    "unban": sanction("unban", lambda s: s.other),
    "sanctions": Operation(
        asks("sanctions", name=lambda s: s.name),
        *get("/v1/groups/{s.name}/sanctions", "/v1/groups/{group}/sanctions"),
    ),
    # Notifications
    "silence a room": Operation(
        asks("notify", **ROOM), lambda s: ("PATCH", "/v1/notify", {"room": s.room}), ("PATCH", "/v1/notify")
    ),
    "set quiet hours": Operation(
        asks("notify", quiet="22:00-07:00", tz="UTC"),
        lambda s: ("PATCH", "/v1/notify", {"quiet": "22:00-07:00", "tz": "UTC"}),
        ("PATCH", "/v1/notify"),
    ),
    "what one wants of notifications": Operation(asks("notify"), *get("/v1/notify", "/v1/notify")),
    "push key": Operation(asks("push"), *get("/v1/push", "/v1/push")),
    "subscribe a device": Operation(
        asks("push", subscription=DEVICE),
        lambda s: ("POST", "/v1/push", {"subscription": DEVICE}),
        ("POST", "/v1/push"),
    ),
    "all notifications": Operation(asks("notifications"), *get("/v1/admin/notifications", "/v1/admin/notifications")),
    "retry notifications": Operation(
        asks("notifications", retry=True),
        lambda s: ("POST", "/v1/admin/notifications/retries", None),
        ("POST", "/v1/admin/notifications/retries"),
    ),
    # Moderation
    "reports": Operation(asks("reports", **ROOM), *get("/v1/reports?room={s.room}", REPORTS)),
    "all reports": Operation(asks("reports", limit=1), *get("/v1/reports?limit=1", REPORTS)),
    "close a report": Operation(
        asks("close_report", report=lambda s: s.report),
        lambda s: ("DELETE", f"/v1/reports/{s.report}", None),
        ("DELETE", "/v1/reports/{report}"),
    ),
    "suspend": admin("suspend", "PUT", "/v1/admin/suspensions/{id}"),
    "unsuspend": admin("unsuspend", "DELETE", "/v1/admin/suspensions/{id}"),
    "revoke a user's tokens": admin("revoke", "POST", "/v1/admin/revocations", {"user": "{s.new}.x"}),
    "revoke a token": Operation(
        asks("admin", action="revoke", token=lambda s: s.new),
        lambda s: ("POST", "/v1/admin/revocations", {"token": s.new}),
        ("POST", "/v1/admin/revocations"),
    ),
    "audit": Operation(asks("audit", limit=1), *get("/v1/admin/audit?limit=1", "/v1/admin/audit")),
    "all users": Operation(asks("users", limit=1), *get("/v1/admin/users?limit=1", "/v1/admin/users")),
    "all groups": Operation(asks("rooms", limit=1), *get("/v1/admin/rooms?limit=1", "/v1/admin/rooms")),
    "all private rooms": Operation(
        asks("rooms", limit=1, private=True), *get("/v1/admin/rooms?limit=1&private=true", "/v1/admin/rooms")
    ),
    "all sessions": Operation(asks("sessions", limit=1), *get("/v1/admin/sessions?limit=1", "/v1/admin/sessions")),
    "slow sessions": Operation(
        asks("sessions", limit=1, slow=True), *get("/v1/admin/sessions?limit=1&slow=true", "/v1/admin/sessions")
    ),
    "overview": Operation(asks("overview"), *get("/v1/admin/overview", "/v1/admin/overview")),
    "mailboxes": Operation(asks("mailboxes"), *get("/v1/admin/mailboxes", "/v1/admin/mailboxes")),
    "mailboxes of private rooms": Operation(
        asks("mailboxes", private=True), *get("/v1/admin/mailboxes?private=true", "/v1/admin/mailboxes")
    ),
    "all suspensions": Operation(
        asks("suspensions", limit=1), *get("/v1/admin/suspensions?limit=1", "/v1/admin/suspensions")
    ),
}
