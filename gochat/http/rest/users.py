"""Users: the caller's own identity, and a search for others."""

from __future__ import annotations

from gochat.domain.folding import NO_WORDS, words
from gochat.http.rest.context import Call, Reply
from gochat.http.rest.refused import Refused
from gochat.http.rest.rooms import next_link, or_none, or_unset
from gochat.http.rest.shapes import UsersQuery
from gochat.http.rest.views import Me, UserPage


async def me(call: Call) -> Reply:
    identity = call.identity
    expires = None if identity.expires_s is None else round(identity.expires_s * 1000)
    return Reply(
        value=Me(
            user=identity.user,
            name=identity.name or identity.user,
            scopes=sorted(identity.scopes),
            expires=or_unset(expires),
            limits=call.context.limits,
        )
    )


async def search(call: Call) -> Reply:
    query: UsersQuery = call.query
    if not words(query.q):
        raise Refused(NO_WORDS)
    users, following = await call.context.archive.search_users(
        call.identity.user, query.q, query.limit, or_none(query.cursor)
    )
    page = UserPage(users=users, next=or_unset(following))
    return Reply(value=page, headers=next_link("/v1/users", query, page.next))
