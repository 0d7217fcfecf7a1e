"""What may happen in a room, and that a room rebuilt from its facts equals the live one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.domain import commands as ask
from gochat.domain import facts
from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.turn import Done, Knowledge, Outcome, RecentKeys, RoomRules, Turn
from gochat.errors import Denied

TEA = "group:tea"
DM = "dm:ann:bob"


class Bench:
    """A room that takes one turn after the other, and remembers everything as the store would."""

    def __init__(self, room: str = TEA, limits: RoomRules | None = None) -> None:
        self.record = RoomRecord(room=room, num=1)
        self.log: list[facts.AnyFact] = []
        self.keys: dict[tuple[str, str, str], Recorded] = {}
        self.targets: dict[int, Target] = {}
        self.reacted: dict[tuple[int, str, str], Reacted] = {}
        self.limits = limits or RoomRules()
        self.now_ms = 1000

    def turn(self, *commands: ask.AnyCommand, refusal: Denied | None = None) -> list[Outcome]:
        turn = Turn(self.record, self.keys, Knowledge(self.targets, self.reacted), self.limits, self.now_ms)
        outcomes = [turn.decide(command, refusal) for command in commands]
        self.record = turn.draft
        self.log += turn.facts
        self.keys |= turn.fresh_keys
        for fact in turn.facts:
            if isinstance(fact, facts.Message):
                self.targets.setdefault(fact.seq, Target(author=fact.sender, ts=fact.ts, body=fact.body))
        return outcomes

    def one(self, command: ask.AnyCommand, refusal: Denied | None = None) -> Outcome:
        return self.turn(command, refusal=refusal)[0]

    def made(self, kind: type[Any], user: str = "ann", **fields: Any) -> Outcome:
        return self.one(kind(room=self.record.room, user=user, **fields))


@pytest.fixture
def tea() -> Bench:
    bench = Bench()
    bench.made(ask.Create, title="Tea", users=("bob", "cat"))
    bench.made(ask.SetRole, member="bob", role="moderator")
    return bench


def code(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, Denied) else "done"


def test_creating_writes_the_owner_then_the_settings_then_the_others() -> None:
    bench = Bench()
    done = bench.made(ask.Create, title="Tea", users=("bob", "ann", "bob"), post="owner")
    assert done == Done(3, 1000)
    first, second, third = bench.log
    assert isinstance(first, facts.Member) and (first.users, first.role, first.title) == (["ann"], "owner", "Tea")
    assert isinstance(second, facts.Group) and second.post == "owner"
    assert isinstance(third, facts.Member) and third.users == ["bob"]


def test_a_name_is_never_given_again(tea: Bench) -> None:
    assert code(tea.made(ask.Create, "dan")) == "conflict"
    assert code(tea.made(ask.Close)) == "done"
    assert code(tea.made(ask.Create, "dan")) == "conflict"


def test_a_dm_is_there_from_the_first_message_on() -> None:
    bench = Bench(DM)
    assert bench.made(ask.Send, body="hi") == Done(1, 1000)
    assert bench.made(ask.Send, "bob", body="ho") == Done(2, 1000)
    assert code(bench.made(ask.Leave)) == "bad_request"


def test_time_never_falls_as_seq_grows() -> None:
    bench = Bench(DM)
    bench.made(ask.Send, body="late")
    bench.now_ms = 10
    assert bench.made(ask.Send, body="the clock was set back") == Done(2, 1000)


def test_one_key_is_one_message_whatever_is_in_the_repeat() -> None:
    bench = Bench(DM)
    first, repeat, other = bench.turn(
        ask.Send(room=DM, user="ann", body="hi", key="k"),
        ask.Send(room=DM, user="ann", body="changed", key="k"),
        ask.Send(room=DM, user="bob", body="mine", key="k"),
    )
    assert (first, repeat, other) == (Done(1, 1000), Done(1, 1000, True), Done(2, 1000))
    assert bench.made(ask.Send, body="again", key="k") == Done(1, 1000, True)
    assert [fact.body for fact in bench.log] == ["hi", "mine"]  # type: ignore[union-attr]


def test_a_recorded_key_is_answered_whatever_would_refuse_it_today(tea: Bench) -> None:
    tea.made(ask.Send, "cat", body="hi", key="k")
    tea.made(ask.Remove, users=("cat",))
    assert code(tea.made(ask.Send, "cat", body="hi", key="k")) == "done"
    assert code(tea.made(ask.Send, "cat", body="hi", key="other")) == "not_member"


def test_the_room_refuses_before_the_rate_does(tea: Bench) -> None:
    slow = Denied("rate_limited", "slow down")
    assert tea.one(ask.Send(room=TEA, user="zoe", body="x"), slow) != slow
    assert tea.one(ask.Send(room=TEA, user="ann", body="x"), slow) == slow
    assert not any(isinstance(fact, facts.Message) for fact in tea.log)


@pytest.mark.parametrize(
    ("user", "expected"), [("ann", "done"), ("bob", "forbidden"), ("cat", "forbidden"), ("zoe", "not_found")]
)
@pytest.mark.parametrize("command", [(ask.SetRole, {"member": "cat", "role": "owner"}), (ask.Close, {}),
                                     (ask.Configure, {"post": "owner"})])  # fmt: skip
def test_what_only_owners_may(tea: Bench, user: str, expected: str, command: tuple[type[Any], dict[str, Any]]) -> None:
    assert code(tea.made(command[0], user, **command[1])) == expected


@pytest.mark.parametrize(
    ("user", "expected"), [("ann", "done"), ("bob", "done"), ("cat", "forbidden"), ("zoe", "not_found")]
)
@pytest.mark.parametrize("command", [(ask.Add, {"users": ("dan",)}), (ask.Configure, {"title": "Coffee"}),
                                     (ask.Delete, {"seq": 4})])  # fmt: skip
def test_what_moderators_may(tea: Bench, user: str, expected: str, command: tuple[type[Any], dict[str, Any]]) -> None:
    tea.made(ask.Send, "ann", body="x")
    assert tea.record.head == 4
    assert code(tea.made(command[0], user, **command[1])) == expected


def test_a_moderator_removes_members_only(tea: Bench) -> None:
    tea.made(ask.Add, users=("dan",))
    tea.made(ask.SetRole, member="dan", role="moderator")
    assert code(tea.made(ask.Remove, "bob", users=("ann",))) == "forbidden"
    assert code(tea.made(ask.Remove, "bob", users=("cat", "dan"))) == "forbidden"
    assert "cat" in tea.record.members, "a refused request removes nobody"
    assert code(tea.made(ask.Remove, "bob", users=("cat",))) == "done"


def test_the_last_owner_stays(tea: Bench) -> None:
    assert code(tea.made(ask.Leave)) == "conflict"
    assert code(tea.made(ask.SetRole, member="ann", role="member")) == "conflict"
    assert code(tea.made(ask.Remove, users=("ann",))) == "conflict"
    assert code(tea.made(ask.Leave, successor="zoe")) == "not_found"
    assert code(tea.made(ask.Leave, successor="cat")) == "done"
    assert tea.record.members == {"bob": "moderator", "cat": "owner"}
    assert [getattr(fact, "change", None) for fact in tea.log[-2:]] == ["role", "left"]


def test_what_is_so_already_is_no_fact(tea: Bench) -> None:
    head = tea.record.head
    for outcome in (
        tea.made(ask.Add, users=("bob",)),
        tea.made(ask.Remove, users=("zoe",)),
        tea.made(ask.Configure, title="Tea"),
        tea.made(ask.SetRole, member="bob", role="moderator"),
    ):
        assert isinstance(outcome, Done) and outcome.duplicate
    assert tea.record.head == head


def test_who_may_post_is_the_groups_setting(tea: Bench) -> None:
    tea.made(ask.Configure, post="moderators")
    assert code(tea.made(ask.Send, "cat", body="x")) == "forbidden"
    assert code(tea.made(ask.Send, "bob", body="x")) == "done"
    tea.made(ask.Configure, post="owner")
    assert code(tea.made(ask.Send, "bob", body="x")) == "forbidden"
    assert code(tea.made(ask.Send, "ann", body="x")) == "done"


def test_a_group_has_its_size() -> None:
    bench = Bench(limits=RoomRules(add_users=3, members=4))
    bench.made(ask.Create, users=("b", "c"))
    assert code(bench.made(ask.Add, users=("d", "e", "f", "g"))) == "bad_request"
    assert code(bench.made(ask.Add, users=("d", "e"))) == "conflict"
    assert code(bench.made(ask.Add, users=("b", "d"))) == "done"


def test_an_author_edits_deletes_and_everybody_reacts(tea: Bench) -> None:
    sent = tea.made(ask.Send, "cat", body="one")
    assert isinstance(sent, Done)
    at = {"seq": sent.seq}
    assert code(tea.made(ask.Edit, "ann", **at, body="two")) == "forbidden"
    edited = tea.made(ask.Edit, "cat", **at, body="two")
    assert tea.made(ask.Edit, "cat", **at, body="two") == Done(edited.seq, 1000, True)  # type: ignore[union-attr]
    tea.targets[sent.seq].body = "two"
    reacted = tea.made(ask.React, "bob", **at, emoji="+", on=True)
    assert isinstance(reacted, Done) and not reacted.duplicate
    assert tea.made(ask.React, "bob", **at, emoji="+", on=True) == Done(reacted.seq, 1000, True)
    assert tea.made(ask.React, "ann", **at, emoji="-", on=False) == Done(sent.seq, 1000, True)
    deleted = tea.made(ask.Delete, "cat", **at)
    assert tea.made(ask.Delete, "ann", **at) == Done(deleted.seq, 1000, True)  # type: ignore[union-attr]
    assert code(tea.made(ask.Edit, "cat", **at, body="three")) == "not_found"
    assert code(tea.made(ask.React, "cat", **at, emoji="+", on=True)) == "not_found"
    assert code(tea.made(ask.Delete, "cat", seq=1)) == "not_found", "seq 1 is no message"


def test_a_message_can_be_edited_in_the_batch_that_sends_it() -> None:
    bench = Bench(DM)
    outcomes = bench.turn(
        ask.Send(room=DM, user="ann", body="helo"),
        ask.Edit(room=DM, user="ann", seq=1, body="hello"),
        ask.Edit(room=DM, user="bob", seq=1, body="mine"),
        ask.Edit(room=DM, user="ann", seq=9, body="nothing"),
    )
    assert list(map(code, outcomes)) == ["done", "done", "forbidden", "not_found"]


def test_a_reply_names_what_is_there() -> None:
    bench = Bench(DM)
    assert code(bench.made(ask.Send, body="x", reply_to=1)) == "not_found"
    bench.made(ask.Send, body="x")
    assert code(bench.made(ask.Send, body="y", reply_to=1)) == "done"


def test_an_admin_needs_no_seat(tea: Bench) -> None:
    assert code(tea.made(ask.Send, "zoe", body="x", admin=True)) == "done"
    assert code(tea.made(ask.Close, "zoe", admin=True)) == "done"
    assert code(tea.made(ask.Send, "zoe", body="x", admin=True)) == "not_found"


USERS = st.sampled_from(["ann", "bob", "cat", "dan"])
SEQS = st.integers(1, 12)


BASE: dict[str, Any] = {"room": st.just(TEA), "user": USERS, "admin": st.sampled_from([False] * 5 + [True])}
MANY = st.lists(USERS, max_size=3).map(tuple)
COMMANDS = st.one_of(
    st.builds(ask.Send, **BASE, body=st.sampled_from("xyz"), key=st.sampled_from([None, "k", "l"])),
    st.builds(ask.Edit, **BASE, seq=SEQS, body=st.sampled_from("xyz")),
    st.builds(ask.Delete, **BASE, seq=SEQS),
    st.builds(ask.React, **BASE, seq=SEQS, emoji=st.sampled_from("+-"), on=st.booleans()),
    st.builds(ask.Create, **BASE, title=st.just("T"), users=MANY),
    st.builds(ask.Configure, **BASE, title=st.sampled_from([None, "U"]), post=st.sampled_from([None, "owner"])),
    st.builds(ask.Add, **BASE, users=MANY),
    st.builds(ask.Remove, **BASE, users=MANY),
    st.builds(ask.SetRole, **BASE, member=USERS, role=st.sampled_from(["owner", "member"])),
    st.builds(ask.Leave, **BASE, successor=st.one_of(st.none(), USERS)),
    st.builds(ask.Close, **BASE),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(COMMANDS, min_size=1, max_size=5), max_size=8))
def test_facts_alone_rebuild_the_room(batches: list[list[ask.AnyCommand]]) -> None:
    bench = Bench()
    bench.made(ask.Create, title="T", users=("bob",))
    for batch in batches:
        before = bench.record
        members, former = dict(before.members), set(before.former)
        outcomes = bench.turn(*batch)
        assert (members, former) == (before.members, before.former), "a turn leaves the record it began with alone"
        assert all(isinstance(outcome, Done | Denied) for outcome in outcomes)
    rebuilt = RoomRecord(room=TEA, num=1)
    for fact in bench.log:
        rebuilt.apply(fact)
    assert rebuilt == bench.record
    assert [fact.seq for fact in bench.log] == list(range(1, len(bench.log) + 1))
    assert bench.record.closed or not bench.record.members or "owner" in bench.record.members.values()


def test_what_is_kept_of_keys_is_bounded_for_all_rooms_together() -> None:
    keys = RecentKeys(100)
    for number in range(1_000):
        keys.remember({(f"group:g{number}", "ann", "k"): Recorded(number, 1)})
        assert len(keys) <= 200
    assert keys.get(("group:g999", "ann", "k")) == Recorded(999, 1)
    assert keys.get(("group:g0", "ann", "k")) is None, "the oldest are forgotten first"


def test_the_same_key_in_another_room_is_another_key() -> None:
    keys = RecentKeys(100)
    keys.remember({(TEA, "ann", "k"): Recorded(1, 1)})
    turn = Turn(RoomRecord(room="dm:ann:bob", num=2), keys, Knowledge(), RoomRules(), 1)
    assert turn.recorded("ann", "k") is None
    assert turn.decide(ask.Send(room="dm:ann:bob", user="ann", body="x", key="k")) == Done(1, 1)
