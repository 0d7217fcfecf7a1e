"""The application's side of gochat: connect, read events, ask.

`connect` gives a `Chat` that survives broken connections. Each method sends one request and returns its reply; it
waits for as long as that takes, over reconnects, so a caller who wants a limit uses `trio.fail_after`. Each raises
Refused when the server says no, and Ended when the session is over.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import trio

from gochat.client.asking import LIMIT
from gochat.client.credential import TokenSource
from gochat.client.errors import Refused, raise_alone
from gochat.client.events import Event
from gochat.client.links import parse_url
from gochat.client.paging import Pages
from gochat.client.people import People
from gochat.client.replica import Replica
from gochat.client.session import Session
from gochat.client.wire import Page, Results
from gochat.domain.facts import AnyFact, HistoryScope, PostRight, Role
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import GroupEntry, MemberEntry, PresenceEntry, UserEntry
from gochat.protocol.replies import Ack, Ok

#: Events that wait for the application before the server is made to wait.
QUEUE = 1_000
#: Users whose names are asked for by one request.
NAMES = 100


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: TokenSource,
    device: str | None = None,
    queue: int = QUEUE,
    confirms: bool = False,
    replica: Replica | str | Path | None = None,
) -> AsyncIterator[Chat]:
    """Sign in to the server at `url` (`ws://HOST:PORT/v1/ws`, `wss://...`, `tcp://HOST:PORT`, `nng+tcp://HOST:PORT`,
    `nng+tls+tcp://...`) and stay signed in.

    `token` names the user: a token, or a function, plain or async, that returns a new one. The function is called for
    each connection, and a minute before a token ends, so that the session lives on; a session with one token alone ends
    with it. Where the function raises Unreachable or OSError it is called again later; any other exception of it ends
    the session, and is raised here.

    A session with the same `device` is replaced. `queue` bounds the events that wait to be read: while it is full the
    server is made to wait. With `confirms` others are told which of their messages have come here (`got`).

    `replica` is a file (gochat.client.replica), or the path of one: the session goes on where the file ends, and each
    event is in it before the application gets it. The data that another user left in it is removed. Raises
    sqlite3.Error, at any time, where the file can't be written, and NotAReplica or OSError where it can't be opened.

    Raises BadUrl, BadToken, Unreachable, or Refused (`unauthorized`) if the first connection can't be made; later ones
    are made again by themselves, with growing pauses, until the server says not to.
    """
    with ExitStack() as stack:
        address = parse_url(url)
        if isinstance(replica, str | Path):
            replica = stack.enter_context(closing(Replica(replica)))
        session = Session(address, token=token, device=device, queue=queue, confirms=confirms, replica=replica)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.run)
                try:
                    await session.ready.wait()
                    yield Chat(session)
                finally:
                    session.stop()
        except BaseExceptionGroup as group:
            raise_alone(group)


class Chat(People):
    """One user's session. `async for event in chat` gives events (gochat.client.events): of each room every fact,
    once, in order, across reconnects; read them, or nothing more will come. A message among them has no `reactions`:
    each reaction is a fact of its own, also after an absence. Requests about people are in `People`."""

    def __aiter__(self) -> Chat:
        return self

    async def __anext__(self) -> Event:
        """The next event. Raises Ended once the session is over and all events are read."""
        following = self._session.following
        return await (self._session.inbox.get() if following is None else following.next(self._session.inbox))

    @property
    def replica(self) -> Replica | None:
        """The file that the session keeps, if it was given one."""
        return None if self._session.following is None else self._session.following.replica

    # ------------------------------------------------------------------------------------------ messages

    async def send(
        self, to: str, body: str, *, key: str | None = None, reply_to: int | None = None, patience_s: float = 0.0
    ) -> Ack:
        """Send a message; returns when it is durable. `to` is an address or a room id.

        Sends with the same `key` are one message; without one a random key is made, so that a send that is repeated
        after a broken connection is one message too. For `patience_s` a refusal that is temporary (rate limit, busy)
        is not raised but the send repeated when the server says.
        """
        request = req.Send(to=to, body=body, key=key or secrets.token_urlsafe(12), reply_to=reply_to)
        return await self._patiently(request, patience_s)

    async def edit(self, room: str, seq: int, body: str, *, patience_s: float = 0.0) -> Ack:
        """Change the text of one's own message. `patience_s` as for `send`."""
        return await self._patiently(req.Edit(room=self.room(room), seq=seq, body=body), patience_s)

    async def _patiently(self, request: req.Send | req.Edit, patience_s: float) -> Ack:
        deadline = trio.current_time() + patience_s
        while True:
            try:
                return await self._session.calls.call(request, Ack)
            except Refused as refused:
                if not refused.temporary or trio.current_time() + refused.wait_s > deadline:
                    raise
                wait_s = refused.wait_s
            await trio.sleep(wait_s)

    async def delete(self, room: str, seq: int) -> Ack:
        """Take a message's text away for good. Its author may, and in a group its moderators."""
        return await self._session.calls.call(req.Delete(room=self.room(room), seq=seq), Ack)

    async def react(self, room: str, seq: int, emoji: str, on: bool = True) -> Ack:
        """Add one's reaction to a message, or take it back."""
        return await self._session.calls.call(req.React(room=self.room(room), seq=seq, emoji=emoji, on=on), Ack)

    async def read(self, room: str, seq: int) -> None:
        """Mark everything up to `seq` as read; a lower seq than before changes nothing."""
        await self._session.calls.call(req.Read(room=self.room(room), seq=seq), Ok)

    def got(self, room: str, seq: int) -> None:
        """Tell the others of the room that its facts up to `seq` have come here. Returns at once; they are told later,
        the latest of each room at most once a second. `connect(confirms=True)` does it by itself."""
        self._session.confirmed.note(self.room(room), seq)

    async def typing(self, room: str) -> None:
        """Tell the others of the room that this user types. They show it for some seconds; it is recorded nowhere."""
        await self._session.calls.call(req.Typing(room=self.room(room)), Ok)

    # ------------------------------------------------------------------------------------------ the past

    async def page(
        self, room: str, *, before: int | None = None, after: int | None = None, limit: int = 50, messages: bool = False
    ) -> Page:
        """Facts above `after`, or the nearest below `before`, or the newest; ascending. Fewer than `limit` may come.
        With `messages` only messages that are not deleted: `next` is the bound to go on with, None at the end."""
        request = req.History(room=self.room(room), before=before, after=after, limit=limit, messages=messages)
        return await self._session.calls.call(request, Page)

    def history(
        self,
        room: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = LIMIT,
        messages: bool = False,
    ) -> AsyncIterator[Page]:
        """Page by page through a room's log: upwards from `after` to the head, or else downwards from `before` (or
        the newest) to the beginning. Each page is ascending in itself; leave the loop when you have enough. With
        `messages` only messages that are not deleted; a page may be empty, and others follow.

        Raises Refused (`unavailable`) after a page that is incomplete, since part of it can't be reached now: to go on
        would leave a gap.
        """

        async def ask(before: int | None, after: int | None) -> Page:
            return await self.page(room, before=before, after=after, limit=limit, messages=messages)

        return Pages(ask, before, after, messages)

    async def rewind(self, room: str, seq: int, epoch: str | None = None) -> None:
        """Let the events of a room go on after `seq`, wherever they are: 0 is from its beginning. `epoch` (of the
        welcome, an ack or a page) makes a log that was rolled back show as a Reset. Raises Refused if the room can't
        be read, and then changes nothing."""
        room = self.room(room)
        await self.page(room, limit=1)
        self._session.rewind(room, seq, epoch)

    # ------------------------------------------------------------------------------------------ lists

    def search(self, q: str, *, room: str | None = None, limit: int = 50) -> AsyncIterator[AnyFact]:
        """Messages with these words in the user's rooms, or in one of them, newest first."""
        where = None if room is None else self.room(room)
        request = req.Search(q=q, scope="messages", room=where, limit=limit)
        return self._listed(request, Results, lambda reply: reply.entries)

    def search_users(self, q: str, *, limit: int = 50) -> AsyncIterator[UserEntry]:
        """Users by the beginning of their id or of a word of their name; then those where a letter is wrong."""
        return self._listed(req.Search(q=q, scope="users", limit=limit), Results, lambda reply: reply.users)

    def groups(self, owner: str | None = None) -> AsyncIterator[GroupEntry]:
        """The groups the user is in, or those of one owner among them."""
        return self._listed(req.Groups(owner=owner, limit=LIMIT), replies.Groups, lambda reply: reply.groups)

    def members(self, room: str) -> AsyncIterator[MemberEntry]:
        """The members of a group with their roles, by id."""
        request = req.Members(room=self.room(room), limit=LIMIT)
        return self._listed(request, replies.Members, lambda reply: reply.members)

    async def names(self, users: Iterable[str]) -> dict[str, str]:
        """The shown names of users, by id. Ids without a name, and of users who have blocked this one and share no
        group with them, are left out: show the id then. More than 100 users take several requests."""
        asked = list(dict.fromkeys(users))
        found: dict[str, str] = {}
        for first in range(0, len(asked), NAMES):
            reply = await self._session.calls.call(req.Names(users=asked[first : first + NAMES]), replies.Names)
            found |= {entry.user: entry.name for entry in reply.users}
        return found

    # ------------------------------------------------------------------------------------------ groups

    async def create_group(
        self,
        name: str,
        *,
        title: str | None = None,
        users: Iterable[str] = (),
        history: HistoryScope | None = None,
        post: PostRight | None = None,
    ) -> Ok:
        """Found a group and own it. Raises Lost if the connection broke before the reply: see whether it is there."""
        return await self._group(name, "create", title=title, users=list(users) or None, history=history, post=post)

    async def set_group(
        self,
        name: str,
        *,
        title: str | None = None,
        history: HistoryScope | None = None,
        post: PostRight | None = None,
    ) -> Ok:
        """Change the title of a group, from where on new members see its history, or who may write; what is not named
        stays."""
        return await self._group(name, "set", title=title, history=history, post=post)

    async def add_users(self, name: str, users: Iterable[str]) -> Ok:
        """All of them or none; who is in the group already is no error."""
        return await self._group(name, "add", users=list(users))

    async def remove_users(self, name: str, users: Iterable[str]) -> Ok:
        """All of them or none; users who are not in the group are no error."""
        return await self._group(name, "remove", users=list(users))

    async def set_role(self, name: str, user: str, role: Role) -> Ok:
        """Make a member an owner, a moderator, or a plain member again."""
        return await self._group(name, "role", user=user, role=role)

    async def leave_group(self, name: str, *, successor: str | None = None) -> Ok:
        """Leave. The last owner needs a successor. May raise Lost."""
        return await self._group(name, "leave", successor=successor)

    async def delete_group(self, name: str) -> Ok:
        """End a group for all its members; its name is never given again. May raise Lost."""
        return await self._group(name, "delete")

    # ------------------------------------------------------------------------------------------ session

    async def watch(self, users: Iterable[str]) -> list[PresenceEntry]:
        """See when these users come and go, instead of those watched before; at most 15. Holds over reconnects."""
        watching = list(users)
        reply = await self._session.calls.call(req.Watch(users=watching), replies.Presence)
        self._session.watching = watching
        return reply.users

    async def refresh(self, token: str) -> None:
        """Replace the token before it ends; reconnects use the new one, unless a function gives them theirs."""
        await self._session.calls.call(req.Refresh(token=token), Ok)
        self._session.refreshed(token)
