"""An application's requests about people: contacts and requests, reports, and the acts of moderators and admins.

Where strangers have to ask (`policy.strangers`), their first messages wait, and the event `Request` tells of them. No
event of that room comes until the user accepts, or writes back, which accepts too; from then on it is as any other.
Messages that waited are in the room's history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Literal

from gochat.client.asking import LIMIT, Asking
from gochat.client.wire import Results
from gochat.domain.notices import ChannelName
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    ContactState,
    Device,
    MailboxEntry,
    ReportEntry,
    RequestEntry,
    RoomOverview,
    SanctionEntry,
    SessionEntry,
    Suspension,
)
from gochat.protocol.replies import Ok


class DeviceList(list[Device]):
    """One's own live sessions."""

    def __init__(self, devices: Iterable[Device], missing: Iterable[str] = ()) -> None:
        super().__init__(devices)
        self.missing = list(missing)
        """The names of nodes of a cluster that did not answer in time: sessions there are not in the list."""


class People(Asking):
    """See the module. `user` is a user id, without `user:`. The state in a reply is the present relation to that user;
    a change that was made already is no error."""

    def contacts(self, *, rooms: bool = False) -> AsyncIterator[ContactState]:
        """The users who are contacts, blocked or declined, by id; with `rooms` also users who share only
        a private room."""
        return self._listed(req.Contacts(limit=LIMIT, rooms=rooms), replies.Contacts, lambda reply: reply.contacts)

    def requests(self) -> AsyncIterator[RequestEntry]:
        """The users who wait for an answer, by id."""
        return self._listed(req.Requests(limit=LIMIT), replies.Requests, lambda reply: reply.requests)

    async def is_known(self, user: str) -> bool:
        """Whether search finds the id: somebody has signed in with it, and has not blocked this user."""
        request = req.Search(q=user, scope="users", limit=LIMIT)
        found = await self._session.calls.call(request, Results)
        return any(entry.user == user for entry in found.users)

    async def add_contact(self, user: str) -> Ok:
        """Let the user write without asking. One who has asked is accepted."""
        return await self._contact(user, "add")

    async def remove_contact(self, user: str) -> Ok:
        """Take a user out of the contacts: they have to ask again."""
        return await self._contact(user, "remove")

    async def accept(self, user: str) -> Ok:
        """Accept a user's request: both are contacts, and the room goes live. Refused
        (`not_found`) if none waits."""
        return await self._contact(user, "accept")

    async def decline(self, user: str) -> Ok:
        """Refuse a user's request, and further ones for a while; they learn it if they write again. Refused
        (`not_found`) if none waits."""
        return await self._contact(user, "decline")

    async def block(self, user: str) -> Ok:
        """Neither can write to the other any more, nor see whether they are there."""
        return await self._contact(user, "block")

    async def unblock(self, user: str) -> Ok:
        """Take a block back."""
        return await self._contact(user, "unblock")

    async def _contact(
        self, user: str, action: Literal["add", "remove", "block", "unblock", "accept", "decline"]
    ) -> Ok:
        reply = await self._session.calls.call(req.ContactAction(user=user, action=action), Ok)
        if reply.state == "contact":
            self._session.opened(user)
        return reply

    # ------------------------------------------------------------------------------------------ moderation

    async def report(self, room: str, seq: int, reason: str | None = None) -> None:
        """Tell the moderators of a message; `reason` has at most 500 characters. The same twice is one report."""
        await self._session.calls.call(req.Report(room=self.room(room), seq=seq, reason=reason), Ok)

    def reports(self, room: str | None = None) -> AsyncIterator[ReportEntry]:
        """Open reports, oldest first: of a group for its moderators; of all rooms, for an admin."""
        where = None if room is None else self.room(room)
        return self._listed(req.Reports(room=where, limit=LIMIT), replies.Reports, lambda reply: reply.reports)

    async def close_report(self, report: int) -> None:
        """Mark a report as dealt with."""
        await self._session.calls.call(req.CloseReport(report=report), Ok)

    async def mute(self, group: str, user: str, *, seconds: int | None = None) -> Ok:
        """Keep a member from writing, for so long or until taken back. May raise Lost."""
        return await self._group(group, "mute", user=user, seconds=seconds)

    async def unmute(self, group: str, user: str) -> Ok:
        """Let a member write again. May raise Lost."""
        return await self._group(group, "unmute", user=user)

    async def ban(self, group: str, user: str, *, seconds: int | None = None) -> Ok:
        """Remove a user from a group and keep them out, for so long or until taken back. May raise Lost."""
        return await self._group(group, "ban", user=user, seconds=seconds)

    async def unban(self, group: str, user: str) -> Ok:
        """Let a user be added again: a ban's end makes nobody a member. May raise Lost."""
        return await self._group(group, "unban", user=user)

    def sanctions(self, group: str) -> AsyncIterator[SanctionEntry]:
        """The users who are muted in a group or banned from it now, by id: for its moderators."""
        request = req.Sanctions(name=group.removeprefix("group:"), limit=LIMIT)
        return self._listed(request, replies.Sanctions, lambda reply: reply.sanctions)

    async def devices(self) -> DeviceList:
        """One's own live sessions, in a cluster those of all nodes, the oldest first. The list's `missing` names nodes
        that did not answer in time: sessions there are not in it."""
        reply = await self._session.calls.call(req.Devices(), replies.Devices)
        return DeviceList(reply.devices, reply.missing)

    async def sign_out(self, handle: str) -> Ok:
        """End another session of one's own, by the `handle` that `devices` tells of it. The reply's `state` is
        `revoked` where its token was revoked too; with `closed`, its client could still come back. May raise Lost."""
        return await self._session.calls.call(req.SignOut(handle=handle), Ok)

    async def _group(self, name: str, action: str, **fields: object) -> Ok:
        request = req.GroupAction(name=name.removeprefix("group:"), action=action, **fields)  # type: ignore[arg-type]
        return await self._session.calls.call(request, Ok)

    # ------------------------------------------------------------------------------------------ for admins

    async def suspend(self, user: str, *, seconds: int | None = None, reason: str | None = None) -> None:
        """Keep a user out of the site, for so long or until taken back; their sessions end. May raise Lost."""
        await self._admin(req.AdminAction(action="suspend", user=user, seconds=seconds, reason=reason))

    async def unsuspend(self, user: str, *, reason: str | None = None) -> None:
        """Let a user in again. May raise Lost."""
        await self._admin(req.AdminAction(action="unsuspend", user=user, reason=reason))

    async def revoke_tokens(self, user: str, *, reason: str | None = None) -> None:
        """End all tokens of a user that were issued up to now, and the sessions that live by them. May raise Lost."""
        await self._admin(req.AdminAction(action="revoke", user=user, reason=reason))

    async def revoke_token(self, jti: str, *, reason: str | None = None) -> None:
        """End the one token with this id (its claim `jti`). May raise Lost."""
        await self._admin(req.AdminAction(action="revoke", token=jti, reason=reason))

    async def _admin(self, request: req.AdminAction) -> None:
        await self._session.calls.call(request, Ok)

    def audit(self) -> AsyncIterator[AuditEntry]:
        """The audit log: actors, their acts and the users they concern, newest first."""
        return self._listed(req.Audit(limit=LIMIT), replies.Audit, lambda reply: reply.entries)

    def accounts(self, user: str | None = None, *, prefix: str | None = None) -> AsyncIterator[Account]:
        """Everybody who ever signed in, by id, or the one of that id, or those whose ids begin with `prefix`. This and
        the lists below are for admins."""
        request = req.Users(user=user, prefix=prefix, limit=LIMIT)
        return self._listed(request, replies.Users, lambda reply: reply.users)

    def rooms(
        self, user: str | None = None, *, private: bool = False, prefix: str | None = None, q: str | None = None
    ) -> AsyncIterator[RoomOverview]:
        """All groups, or private rooms, by id; of one user, those that the user is in; with `q` groups with these words
        in title and id. To list private rooms leaves an entry in the audit log."""
        request = req.Rooms(user=user, private=private, prefix=prefix, q=q, limit=LIMIT)
        return self._listed(request, replies.Rooms, lambda reply: reply.rooms)

    def sessions(self, user: str | None = None, *, slow: bool = False) -> AsyncIterator[SessionEntry]:
        """Live sessions of the node that answers, by user; with `slow` only those whose peers do not take what is sent,
        the slowest first."""
        request = req.Sessions(user=user, slow=slow, limit=LIMIT)
        return self._listed(request, replies.Sessions, lambda reply: reply.sessions)

    async def overview(self) -> replies.Overview:
        """How the node that answers is doing now: its metrics, and its supervisors with their restarts."""
        return await self._session.calls.call(req.Overview(), replies.Overview)

    def mailboxes(self, *, private: bool = False) -> AsyncIterator[MailboxEntry]:
        """Mailboxes with mail that waits, the fullest first. Private rooms have no id there unless `private` asks for
        it, which leaves an entry in the audit log."""
        request = req.Mailboxes(private=private, limit=LIMIT)
        return self._listed(request, replies.Mailboxes, lambda reply: reply.mailboxes)

    async def notifications(
        self, *, dead: bool = False, channel: ChannelName | None = None, limit: int = 50
    ) -> replies.Notifications:
        """Notifications that wait to be delivered, the next first; or `dead` ones, given up after 24 hours, the latest
        first. At most 200, and how many there are of each."""
        request = req.Notifications(dead=dead, channel=channel, limit=limit)
        return await self._session.calls.call(request, replies.Notifications)

    async def retry_notifications(self, channel: ChannelName | None = None) -> int:
        """Have those that were given up tried again, of one channel or all; how many. May raise Lost."""
        request = req.Notifications(retry=True, channel=channel, limit=1)
        return (await self._session.calls.call(request, replies.Notifications)).retried or 0

    def suspensions(self) -> AsyncIterator[Suspension]:
        """Users who are suspended now, by id."""
        return self._listed(req.Suspensions(limit=LIMIT), replies.Suspensions, lambda reply: reply.suspensions)
