"""The base of all requests of an application: a session to ask by, and lists that come page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final, TypeAlias, TypeVar

import msgspec

from gochat.client.paging import Listing
from gochat.client.positions import room_of
from gochat.client.session import Session
from gochat.client.wire import Results
from gochat.protocol import replies
from gochat.protocol import requests as req

Entry = TypeVar("Entry")
R = TypeVar(
    "R",
    replies.Groups,
    replies.Members,
    replies.Contacts,
    replies.Requests,
    replies.Reports,
    replies.Audit,
    Results,
    replies.Users,
    replies.Rooms,
    replies.Sessions,
    replies.Suspensions,
    replies.Mailboxes,
    replies.Sanctions,
)

#: Requests that are answered page by page.
List: TypeAlias = (
    req.Search
    | req.Groups
    | req.Members
    | req.Contacts
    | req.Requests
    | req.Reports
    | req.Audit
    | req.Users
    | req.Rooms
    | req.Sessions
    | req.Suspensions
    | req.Mailboxes
    | req.Sanctions
)
#: Most entries that one page or list may hold (protocol.md, "Messages and rooms").
LIMIT: Final = 200


class Asking:
    """One user's session, to ask by."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def welcome(self) -> replies.Welcome:
        """The server's answer to the latest sign-in: contacts, rooms, requests that wait, limits."""
        return self._session.welcome

    @property
    def user(self) -> str:
        """The user's id, as the server took it from the token."""
        return self._session.welcome.user

    def room(self, to: str) -> str:
        """The room id that an address (`user:bob`, `group:tea`) means to this user."""
        return room_of(to, self.user)

    def _listed(
        self,
        request: List,
        kind: type[R],
        entries: Callable[[R], Iterable[Entry]],
    ) -> AsyncIterator[Entry]:
        async def ask(cursor: str | None) -> tuple[Iterable[Entry], str | None]:
            reply = await self._session.calls.call(msgspec.structs.replace(request, cursor=cursor), kind)
            return entries(reply), reply.next

        return Listing(ask)
