"""The rules of a room, and that a room rebuilt from its facts equals the live one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.domain import commands, facts
from gochat.domain.group_turn import MOST_SANCTIONS
from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.side_records import Sanctioned
from gochat.domain.turn import Done, Outcome, Prefetched, RecentKeys, RoomRules, Turn
from gochat.errors import Denied

TEA = "group:tea"
DM = "dm:ann:bob"


class Bench:
    """A room that takes one turn after the other, and remembers everything as the store would."""

    def __init__(self, room: str = TEA, limits: RoomRules | None = None) -> None:
        self.record = RoomRecord(room=room, room_pk=1)
        self.log: list[facts.AnyFact] = []
        self.keys: dict[tuple[str, str, str], Recorded] = {}
        self.targets: dict[int, Target] = {}
        self.reacted: dict[tuple[int, str, str], Reacted] = {}
        self.limits = limits or RoomRules()
        self.now_ms = 1000

    def turn(self, *wanted: commands.AnyCommand, refusal: Denied | None = None) -> list[Outcome]:
        turn = Turn(self.record, self.keys, Prefetched(self.targets, self.reacted), self.limits, self.now_ms)
        outcomes = [turn.decide(command, refusal) for command in wanted]
        self.record = turn.draft
        self.log += turn.facts
        self.keys |= turn.fresh_keys
        for fact in turn.facts:
            if isinstance(fact, facts.Message):
                self.targets.setdefault(fact.seq, Target(author=fact.sender, ts=fact.ts, body=fact.body))
        return outcomes

    def one(self, command: commands.AnyCommand, refusal: Denied | None = None) -> Outcome:
        return self.turn(command, refusal=refusal)[0]

    def made(self, kind: type[Any], user: str = "ann", **fields: Any) -> Outcome:
        return self.one(kind(room=self.record.room, user=user, **fields))


@pytest.fixture
def tea() -> Bench:
    bench = Bench()
    bench.made(commands.Create, title="Tea", users=("bob", "cat"))
    bench.made(commands.SetRole, member="bob", role="moderator")
    return bench


def code(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, Denied) else "done"


def test_creating_writes_the_owner_then_the_settings_then_the_others() -> None:
    bench = Bench()
    done = bench.made(commands.Create, title="Tea", users=("bob", "ann", "bob"), post="owner")
    assert done == Done(3, 1000)
    first, second, third = bench.log
    assert isinstance(first, facts.Member) and (first.users, first.role, first.title) == (["ann"], "owner", "Tea")
    assert isinstance(second, facts.Group) and second.post == "owner"
    assert isinstance(third, facts.Member) and third.users == ["bob"]


def test_a_name_is_never_given_again(tea: Bench) -> None:
    assert code(tea.made(commands.Create, "dan")) == "conflict"
    assert code(tea.made(commands.Close)) == "done"
    assert code(tea.made(commands.Create, "dan")) == "conflict"


def test_a_dm_is_there_from_the_first_message_on() -> None:
    bench = Bench(DM)
    assert bench.made(commands.Send, body="hi") == Done(1, 1000)
    assert bench.made(commands.Send, "bob", body="ho") == Done(2, 1000)
    assert code(bench.made(commands.Leave)) == "bad_request"


def test_time_never_falls_as_seq_grows() -> None:
    bench = Bench(DM)
    bench.made(commands.Send, body="late")
    bench.now_ms = 10
    assert bench.made(commands.Send, body="the clock was set back") == Done(2, 1000)


def test_one_key_is_one_message_whatever_is_in_the_repeat() -> None:
    bench = Bench(DM)
    first, repeat, other = bench.turn(
        commands.Send(room=DM, user="ann", body="hi", key="k"),
        commands.Send(room=DM, user="ann", body="changed", key="k"),
        commands.Send(room=DM, user="bob", body="mine", key="k"),
    )
    assert (first, repeat, other) == (Done(1, 1000), Done(1, 1000, True), Done(2, 1000))
    assert bench.made(commands.Send, body="again", key="k") == Done(1, 1000, True)
    assert [fact.body for fact in bench.log] == ["hi", "mine"]  # type: ignore[union-attr]


def test_a_recorded_key_is_answered_whatever_would_refuse_it_today(tea: Bench) -> None:
    tea.made(commands.Send, "cat", body="hi", key="k")
    tea.made(commands.Remove, users=("cat",))
    assert code(tea.made(commands.Send, "cat", body="hi", key="k")) == "done"
    assert code(tea.made(commands.Send, "cat", body="hi", key="other")) == "not_member"


def test_the_room_refuses_before_the_rate_does(tea: Bench) -> None:
    slow = Denied("rate_limited", "slow down")
    assert tea.one(commands.Send(room=TEA, user="zoe", body="x"), slow) != slow
    assert tea.one(commands.Send(room=TEA, user="ann", body="x"), slow) == slow
    assert not any(isinstance(fact, facts.Message) for fact in tea.log)


def test_a_message_mentions_members_alone_and_an_edit_has_its_own_mentions(tea: Bench) -> None:
    tea.made(commands.Remove, users=("cat",))
    tea.made(commands.Send, body="@bob @cat @zoe @ann")
    seq = tea.record.head
    tea.made(commands.Add, users=("cat",))
    tea.one(commands.Edit(room=TEA, user="root", admin=True, seq=seq, body="@ann @cat"))
    tea.made(commands.Edit, seq=seq, body="nobody")
    said, _, *edits = tea.log[-4:]
    assert isinstance(said, facts.Message) and said.mentions == ["bob"]
    assert [edit.mentions for edit in edits] == [["cat"], None], "its author is not mentioned, whoever edits"  # type: ignore[union-attr]


def test_in_a_private_room_its_other_user_can_be_mentioned() -> None:
    bench = Bench(DM)
    bench.made(commands.Send, body="@bob @ann @cat")
    bench.made(commands.Send, "bob", body="plain")
    assert [fact.mentions for fact in bench.log] == [["bob"], None]  # type: ignore[union-attr]
    own = Bench("dm:ann:ann")
    own.made(commands.Send, body="@ann")
    assert own.log[0].mentions is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("user", "expected"), [("ann", "done"), ("bob", "forbidden"), ("cat", "forbidden"), ("zoe", "not_found")]
)
@pytest.mark.parametrize(
    "command",
    [
        (commands.SetRole, {"member": "cat", "role": "owner"}),
        (commands.Close, {}),
        (commands.Configure, {"post": "owner"}),
    ],
)
def test_what_only_owners_may(tea: Bench, user: str, expected: str, command: tuple[type[Any], dict[str, Any]]) -> None:
    assert code(tea.made(command[0], user, **command[1])) == expected


@pytest.mark.parametrize(
    ("user", "expected"), [("ann", "done"), ("bob", "done"), ("cat", "forbidden"), ("zoe", "not_found")]
)
@pytest.mark.parametrize(
    "command",
    [(commands.Add, {"users": ("dan",)}), (commands.Configure, {"title": "Coffee"}), (commands.Delete, {"seq": 4})],
)
def test_what_moderators_may(tea: Bench, user: str, expected: str, command: tuple[type[Any], dict[str, Any]]) -> None:
    tea.made(commands.Send, "ann", body="x")
    assert tea.record.head == 4
    assert code(tea.made(command[0], user, **command[1])) == expected


def test_a_moderator_removes_members_only(tea: Bench) -> None:
    tea.made(commands.Add, users=("dan",))
    tea.made(commands.SetRole, member="dan", role="moderator")
    assert code(tea.made(commands.Remove, "bob", users=("ann",))) == "forbidden"
    assert code(tea.made(commands.Remove, "bob", users=("cat", "dan"))) == "forbidden"
    assert "cat" in tea.record.members, "a refused request removes nobody"
    assert code(tea.made(commands.Remove, "bob", users=("cat",))) == "done"


def test_the_last_owner_stays(tea: Bench) -> None:
    assert code(tea.made(commands.Leave)) == "conflict"
    assert code(tea.made(commands.SetRole, member="ann", role="member")) == "conflict"
    assert code(tea.made(commands.Remove, users=("ann",))) == "conflict"
    assert code(tea.made(commands.Leave, successor="zoe")) == "not_found"
    assert code(tea.made(commands.Leave, successor="cat")) == "done"
    assert tea.record.members == {"bob": "moderator", "cat": "owner"}
    assert [getattr(fact, "change", None) for fact in tea.log[-2:]] == ["role", "left"]


def test_what_is_so_already_is_no_fact(tea: Bench) -> None:
    head = tea.record.head
    for outcome in (
        tea.made(commands.Add, users=("bob",)),
        tea.made(commands.Remove, users=("zoe",)),
        tea.made(commands.Configure, title="Tea"),
        tea.made(commands.SetRole, member="bob", role="moderator"),
    ):
        assert isinstance(outcome, Done) and outcome.duplicate
    assert tea.record.head == head


def test_who_may_post_is_the_groups_setting(tea: Bench) -> None:
    tea.made(commands.Configure, post="moderators")
    assert code(tea.made(commands.Send, "cat", body="x")) == "forbidden"
    assert code(tea.made(commands.Send, "bob", body="x")) == "done"
    tea.made(commands.Configure, post="owner")
    assert code(tea.made(commands.Send, "bob", body="x")) == "forbidden"
    assert code(tea.made(commands.Send, "ann", body="x")) == "done"


def test_a_group_has_its_size() -> None:
    bench = Bench(limits=RoomRules(add_users=3, members=4))
    bench.made(commands.Create, users=("b", "c"))
    assert code(bench.made(commands.Add, users=("d", "e", "f", "g"))) == "bad_request"
    assert code(bench.made(commands.Add, users=("d", "e"))) == "conflict"
    assert code(bench.made(commands.Add, users=("b", "d"))) == "done"


def test_a_group_keeps_so_many_mutes_and_bans_and_makes_room_of_those_that_are_over(tea: Bench) -> None:
    tea.record.sanctions = {(f"user{n}", "ban"): None for n in range(MOST_SANCTIONS - 2)}
    for member in ("dan", "dora"):
        assert code(tea.made(commands.Ban, member=member, seconds=1)) == "done"
    assert code(tea.made(commands.Ban, member="eve")) == "conflict"
    assert code(tea.made(commands.Mute, member="cat")) == "conflict"
    assert code(tea.made(commands.Ban, member="user7", seconds=60)) == "done", "it is no more than there were"
    assert code(tea.made(commands.Unban, member="user8")) == "done"
    assert code(tea.made(commands.Ban, member="eve")) == "done"
    tea.now_ms += 2000
    turn = Turn(tea.record, {}, Prefetched(), tea.limits, tea.now_ms)
    assert code(turn.decide(commands.Ban(room=TEA, user="ann", member="fay"), None)) == "done"
    ends = [(each.user, each.on) for each in turn.side_records if isinstance(each, Sanctioned)]
    assert ends == [("dan", False), ("dora", False), ("fay", True)], "replicas and the store are told of each end"
    assert len(turn.draft.sanctions) == MOST_SANCTIONS - 1


def test_an_author_edits_deletes_and_everybody_reacts(tea: Bench) -> None:
    sent = tea.made(commands.Send, "cat", body="one")
    assert isinstance(sent, Done)
    at = {"seq": sent.seq}
    assert code(tea.made(commands.Edit, "ann", **at, body="two")) == "forbidden"
    edited = tea.made(commands.Edit, "cat", **at, body="two")
    assert tea.made(commands.Edit, "cat", **at, body="two") == Done(edited.seq, 1000, True)  # type: ignore[union-attr]
    tea.targets[sent.seq].body = "two"
    reacted = tea.made(commands.React, "bob", **at, emoji="+", on=True)
    assert isinstance(reacted, Done) and not reacted.duplicate
    assert tea.made(commands.React, "bob", **at, emoji="+", on=True) == Done(reacted.seq, 1000, True)
    assert tea.made(commands.React, "ann", **at, emoji="-", on=False) == Done(sent.seq, 1000, True)
    deleted = tea.made(commands.Delete, "cat", **at)
    assert tea.made(commands.Delete, "ann", **at) == Done(deleted.seq, 1000, True)  # type: ignore[union-attr]
    assert code(tea.made(commands.Edit, "cat", **at, body="three")) == "not_found"
    assert code(tea.made(commands.React, "cat", **at, emoji="+", on=True)) == "not_found"
    assert code(tea.made(commands.Delete, "cat", seq=1)) == "not_found", "seq 1 is no message"


def test_a_message_can_be_edited_in_the_batch_that_sends_it() -> None:
    bench = Bench(DM)
    outcomes = bench.turn(
        commands.Send(room=DM, user="ann", body="helo"),
        commands.Edit(room=DM, user="ann", seq=1, body="hello"),
        commands.Edit(room=DM, user="bob", seq=1, body="mine"),
        commands.Edit(room=DM, user="ann", seq=9, body="nothing"),
    )
    assert list(map(code, outcomes)) == ["done", "done", "forbidden", "not_found"]


def test_a_reply_names_what_is_there() -> None:
    bench = Bench(DM)
    assert code(bench.made(commands.Send, body="x", reply_to=1)) == "not_found"
    bench.made(commands.Send, body="x")
    assert code(bench.made(commands.Send, body="y", reply_to=1)) == "done"


def test_an_admin_needs_no_seat(tea: Bench) -> None:
    assert code(tea.made(commands.Send, "zoe", body="x", admin=True)) == "done"
    assert code(tea.made(commands.Close, "zoe", admin=True)) == "done"
    assert code(tea.made(commands.Send, "zoe", body="x", admin=True)) == "not_found"


USERS = st.sampled_from(["ann", "bob", "cat", "dan"])
SEQS = st.integers(1, 12)


BASE: dict[str, Any] = {"room": st.just(TEA), "user": USERS, "admin": st.sampled_from([False] * 5 + [True])}
MANY = st.lists(USERS, max_size=3).map(tuple)
COMMANDS = st.one_of(
    st.builds(commands.Send, **BASE, body=st.sampled_from("xyz"), key=st.sampled_from([None, "k", "l"])),
    st.builds(commands.Edit, **BASE, seq=SEQS, body=st.sampled_from("xyz")),
    st.builds(commands.Delete, **BASE, seq=SEQS),
    st.builds(commands.React, **BASE, seq=SEQS, emoji=st.sampled_from("+-"), on=st.booleans()),
    st.builds(commands.Create, **BASE, title=st.just("T"), users=MANY),
    st.builds(commands.Configure, **BASE, title=st.sampled_from([None, "U"]), post=st.sampled_from([None, "owner"])),
    st.builds(commands.Add, **BASE, users=MANY),
    st.builds(commands.Remove, **BASE, users=MANY),
    st.builds(commands.SetRole, **BASE, member=USERS, role=st.sampled_from(["owner", "member"])),
    st.builds(commands.Leave, **BASE, successor=st.one_of(st.none(), USERS)),
    st.builds(commands.Close, **BASE),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(COMMANDS, min_size=1, max_size=5), max_size=8))
def test_facts_alone_rebuild_the_room(batches: list[list[commands.AnyCommand]]) -> None:
    bench = Bench()
    bench.made(commands.Create, title="T", users=("bob",))
    for batch in batches:
        before = bench.record
        members, former = dict(before.members), set(before.former)
        outcomes = bench.turn(*batch)
        assert (members, former) == (before.members, before.former), "a turn leaves the record it began with alone"
        assert all(isinstance(outcome, Done | Denied) for outcome in outcomes)
    rebuilt = RoomRecord(room=TEA, room_pk=1)
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
    turn = Turn(RoomRecord(room="dm:ann:bob", room_pk=2), keys, Prefetched(), RoomRules(), 1)
    assert turn.recorded("ann", "k") is None
    assert turn.decide(commands.Send(room="dm:ann:bob", user="ann", body="x", key="k")) == Done(1, 1)
