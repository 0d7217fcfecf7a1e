"""A session that outlives its connections: the thin I/O shell around `Positions`, `Calls` and `Backoff`.

At any time at most one connection is open. Only its reader hands live events to the inbox, and only its writer writes.
When the inbox is full the reader stops, and with it, by way of TCP, the server; only while the application itself waits
for a reply does the reader go on, and then facts that do not fit are left out and asked for again. Of other events only
those that are told once are kept (gochat.client.subjects), the latest of each subject. So no application can dead-lock
itself, and none can be made to hold more than it reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import trio

import gochat
from gochat.client import links
from gochat.client.backoff import Backoff
from gochat.client.calls import Calls
from gochat.client.confirmed import Confirmed
from gochat.client.credential import TokenFunction, TokenSource, obtain, refresh_in_s
from gochat.client.errors import ClientError, Ended, Refused, Unreachable
from gochat.client.events import Event, Listed, Offline, Online
from gochat.client.following import Following
from gochat.client.inbox import Inbox
from gochat.client.positions import Positions, Reset
from gochat.client.replica import Replica
from gochat.client.subjects import subject_of
from gochat.client.wire import FACTS, Page, Reply, ServerFrame, Strange, decode, encode
from gochat.domain import ids
from gochat.domain.facts import Message
from gochat.errors import BAD_TOKEN
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import ContactEntry, RoomEntry

#: Rooms that catch up at the same time: enough to hide the round trips, few enough not to fill the inbox at once.
CATCH_UP_AT_ONCE: Final = 4
#: Private rooms that a `welcome` tells: with so many there may be more. Entries of one page of a list.
WELCOMED: Final = 15
LISTED: Final = 200
#: How long `welcome` may take. The server itself closes a connection that says no `hello` for 10 s.
GREET_S: Final = 10.0
#: How long a goodbye may take.
CLOSE_S: Final = 1.0
#: How long to wait before a page of which a part could not be reached is asked for again.
INCOMPLETE_S: Final = 1.0
#: How long to wait before a token that could not be had is asked for again.
REFRESH_AGAIN_S: Final = 5.0
#: No server can make its clients ask for life signs more often than this.
LEAST_BEAT_S: Final = 0.1
#: A close code from here on means: do not come back (protocol.md, "Errors").
FINAL: Final = 4500

_FACTS: Final = frozenset(FACTS)


class Session:
    """See the module."""

    def __init__(
        self,
        address: links.Address,
        *,
        token: TokenSource,
        device: str | None,
        queue: int,
        confirms: bool = False,
        replica: Replica | None = None,
    ) -> None:
        self.ready = trio.Event()
        """Set with the first `welcome`."""
        self.watching: list[str] = []
        self.inbox: Inbox[Event] = Inbox(queue)
        self.calls = Calls(on_wait=self.inbox.stir)
        self.positions = Positions()
        self.confirmed = Confirmed()
        self.following = None if replica is None else Following(replica, self.positions)
        self._confirms = confirms
        self._address = address
        self._source = token
        self._token = ""
        """That of the connection, or of its latest refresh."""
        self._device = device
        self._catchers = trio.lowlevel.ParkingLot()
        self._backoff = Backoff()
        self._welcome: replies.Welcome | None = None
        self._scope = trio.CancelScope()
        self._stopping = False
        self._talk: trio.CancelScope | None = None
        self._link: links.Link | None = None
        """The latest one; it may have ended."""
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._greeted_at: float | None = None
        self._heard = math.inf
        self._parting: replies.Error | None = None
        """An error that the server sent in place of a close frame."""
        self._asked_ms: int | None = None

    # ------------------------------------------------------------------------------------------ for the application

    @property
    def welcome(self) -> replies.Welcome:
        """That of the latest connection. There is one once `run` has started."""
        assert self._welcome is not None
        return self._welcome

    def rewind(self, room: str, seq: int, epoch: str | None) -> None:
        """Hand on the room's facts after `seq`, again where they were already."""
        self.inbox.drop(lambda event: type(event) in _FACTS and event.room == room)  # type: ignore[union-attr]
        self.positions.rewind(room, seq, epoch)
        self._catchers.unpark_all()

    def opened(self, user: str) -> None:
        """The private room with this user may have waited for an answer, and does no longer."""
        self.positions.opened(ids.dm(self.welcome.user, user))
        self._catchers.unpark_all()

    def refreshed(self, token: str) -> None:
        """The server has taken this token in place of the one before."""
        self._token = token
        if isinstance(self._source, str):
            self._source = token

    def stop(self) -> None:
        """Let `run` return: at once, or after a goodbye of at most CLOSE_S."""
        self._stopping = True
        (self._talk or self._scope).cancel()

    # ------------------------------------------------------------------------------------------ one after the other

    async def run(self) -> None:
        """Connect, again and again until the server says not to. Raises what prevents the first `welcome`."""
        with self._scope:
            while True:
                end = await self._connection()
                self.calls.broken()
                if self._stopping:
                    break
                if self._welcome is None:
                    raise end
                if not _may_return(end):
                    self._finish(end)
                    return
                lived_s = 0.0 if self._greeted_at is None else trio.current_time() - self._greeted_at
                retry_s = self._backoff.delay_s(lived_s, self._asked_ms)
                self._offer(Offline(str(end), retry_s))
                await trio.sleep(retry_s)
        self._finish(Ended("this session has been closed"))

    async def _connection(self) -> ClientError:
        """One connection, from dialling to its end; why it ended."""
        self._forget_connection()
        end: ClientError = Unreachable("the connection broke")
        try:
            self._token = await obtain(self._source)
            async with trio.open_nursery() as nursery:
                self._link = link = await links.dial(self._address, self._token, nursery, self._link)
                try:
                    with trio.CancelScope() as self._talk:
                        await self._converse(link)
                    with trio.move_on_after(CLOSE_S):
                        await link.aclose()
                finally:
                    self._talk = None
                    await trio.aclose_forcefully(link)  # type: ignore[arg-type]  # all it asks for is aclose
                    nursery.cancel_scope.cancel()
        except* links.LINK_ERRORS as group:
            end = links.flat(group)
        except* Refused as group:
            end = _first(group)
        if self._parting is not None:
            return Unreachable(self._parting.message, self._parting.close)
        return end

    def _finish(self, end: ClientError) -> None:
        if isinstance(end, Unreachable):
            end = Ended(str(end), end.number)
        elif isinstance(end, Refused):
            end = Ended(str(end), BAD_TOKEN if end.code == "unauthorized" else None)
        self.calls.end(end)
        self.inbox.end(end)

    def _hello(self) -> req.Hello:
        return req.Hello(
            token=None if self._address.websocket else self._token,
            device=self._device,
            client=f"gochat-python/{gochat.__version__}",
            resume=self.positions.resume(self.calls.frame_bytes if self._address.nng else req.FIRST_FRAME_BYTES),
        )

    # ------------------------------------------------------------------------------------------ one connection

    async def _converse(self, link: links.Link) -> None:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(GREET_S) as patience:
                await link.send([encode(self._hello())])
                while True:
                    payloads = await link.receive()
                    self._heard = trio.current_time()
                    for payload in payloads:
                        if self._greeted_at is not None and self.inbox.full and not self.calls.waiting:
                            await self._hold()
                        frame = decode(payload)
                        if self._greeted_at is not None:
                            self._handle(frame)
                        elif isinstance(frame, replies.Welcome):
                            patience.deadline = math.inf
                            self._welcomed(frame, link, nursery)
                        elif isinstance(frame, replies.Error):
                            raise Refused(frame)

    def _welcomed(self, welcome: replies.Welcome, link: links.Link, nursery: trio.Nursery) -> None:
        if self._welcome is not None:
            # The lists of earlier connections are out of date; an application that does not read would collect them.
            self.inbox.drop(lambda event: isinstance(event, Online | Listed))
            self.inbox.put(Online(welcome))
        self._welcome = welcome
        self.calls.frame_bytes = welcome.limits.frame_bytes - (links.SECRET_BYTES if self._address.nng else 0)
        self._greeted_at = trio.current_time()
        entries: list[ContactEntry | RoomEntry] = [*welcome.contacts, *welcome.rooms]
        if self.following is not None:
            self.following.begin(welcome.user)
            self.following.hold(entries)
        self._hand_on(self.positions.welcomed(welcome))
        if self.following is not None:
            self.following.began(entries)
            nursery.start_soon(self.following.fetch, self.calls)
        if self.watching:
            self.calls.post(req.Watch(users=self.watching))
        nursery.start_soon(self._write, link)
        nursery.start_soon(self._watch_silence, max(LEAST_BEAT_S, welcome.heartbeat_s))
        if not isinstance(self._source, str):
            nursery.start_soon(self._keep_signed_in, self._source)
        for _ in range(CATCH_UP_AT_ONCE):
            nursery.start_soon(self._catch_up)
        nursery.start_soon(self._find_rooms, welcome)
        nursery.start_soon(self.confirmed.run, self.calls.post)
        # From here on the end is `stop`: a cancelled application still says goodbye.
        self._scope.shield = True
        self.ready.set()

    async def _hold(self) -> None:
        """Wait until the application has read something, or waits for a reply."""
        self._heard = math.inf  # While nothing is read, silence says nothing of the server.
        await self.inbox.space(unless=lambda: self.calls.waiting > 0)
        self._heard = trio.current_time()

    async def _write(self, link: links.Link) -> None:
        try:
            while True:
                await link.send(await self.calls.outgoing())
        except links.LINK_ERRORS:
            # The reader finds out the same, and may still have to read why.
            return

    async def _watch_silence(self, beat_s: float) -> None:
        """A server that has nothing to say is asked whether it is there, and given up when it does not answer."""
        while True:
            quiet_s = trio.current_time() - self._heard
            if quiet_s < beat_s:
                await trio.sleep(min(beat_s, beat_s - quiet_s))
                continue
            self.calls.post(req.Ping())
            asked_at = trio.current_time()
            await trio.sleep(beat_s)
            if self._heard < asked_at:
                raise Unreachable(f"the server has been silent for {quiet_s + beat_s:.0f} s")

    async def _keep_signed_in(self, source: TokenFunction) -> None:
        """Give the server a new token before the one that it has ends.

        Where that fails the session ends with its token, and the next connection signs in with a new one.
        """
        due_s = refresh_in_s(self._token)
        while due_s is not None:
            await trio.sleep(due_s)
            try:
                token = await obtain(source)
            except links.LINK_ERRORS:
                due_s = REFRESH_AGAIN_S
                continue
            try:
                await self.calls.inner(req.Refresh(token=token), replies.Ok)
            except Refused as refused:
                due_s = refused.wait_s if refused.temporary else None
                continue
            self.refreshed(token)
            due_s = refresh_in_s(token)

    async def _find_rooms(self, welcome: replies.Welcome) -> None:
        """List the rooms that `welcome` had no space for."""
        whole = True
        unreadable: list[str] = []
        if welcome.rooms_next is not None:
            groups = req.Groups(limit=LISTED, cursor=welcome.rooms_next)
            whole &= await self._list(groups, replies.Groups, unreadable)
        if len(welcome.contacts) >= WELCOMED:
            whole &= await self._list(req.Contacts(limit=LISTED, rooms=True), replies.Contacts, unreadable)
        if whole and self.following is not None:
            self.following.listed(welcome, unreadable)

    async def _list(
        self,
        request: req.Groups | req.Contacts,
        kind: type[replies.Groups | replies.Contacts],
        unreadable: list[str],
    ) -> bool:
        """Whether it was listed to its end. Rooms that the server can't read are added to `unreadable`."""
        cursor = request.cursor
        while True:
            await self.inbox.half_empty()
            try:
                reply = await self.calls.inner(msgspec.structs.replace(request, cursor=cursor), kind)
            except Refused as refused:
                if not refused.temporary:
                    # Otherwise an application would take the rooms that were listed so far for all.
                    told = f"not all of your rooms can be listed: {refused.message}"
                    self._offer(replies.Error(code=refused.code, message=told, temporary=False))
                    return False
                await trio.sleep(refused.wait_s)
                continue
            groups = [entry for entry in getattr(reply, "groups", ()) if entry.head is not None]
            contacts = [entry for entry in getattr(reply, "contacts", ()) if entry.head is not None]
            if self.following is not None:
                self.following.hold([*groups, *contacts])
            for entry in (*groups, *contacts):
                self.positions.found(entry)
            if self.following is not None:
                self.following.began([*groups, *contacts])
            if self.positions.waiting:
                self._catchers.unpark_all()
            unreadable += reply.unreadable
            self.inbox.put(Listed(groups, contacts, reply.unreadable))
            cursor = reply.next
            if cursor is None:
                return True

    async def _catch_up(self) -> None:
        """Serve the rooms that are behind, one at a time."""
        while True:
            room = self.positions.next_behind()
            if room is None:
                await self._catchers.park()
                continue
            while True:
                await self.inbox.half_empty()
                asked = self.positions.ask(room)
                if asked is None:
                    break
                try:
                    kind: type[Any] = Page if isinstance(asked, req.History) else replies.Ok
                    reply = await self.calls.inner(asked, kind)
                except Refused as refused:
                    if refused.temporary:
                        await trio.sleep(refused.wait_s)
                    else:
                        self.positions.refused(asked)
                    continue
                fresh, reset = self.positions.answered(asked, reply)
                self._hand_on(fresh)
                self._hand_on([reset] if reset else [])
                if isinstance(reply, Page) and not reply.complete and not fresh:
                    await trio.sleep(INCOMPLETE_S)

    # ------------------------------------------------------------------------------------------ what comes

    def _handle(self, frame: ServerFrame) -> None:
        if type(frame) in _FACTS:
            if self.positions.take(frame, self.inbox.full):  # type: ignore[arg-type]  # narrowed by the set
                self._hand_on((frame,))  # type: ignore[arg-type]
        else:
            self._handle_other(frame)
        if self.positions.waiting:
            self._catchers.unpark_all()

    def _handle_other(self, frame: ServerFrame) -> None:
        match frame:
            case replies.Read() | replies.Got() | replies.Typing() | replies.Request():
                self._offer(frame)
            case replies.Contact():
                if frame.state == "contact":
                    self.opened(frame.user)
                self._offer(frame)
            case replies.Lag():
                reset = self.positions.lagging(frame)
                self._hand_on([reset] if reset else [])
            case replies.Reset():
                self._hand_on([self.positions.reset(frame)])
            case replies.Goaway():
                self._asked_ms = frame.reconnect_ms
            case replies.Ping():
                self.calls.post(req.Pong())
            case _:
                self._reply(frame)  # type: ignore[arg-type]  # facts were taken out before

    def _reply(self, frame: Reply | Strange) -> None:
        if isinstance(frame, replies.Error) and frame.close is not None:
            self._parting = frame
        if self.calls.answered(frame):
            return
        if isinstance(frame, replies.Presence) or (
            isinstance(frame, replies.Error) and frame.id is None and frame.close is None
        ):
            self._offer(frame)

    def _hand_on(self, events: Iterable[Event]) -> None:
        for event in events:
            self.inbox.put(event)
            if self.following is not None:
                self.following.note(event)
            if self._confirms:
                self._confirm(event)

    def _confirm(self, event: Event) -> None:
        if isinstance(event, Message) and event.sender != self.welcome.user:
            self.confirmed.note(event.room, event.seq)
        elif isinstance(event, Reset):
            self.confirmed.forget(event.room)

    def _offer(self, event: Event) -> None:
        """Hand an event on if there is space, or it is told once: then it takes the place of an earlier one."""
        me = self.welcome.user
        if self.inbox.full:
            subject = subject_of(event, me)
            if subject is None:
                return
            self.inbox.drop(lambda other: subject_of(other, me) == subject)
        self.inbox.put(event)


def _first(group: BaseExceptionGroup[Refused]) -> Refused:
    """The first leaf of a group."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _may_return(end: ClientError) -> bool:
    """Whether to connect again after this end."""
    if isinstance(end, Refused):
        return end.temporary
    return isinstance(end, Unreachable) and (end.number is None or end.number < FINAL)
