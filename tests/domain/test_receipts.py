"""Users are told how far the other of a private room is, where both may know of each other."""

from __future__ import annotations

import pytest

from gochat.domain.receipts import tells_got, tells_read
from gochat.domain.relationship import Change, ContactPolicy, Relation, RelationChange, Strangers, of_room


def after(*changes: tuple[str, Change]) -> Relation:
    """The relation of ann and bob after these changes."""
    relation = of_room("dm:ann:bob")
    assert relation is not None
    for n, (user, change) in enumerate(changes, 1):
        relation = relation.apply(RelationChange(n=n, at=0, ts=1000, user=user, change=change))
    return relation


@pytest.mark.parametrize(
    ("strangers", "changes", "read", "got"),
    [
        ("request", (), False, False),
        ("request", [("bob", "add")], True, True),
        ("request", [("ann", "add")], False, False),
        ("request", [("ann", "ask")], False, False),
        ("request", [("ann", "ask"), ("bob", "accept")], True, True),
        ("request", [("ann", "ask"), ("bob", "decline")], False, False),
        ("request", [("bob", "add"), ("bob", "remove")], False, False),
        ("request", [("bob", "add"), ("ann", "block")], False, False),
        ("request", [("bob", "add"), ("bob", "block")], False, False),
        ("request", [("bob", "add"), ("bob", "block"), ("bob", "unblock")], True, True),
        ("deny", (), False, False),
        ("deny", [("bob", "add")], True, True),
        ("allow", (), True, True),
        ("allow", [("ann", "add")], True, True),
        ("allow", [("bob", "add"), ("bob", "remove")], True, False),
        ("allow", [("ann", "block")], False, False),
        ("allow", [("ann", "block"), ("ann", "unblock")], True, False),
    ],
)
def test_bob_tells_ann_if_he_lets_her_write_and_what_has_come_if_she_sees_him_too(
    strangers: Strangers, changes: list[tuple[str, Change]], read: bool, got: bool
) -> None:
    relation, policy = after(*changes), ContactPolicy(strangers=strangers)
    assert tells_read(relation, "bob", policy, 2000) is read
    assert tells_got(relation, "bob", policy, 2000) is got
