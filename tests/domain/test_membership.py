"""Memberships are folded by one rule, and the next owner is named by one."""

from __future__ import annotations

from typing import Any

import pytest

from gochat.domain.facts import Member
from gochat.domain.membership import FORMER, Candidate, Change, change_of, successor, would_lose_last_owner
from gochat.domain.record import RoomRecord


def fact(change: Any, *users: str, role: Any = None, seq: int = 2) -> Member:
    return Member(room="group:tea", seq=seq, ts=seq, sender="ann", users=list(users), change=change, role=role)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (fact("added", "bob", "zoe", "zoe"), Change(["bob", "zoe"], "member", True)),
        (fact("added", "zoe", role="owner"), Change(["zoe"], "owner", True)),
        (fact("role", "bob", "zoe", role="moderator"), Change(["bob"], "moderator", False)),
        (fact("removed", "bob", "zoe", "bob"), Change(["bob"], FORMER, False)),
        (fact("left", "zoe"), Change([], FORMER, False)),
    ],
)
def test_what_a_fact_makes_of_memberships(told: Member, expected: Change) -> None:
    assert change_of(told, {"ann", "bob"}) == expected


def test_a_record_takes_nothing_of_users_who_are_no_members() -> None:
    record = RoomRecord.new("group:tea", 1)
    record.apply(fact("added", "ann", role="owner", seq=1))
    record.apply(fact("role", "zoe", role="owner", seq=2))
    record.apply(fact("removed", "zoe", seq=3))
    assert (record.members, record.owners, record.former) == ({"ann": "owner"}, {"ann"}, set())


def test_the_last_owner() -> None:
    assert would_lose_last_owner({"ann"}, ["bob", "ann"])
    assert not would_lose_last_owner({"ann", "cat"}, ["ann"])
    assert not would_lose_last_owner(set(), ["ann"]), "a group without owners has none to lose"


def test_the_next_owner() -> None:
    old = Candidate("dan", "member", 2, False)
    young, namesake = Candidate("bob", "member", 7, False), Candidate("abe", "member", 7, False)
    moderator, suspended = Candidate("eve", "moderator", 9, False), Candidate("fay", "moderator", 1, True)
    assert successor([young, old, suspended, moderator]) == "eve"
    assert successor([young, suspended, old]) == "dan"
    assert successor([young, namesake]) == "abe"
    assert successor([suspended]) == "fay"
    assert successor([]) is None
    assert successor([young, Candidate("gus", "owner", 8, True)]) is None, "another owner is left"
