"""One sample of every frame there is, in every form that matters."""

from __future__ import annotations

import msgspec

from gochat.domain import facts
from gochat.protocol import replies as out
from gochat.protocol import requests as req
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    Check,
    Child,
    ContactEntry,
    ContactState,
    Crash,
    Device,
    GroupEntry,
    Last,
    MailboxEntry,
    MemberEntry,
    NotificationEntry,
    PresenceEntry,
    ReportEntry,
    RequestEntry,
    RoomEntry,
    RoomOverview,
    SanctionEntry,
    SessionEntry,
    Silence,
    SupervisorEntry,
    Suspension,
    UserEntry,
)

BASE = {"room": "group:tea", "seq": 7, "ts": 1_700_000_000_000, "sender": "ann"}
LAST = Last(seq=7, ts=1_700_000_000_000, sender="ann", body="hi")

REQUESTS: dict[str, msgspec.Struct] = {
    "hello": req.Hello(id=1, token="T", device="phone", client="cli/1", resume={"group:tea": req.Position(6, "e1")}),
    "refresh": req.Refresh(id="r", token="T"),
    "resume": req.Resume(id=2, room="group:tea", seq=3, epoch="e1"),
    "ping": req.Ping(id=3),
    "pong": req.Pong(),
    "send": req.Send(id=4, to="user:bob", body="hi 😀", key="k", reply_to=2),
    "edit": req.Edit(id=5, room="group:tea", seq=7, body="ho"),
    "delete": req.Delete(id=6, room="group:tea", seq=7),
    "react": req.React(id=7, room="group:tea", seq=7, emoji="👍", on=True),
    "read": req.Read(room="group:tea", seq=7),
    "got": req.Got(room="group:tea", seq=7),
    "typing": req.Typing(room="group:tea"),
    "history": req.History(id=8, room="group:tea", before=7, limit=20),
    "search": req.Search(id=9, q="tea", scope="messages", room="group:tea"),
    "groups": req.Groups(id=10, owner="ann"),
    "members": req.Members(id=11, room="group:tea", limit=10, cursor="bob"),
    "watch": req.Watch(id=12, users=["bob"]),
    "group": req.GroupAction(id=13, name="tea", action="create", title="Tea", users=["bob"], history="since_join"),
    "group-ban": req.GroupAction(id=13, name="tea", action="ban", user="bob", seconds=3600),
    "contacts": req.Contacts(id=14, limit=10, cursor="bob"),
    "requests": req.Requests(id=15),
    "contact": req.ContactAction(id=16, user="bob", action="block"),
    "report": req.Report(id=17, room="group:tea", seq=7, reason="spam"),
    "reports": req.Reports(id=18, room="group:tea"),
    "close_report": req.CloseReport(id=19, report=3),
    "admin": req.AdminAction(id=20, action="suspend", user="bob", seconds=3600, reason="spam"),
    "admin-revoke": req.AdminAction(id=21, action="revoke", token="j1"),
    "audit": req.Audit(id=22, limit=10),
    "users": req.Users(id=23, user="bob"),
    "rooms": req.Rooms(id=24, user="bob", private=True, limit=10, cursor="dm:ann:bob"),
    "sessions": req.Sessions(id=25),
    "suspensions": req.Suspensions(id=26, limit=10),
    "notify": req.Notify(id=27, room="group:tea", until=1_700_000_000_000),
    "notify-quiet": req.Notify(id=28, quiet="22:00-07:00", tz="Europe/Vienna"),
    "notify-mentions": req.Notify(id=28, mentions=True),
    "push": req.Push(
        id=29,
        subscription=req.PushSubscription(endpoint="https://push.example/1", keys=req.PushKeys(p256dh="BK", auth="k")),
    ),
    "push-forget": req.Push(id=30, forget="https://push.example/1"),
    "notifications": req.Notifications(id=31, dead=True, retry=True, channel="webhook", limit=10),
    "users-prefix": req.Users(id=32, prefix="bo"),
    "rooms-prefix": req.Rooms(id=32, prefix="te"),
    "sessions-slow": req.Sessions(id=33, slow=True),
    "overview": req.Overview(id=34),
    "mailboxes": req.Mailboxes(id=35, private=True, limit=10, cursor="10"),
    "sanctions": req.Sanctions(id=36, name="tea", limit=10, cursor="bob ban"),
    "devices": req.Devices(id=37),
    "sign_out": req.SignOut(id=38, handle="s2"),
    "rooms-q": req.Rooms(id=39, user="bob", q="green tea"),
    "names": req.Names(id=40, users=["bob", "cat"]),
}

