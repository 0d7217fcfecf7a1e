"""Users on any of three nodes talk as on one."""

from __future__ import annotations

import pytest
import trio

from gochat.cluster import faults
from gochat.cluster.journal import ClusterJournal
from gochat.domain.side_records import Suspended
from tests.cluster.town import PATIENCE_S, Town, facts_of


async def test_users_on_different_nodes_talk(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    for n in range(5):
        assert (await ann.ask("send", to="user:bob", body=f"a{n}"))["seq"] == 2 * n + 1
        assert (await bob.ask("send", to="user:ann", body=f"b{n}"))["seq"] == 2 * n + 2
    said = [(2 * n + 1 + who, f"{'ab'[who]}{n}") for n in range(5) for who in (0, 1)]
    assert facts_of(await ann.facts("dm:ann:bob", 10)) == said
    assert facts_of(await bob.facts("dm:ann:bob", 10)) == said
    page = (await town.rest("west", "ann")("GET", "/v1/messages?room=dm:ann:bob")).json
    assert facts_of(page["entries"]) == said


async def test_the_journal_knows_whether_anybody_is_signed_in(town: Town) -> None:
    """Then no message may be late, and its naps are short."""
    journal = town.nodes["west"].gateway.journal
    assert isinstance(journal, ClusterJournal)
    has_listeners = journal._teller.has_listeners
    assert not has_listeners()
    cat = await town.peer("west", "cat")
    assert has_listeners()
    await cat.aclose()
    with trio.fail_after(PATIENCE_S):
        while has_listeners():  # noqa: ASYNC110 -- nothing tells
            await trio.sleep(0.01)


async def test_a_refusal_by_state_knows_what_was_acked_elsewhere(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    town.server.strike(faults.Slow(node="south", delay_s=0.02))
    for n in range(5):
        assert (await ann.ask("group", name=f"g{n}", action="create", users=["bob"]))["type"] == "ok"
        assert (await bob.ask("send", to=f"group:g{n}", body="here I am"))["type"] == "ack"


@pytest.mark.parametrize("kind", ["read", "got"])
async def test_a_position_is_capped_at_what_was_acked_elsewhere(town: Town, kind: str) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("contact", user="bob", action="add")
    await bob.ask("contact", user="ann", action="add")
    town.server.strike(faults.Slow(node="south", delay_s=0.02))
    await ann.ask("send", to="user:bob", body="hi")
    assert (await bob.ask(kind, room="dm:ann:bob", seq=99))["type"] == "ok"
    event = await ann.event(kind)
    assert (event["seq"] if kind == "read" else event["got"]["bob"]) == 1


async def test_a_suspended_user_is_out_on_every_node(town: Town) -> None:
    bob = await town.peer("south", "bob")
    await bob.ask("ping")
    admin = town.rest("north", "root", "chat:read", "chat:write", "admin")
    answer = await admin("PUT", "/v1/admin/suspensions/bob", {"reason": "spam"})
    assert answer.status < 300, answer.body
    assert await bob.closed() == 4503
    with pytest.raises(AssertionError, match="suspended"):
        await town.peer("west", "bob")


async def test_an_admin_is_answered_though_a_session_can_not_be_closed(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else would tell the one who asked, and everybody who suspends somebody waits for that."""

    def fail(record: Suspended) -> None:
        raise RuntimeError(f"{record.user} can't be told")

    monkeypatch.setattr(town.nodes["north"].gateway.journal._teller, "stood", fail)  # type: ignore[attr-defined]
    admin = town.rest("north", "root", "chat:read", "chat:write", "admin")
    with trio.fail_after(PATIENCE_S):
        for user in ("bob", "cat"):
            answer = await admin("PUT", f"/v1/admin/suspensions/{user}", {"reason": "spam"})
            assert answer.status < 300, answer.body
    assert "could not be handed on" in caplog.text


async def test_a_node_that_is_put_out_serves_nobody(town: Town) -> None:
    bob, rest = await town.peer("south", "bob"), town.rest("south", "bob")
    assert (await rest("GET", "/v1/me")).status == 200
    await town.nodes["north"].gateway.journal.forget("south")  # type: ignore[attr-defined]
    assert await bob.closed() == 4000
    assert (await rest("GET", "/v1/me")).refusal == (503, "unavailable")
    with pytest.raises(AssertionError, match="unavailable"):
        await town.peer("south", "bob")
    assert next(check.problem for check in town.nodes["south"].readiness() if check.name == "behind")


async def test_a_node_that_was_away_has_everything_when_it_is_back(town: Town) -> None:
    ann = await town.peer("north", "ann")
    await ann.ask("send", to="user:bob", body="one")
    await town.stop("south")
    for n in range(3):
        assert (await ann.ask("send", to="user:bob", body=f"more {n}"))["type"] == "ack"
    await town.start("south")
    bob = await town.peer("south", "bob")
    (contact,) = bob.welcome["contacts"]
    assert (contact["head"], contact["unread"]) == (4, 4)


async def test_nothing_is_lost_when_the_log_forgets_everything(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    sent = 0
    for restarted in (False, True):
        for n in range(5):
            assert (await ann.ask("send", to="user:bob", body=f"{sent + n + 1}"))["type"] == "ack"
        sent += 5
        town.server.strike(faults.EverythingLost(restarted=restarted))
        ack = await ann.ask("send", to="user:bob", body=f"{sent + 1}")
        while ack["type"] == "error":
            assert ack["code"] == "unavailable", ack
            ack = await ann.ask("send", to="user:bob", body=f"{sent + 1}")
        sent += 1
    told = await bob.facts("dm:ann:bob", sent)
    assert [int(frame["body"]) for frame in told] == sorted(range(1, sent + 1))
    page = (await town.rest("west", "ann")("GET", "/v1/messages?room=dm:ann:bob")).json
    assert [frame["body"] for frame in page["entries"]] == [frame["body"] for frame in told]


async def test_read_positions_and_names_are_known_everywhere(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("contact", user="bob", action="add")
    for n in range(3):
        await ann.ask("send", to="user:bob", body=f"m{n}")
    await bob.facts("dm:ann:bob", 3)
    await bob.ask("read", room="dm:ann:bob", seq=2)
    elsewhere = await town.peer("west", "bob")
    (contact,) = elsewhere.welcome["contacts"]
    assert contact["unread"] == 1, "the first that is noted leaves at once"
