"""Membership of groups, folded from facts: the one place that says what a fact makes of the users it names, and that
names the next owner of a group whose owner goes.

A room's record, the store's tables and the files of exports keep memberships in their own shapes. All of them ask here.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from gochat.domain.facts import Member, Role

FORMER: Final = "former"
#: A member's role, or that the user is one no more.
Standing: TypeAlias = Role | Literal["former"]


class Change(NamedTuple):
    """The change that one fact makes to memberships."""

    users: list[str]
    """The users whose memberships change, each once."""
    role: Standing
    """The standing of these users from then on."""
    begins: bool
    """Whether their time in the group begins with the fact. It ends with the fact where `role` is FORMER."""


def change_of(fact: Member, members: Container[str]) -> Change:
    """The change that the fact makes to the group's present `members`. Users who are added begin anew, also those who
    are members. Nobody else's membership changes but members': a role that is given to others, or an end of theirs, is
    nothing."""
    users = list(dict.fromkeys(fact.users))
    if fact.change == "added":
        return Change(users, fact.role or "member", True)
    present = [user for user in users if user in members]
    return Change(present, (fact.role or "member") if fact.change == "role" else FORMER, False)


def would_lose_last_owner(owners: Collection[str], leaving: Iterable[str]) -> bool:
    """Whether a group that has owners has none once these users are owners no more."""
    return bool(owners) and set(owners).issubset(leaving)


class Candidate(NamedTuple):
    """A member who may become an owner."""

    user: str
    role: Role
    since_seq: int
    """The fact with which the user's time in the group began."""
    suspended: bool
    """Whether the user is kept out of the site."""


def successor(others: Iterable[Candidate]) -> str | None:
    """The member who becomes owner where an owner is deleted, and so goes without naming one. Members who are not
    suspended come before those who are, then moderators before others, then the members who have been there longest.
    None where another owner is left, or nobody is."""
    candidates = list(others)
    if not candidates or any(one.role == "owner" for one in candidates):
        return None
    return min(candidates, key=lambda one: (one.suspended, one.role != "moderator", one.since_seq, one.user)).user