FACTS: dict[str, msgspec.Struct] = {
    "message": facts.Message(**BASE, body="hi", key="k", reply_to=2),
    "message-replayed": facts.Message(**BASE, body="ho", edited=1_700_000_000_001, reactions={"👍": 2}),
    "message-mentions": facts.Message(**BASE, body="@bob @cat look", mentions=["bob", "cat"]),
    "message-deleted": facts.Message(**BASE, deleted=1_700_000_000_002),
    "edit": facts.Edit(**BASE, target=3, body="ho"),
    "edit-mentions": facts.Edit(**BASE, target=3, body="@bob look", mentions=["bob"]),
    "delete": facts.Delete(**BASE, target=3),
    "reaction": facts.Reaction(**BASE, target=3, emoji="👍", on=False),
    "member-created": facts.Member(**BASE, users=["ann"], change="added", role="owner", title="Tea"),
    "member": facts.Member(**BASE, users=["bob", "cat"], change="removed"),
    "group": facts.Group(**BASE, title="Coffee", history="all", post="moderators"),
    "closed": facts.Closed(**BASE),
    "hidden": facts.Hidden(**{**BASE, "sender": ""}),
}

REPLIES: dict[str, msgspec.Struct] = {
    "welcome": out.Welcome(
        id=1, user="ann", session="s1", node="n1", server="gochat/0", heartbeat_s=30.0, limits=out.Limits(),
        contacts=[ContactEntry(user="bob", name="Bob", online=False, last_seen=5, room="dm:ann:bob", epoch="e1",
                                   head=7, read=6, unread=1, last=LAST)],
        rooms=[RoomEntry(room="group:tea", title="Tea", role="owner", epoch="e1", head=7, read=7, unread=0)],
        requests=[RequestEntry(user="zoe", name="zoe", room="dm:ann:zoe", head=1, last=LAST)],
    ),
    "welcome-counts": out.Welcome(
        id=1, user="ann", session="s1", node="n1", server="gochat/0", heartbeat_s=30.0, limits=out.Limits(),
        contacts=[ContactEntry(user="bob", name="Bob", online=True, room="dm:ann:bob", epoch="e1", head=7, read=5,
                                   unread=2, mentions=1, reads={"bob": 6}, got={"bob": 7}, last=LAST)],
        rooms=[RoomEntry(room="group:tea", title="Tea", role="owner", epoch="e1", head=7, read=3, unread=3,
                             mentions=2, reads={"bob": 6, "cat": 5}, got={"cat": 7})],
        requests=[],
    ),
    "welcome-joined": out.Welcome(
        id=1, user="ann", session="s1", node="n1", server="gochat/0", heartbeat_s=30.0, limits=out.Limits(),
        contacts=[], requests=[],
        rooms=[RoomEntry(room="group:tea", title="Tea", role="owner", epoch="e1", head=7, read=7, unread=0,
                         reads={"bob": 6}, joined={"bob": 5})],
    ),
    "welcome-incomplete": out.Welcome(
        id=1, user="ann", session="s1", node="n1", server="gochat/0", heartbeat_s=30.0, limits=out.Limits(),
        contacts=[], rooms=[], requests=[], incomplete=True,
    ),
    "welcome-epoch": out.Welcome(
        id=1, user="ann", session="s1", node="n1", server="gochat/0", heartbeat_s=30.0, limits=out.Limits(),
        contacts=[], rooms=[], requests=[], epoch="e1",
    ),
    "ack": out.Ack(id=4, room="group:tea", seq=7, epoch="e1", ts=1_700_000_000_000),
    "ack-request": out.Ack(id=4, room="dm:ann:bob", seq=1, epoch="e1", ts=1_700_000_000_000, request=True),
    "ack-duplicate": out.Ack(id=4, room="group:tea", seq=7, epoch="e1", ts=1_700_000_000_000, duplicate=True),
    "ok": out.Ok(id=5),
    "ok-group": out.Ok(id=5, room="group:tea", seq=7),
    "ok-resume": out.Ok(id=5, head=7),
    "error": out.Error(id=6, code="rate_limited", message="slow down", temporary=True, retry_after_ms=600, rule="r"),
    "error-close": out.Error(code="unauthorized", message="no", temporary=False, close=4500),
    "error-unknown": out.Error(id=6, code="unavailable", message="no", temporary=True, unknown=True),
    "pong": out.Pong(id=7),
    "page": out.Page(id=8, room="group:tea", epoch="e1", entries=[facts.Message(**BASE, body="hi")], head=7,
                     complete=True),
    "page-receipts": out.Page(id=8, room="group:tea", epoch="e1", entries=[facts.Message(**BASE, body="hi")], head=7,
                              complete=True, reads={"bob": 6}, got={"bob": 7}),
    "page-joined": out.Page(id=8, room="group:tea", epoch="e1", entries=[facts.Message(**BASE, body="hi")], head=7,
                            complete=True, reads={"bob": 6}, got={"bob": 7}, joined={"bob": 5}),
    "results-users": out.UserResults(id=9, users=[UserEntry("bob", "Bob")], next="bob"),
    "results-messages": out.MessageResults(id=9, entries=[facts.Message(**BASE, body="hi")]),
    "groups": out.Groups(id=10, groups=[GroupEntry(room="group:tea", title="Tea", role="owner", members=3)]),
    "members": out.Members(id=11, room="group:tea",
                           members=[MemberEntry(user="ann", name="Ann", role="owner", since=5)], next="ann"),
    "presence": out.Presence(id=12, users=[PresenceEntry(user="bob", online=False, last_seen=5)]),
    "presence-event": out.Presence(users=[PresenceEntry(user="bob", online=True)]),
    "contacts": out.Contacts(id=14, contacts=[ContactState(user="bob", name="Bob", state="contact")], next="bob"),
    "requests": out.Requests(
        id=15, requests=[RequestEntry(user="zoe", name="Zoe", room="dm:ann:zoe", head=1, last=LAST)]
    ),
    "ok-contact": out.Ok(id=16, state="blocked"),
    "reports": out.Reports(
        id=18, reports=[ReportEntry(report=3, ts=5, room="group:tea", seq=7, sender="bob", body="hi", by="ann",
                                        reason="spam")],
    ),
    "audit": out.Audit(
        id=22, entries=[AuditEntry(id=4, ts=5, actor="ann", action="group.ban", room="group:tea", subject="bob",
                                       detail='{"until":9}')],
    ),
    "users": out.Users(
        id=23, users=[Account(user="bob", name="Bob", last_seen=5, sessions=2, suspended=True, until=9)], next="bob"
    ),
    "rooms": out.Rooms(
        id=24, rooms=[RoomOverview(room="group:tea", title="Tea", head=7, messages=3, ts=5, last_message=4)]
    ),
    "sessions": out.Sessions(
        id=25,
        sessions=[SessionEntry(user="bob", since=5, transport="ws", address="::1", device="phone", node="n1")],
    ),
    "suspensions": out.Suspensions(
        id=26, suspensions=[Suspension(user="bob", ts=5, until=9, by="root", reason="spam")]
    ),
    "notify-reply": out.Notify(
        id=27, channels=["webhook"], quiet="22:00-07:00", tz="Europe/Vienna",
        rooms=[Silence(room="group:tea", until=9), Silence(room="dm:ann:bob")],
    ),
    "notify-reply-mentions": out.Notify(id=28, channels=["webhook"], mentions=True, rooms=[]),
    "push-reply": out.Push(id=29, key="BK", devices=1),
    "notifications-reply": out.Notifications(
        id=31, waiting=1, dead=2, retried=2, notifications=[
            NotificationEntry(
                notification="ntf_1", channel="webhook", user="bob", room="group:tea", ts=5, tries=1, next=9,
                reason="no connection",
            ),
        ],
    ),
    "sessions-slow": out.Sessions(
        id=33,
        sessions=[SessionEntry(user="bob", since=5, transport="ws", address="::1", node="n1", waiting=4096,
                                   stalled_ms=700)],
        next="1",
    ),
    "overview": out.Overview(
        id=34, node="n1", server="gochat/0", ts=5, ready=False,
        checks=[Check(check="accepting"), Check(check="store", problem="the disk is full")],
        metrics={"gochat_connections": {"": 3.0}, "gochat_sessions": {"ws": 2.0}},
        supervisors=[
            SupervisorEntry(
                name="node", crashes=2, given_up=1, more=3,
                children=[Child(name="sweep", since=5, restarts=1, pausing=True)],
                latest=[Crash(name="sweep", ts=5, error="KeyError")],
            ),
        ],
    ),
    "mailboxes": out.Mailboxes(
        id=35, waiting=5, next="2", mailboxes=[
            MailboxEntry(kind="group", id="group:tea", waiting=3, capacity=1000, peak=4, phase="recording",
                             age_ms=20, turn_ms=30),
            MailboxEntry(kind="private", waiting=2, capacity=1000, peak=2, refused=1, phase="idle", age_ms=0,
                             turn_ms=30),
        ],
    ),
    "sanctions": out.Sanctions(
        id=36, name="tea", next="bob mute", sanctions=[
            SanctionEntry(user="bob", name="Bob", kind="ban", ts=5, until=9),
            SanctionEntry(user="bob", name="Bob", kind="mute", ts=5),
        ],
    ),
    "devices": out.Devices(
        id=37, devices=[Device(since=5, transport="ws", address="::1", device="phone", current=True)]
    ),
    "devices-missing": out.Devices(id=37, devices=[], missing=["west"]),
    "devices-others": out.Devices(
        id=37, devices=[Device(since=5, transport="ws", address="::1", device="phone", handle="s2")]
    ),
    "names": out.Names(id=40, users=[UserEntry("bob", "Bob"), UserEntry("cat", "Cat")]),
    "groups-post": out.Groups(
        id=10, groups=[GroupEntry(room="group:tea", title="Tea", role="owner", members=3, post="moderators")]
    ),
    "request": out.Request(user="zoe", name="Zoe", room="dm:ann:zoe", head=1, last=LAST),
    "contact-event": out.Contact(user="bob", state="contact"),
    "read": out.Read(room="group:tea", sender="bob", seq=7),
    "got": out.Got(room="group:tea", got={"bob": 7, "cat": 5}),
    "typing": out.Typing(room="group:tea", sender="bob"),
    "lag": out.Lag(room="group:tea", epoch="e1", head=7),
    "reset": out.Reset(room="group:tea", epoch="e2", head=3),
    "goaway": out.Goaway(reason="draining", reconnect_ms=1500),
    "ping": out.Ping(),
}  # fmt: skip
