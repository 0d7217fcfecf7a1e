"""The form in which a reader is told a fact, and the cuts in a batch where the sight of its group changes."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain import facts
from gochat.domain.sight import by_setting, redact, referenced_seqs, refers_to

ROOM = "group:tea"


def base(seq: int) -> dict[str, Any]:
    return {"room": ROOM, "seq": seq, "ts": 10 * seq, "sender": "ann"}


#: One of each type, with what they say of the message 5.
ABOUT_5 = {
    facts.Message: facts.Message(**base(9), body="yes", key="k", reply_to=5),
    facts.Edit: facts.Edit(**base(9), target=5, body="tea?"),
    facts.Delete: facts.Delete(**base(9), target=5),
    facts.Reaction: facts.Reaction(**base(9), target=5, emoji="👍", on=True),
}
ABOUT_NONE = {
    facts.Member: facts.Member(**base(9), users=["bob"], change="added"),
    facts.Group: facts.Group(**base(9), title="Tea"),
    facts.Closed: facts.Closed(**base(9)),
    facts.Hidden: facts.Hidden(room=ROOM, seq=9, ts=90),
}


def test_every_type_of_fact_is_here() -> None:
    assert {*ABOUT_5, *ABOUT_NONE} == {*typing.get_args(facts.AnyFact)}


@pytest.mark.parametrize("fact", ABOUT_5.values(), ids=lambda fact: type(fact).__name__)
def test_a_fact_about_a_hidden_message_tells_nothing_of_it(fact: facts.AnyFact) -> None:
    assert refers_to(fact) == 5
    assert redact(fact, 4) is fact
    told = redact(fact, 5)
    assert (told.room, told.seq, told.ts) == (fact.room, fact.seq, fact.ts)
    if isinstance(fact, facts.Message):
        # A reply is its sender's own words: only what it answers is hidden.
        assert told == msgspec.structs.replace(fact, reply_to=None)
    else:
        assert told == facts.Hidden(room=ROOM, seq=9, ts=90)
        assert set(msgspec.to_builtins(told)) == {"type", "room", "seq", "ts"}


@pytest.mark.parametrize("fact", ABOUT_NONE.values(), ids=lambda fact: type(fact).__name__)
def test_a_fact_about_no_message_is_told_as_it_is(fact: facts.AnyFact) -> None:
    assert refers_to(fact) is None
    assert redact(fact, 8) is fact


def test_the_seqs_that_a_batch_refers_to_ascend_and_come_once() -> None:
    batch = [
        facts.Delete(**base(9), target=7),
        facts.Edit(**base(10), target=3),
        facts.Message(**base(11), body="x", reply_to=7),
        facts.Closed(**base(12)),
    ]
    assert referenced_seqs(batch) == (3, 7)


SETTING = st.sampled_from([None, "all", "since_join"])


@given(before=st.booleans(), changes=st.lists(SETTING, min_size=1, max_size=8))
def test_each_piece_of_a_batch_has_the_setting_under_which_it_was_decided(
    before: bool, changes: list[str | None]
) -> None:
    batch: list[facts.AnyFact] = []
    expected: list[bool] = []
    hides = before
    for seq, change in enumerate(changes, 1):
        # Only a change is recorded.
        changed = change is not None and (change == "since_join") != hides
        batch.append(facts.Group(**base(seq), history=change if changed else None, title="Tea"))  # type: ignore[arg-type]
        hides = not hides if changed else hides
        expected.append(hides)
    pieces = list(by_setting(batch, hides))
    assert [fact for piece, _ in pieces for fact in piece] == batch
    assert [hidden for piece, hidden in pieces for _ in piece] == expected
