"""The commands as processes, against a real node: what they print, and how they end."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.errors import REVOKED
from gochat.node import Node
from tests.client.command import ROOT, gochat, names, notes, running, shell
from tests.client.conftest import Start, enter
from tests.client.peer import TEA, Peer, listed, message
from tests.tokens import issue

# ---------------------------------------------------------------------------------------------- send


async def test_send_says_where_the_message_stands(node: Node) -> None:
    ran = await gochat(node, "send", "user:bob", "hi", "there", "--as", "ann")
    assert ran == (0, "user:bob #1\n", "* nobody has signed in as bob yet\n")
    sent = await gochat(node, "send", "user:bob", "--json", "--reply-to", "1", "--as", "ann", text="two\nlines\n")
    ack = json.loads(sent.out)
    assert (ack["type"], ack["room"], ack["seq"]) == ("ack", "dm:ann:bob", 2)
    assert (await gochat(node, "send", "user:bob", "-", "--as", "ann", text="as usual\n")).out == "user:bob #3\n"
    async with enter(node, "bob") as bob:
        entries: list[Any] = (await bob.page("user:ann")).entries
    assert [(each.body, each.reply_to) for each in entries] == [
        ("hi there", None),
        ("two\nlines", 1),
        ("as usual", None),
    ]


async def test_a_key_makes_repeats_one_message(node: Node) -> None:
    for _ in range(2):
        assert (await gochat(node, "send", "user:bob", "hi", "--key", "k", "--as", "ann")).out == "user:bob #1\n"


async def test_a_recorded_message_is_no_failure_whatever_the_token_may_read(node: Node) -> None:
    ran = await gochat(node, "send", "user:bob", "hi", GOCHAT_TOKEN=issue(node, "ann", ["chat:write"]))
    assert ran == (0, "user:bob #1\n", "")


@pytest.mark.parametrize("by", [signal.SIGTERM, None])
async def test_the_end_of_a_session_after_the_ack_is_no_failure(peer: Peer, by: signal.Signals | None) -> None:
    async with running(peer.url, "send", "user:bob", "hi") as sending:
        visit = await peer.visit()
        await visit.welcome()
        await visit.ack(await visit.expect("send"))
        await visit.expect("search")
        if by is None:
            end = {"code": "unauthorized", "message": "revoked", "temporary": False, "close": REVOKED}
            await visit.send({"type": "error", **end})
            await visit.close()
        assert await sending.ends(by) == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["group:none", "hi", "--as", "ann"], 1, "(not_found)"),
        (["user:bob", "x" * 4_001, "--as", "ann"], 1, "(too_large)"),
        (["user:bob", "hi", "--token", "nonsense"], 4, "(unauthorized)"),
        (["user:bob", "hi", "--token", "non sense"], 4, "characters that no token has"),
        (["user:bob", "hi", "--token", "töken"], 4, "hint: `gochat token issue USER`"),
        (["bob", "hi", "--as", "ann"], 2, "did you mean user:bob?"),
        (["user:bob", " ", "--as", "ann"], 2, "no text"),
        (["user:bob", "hi"], 2, "who are you?"),
        (["user:bob", "hi", "--as", "ann", "--token", "t"], 2, "use one"),
        (["user:bob", "hi", "--as", "ann", "--url", "http://x"], 2, "the URL must be"),
        (["user:bob", "hi", "--as", "ann", "--url", "ws://127.0.0.1:1"], 5, "refused"),
        (["user:bob", "hi", "--as", "ann", "--url", "ws://host/?token=SECRET"], 2, "a token goes beside it"),
    ],
)
async def test_the_exit_code_tells_the_kind_of_refusal(node: Node, words: list[str], code: int, says: str) -> None:
    ran = await gochat(node, "send", *words)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert "SECRET" not in ran.err


async def test_what_is_refused_for_now_has_a_code_of_its_own(start: Start) -> None:
    async with start(messages_per_s=0.02) as node, enter(node, "ann") as ann:
        await ann.send("user:bob", "one")
        ran = await gochat(node, "send", "user:bob", "two", "--wait", "0", "--as", "ann")
        assert (ran.code, "rate_limited" in ran.err) == (75, True)


async def test_what_is_refused_for_now_is_waited_for(start: Start) -> None:
    async with start(messages_per_s=0.5) as node, enter(node, "ann") as ann:
        await ann.send("user:bob", "one")
        assert (await gochat(node, "send", "user:bob", "two", "--as", "ann")).out == "user:bob #2\n"


# ---------------------------------------------------------------------------------------------- chat


async def test_chat_in_a_pipe(node: Node) -> None:
    ran = await gochat(node, "chat", "user:bob", "--as", "ann", text="hello\n/history\n")
    assert ran.code == 0
    assert "user:bob #1 ann: hello" in ran.out
    assert "* signed in as ann" in ran.err


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_chat_tells_that_it_was_interrupted(node: Node, by: signal.Signals) -> None:
    async with running(node, "chat", "user:bob", "--as", "ann") as ann:
        await ann.prints("writing to user:bob")
        async with enter(node, "bob") as bob:
            await bob.send("user:ann", "\x1b]0;owned\x07")
        await ann.prints("bob: ]0;owned\n")
        await ann.type("bye")
        await ann.prints("ann: bye")
        assert await ann.ends(by) == 130
        await ann.prints("* the rest of the input was not read, from line 2 on\n")


async def test_chat_comes_back_when_the_node_does(start: Start) -> None:
    async with start() as node, running(node, "chat", "user:ann", "--as", "ann") as ann:
        await ann.prints("writing to user:ann")
        for session in list(node.gateway.sessions.values()):
            session.close(4000, "draining")
        await ann.prints("* connection lost")
        await ann.prints("* connected again")
        await ann.type("still here")
        await ann.prints("ann: still here")
        await ann.type("/quit")
        assert await ann.ends() == 0


async def test_a_server_that_is_not_there_is_explained() -> None:
    ran = await gochat("ws://127.0.0.1:1/v1/ws", "chat", "user:bob")
    assert ran.code == 5
    assert ran.err.startswith("gochat: can't reach ws://127.0.0.1:1/v1/ws: ")


async def test_a_refused_line_of_a_pipe_is_told_by_the_exit_status(strict: Node) -> None:
    ran = await gochat(strict, "chat", "user:ann", "--as", "ann", text="see https://spam.example/\nfine\n")
    assert ran.code == 1
    assert "* not done: links to other sites are not allowed here" in ran.err
    assert "* 1 message not sent:\n  1 to user:ann: see https://spam.example/" in ran.err
    async with enter(strict, "ann") as ann:
        entries: list[Any] = (await ann.page("user:ann")).entries
    assert [entry.body for entry in entries] == ["fine"]


@pytest.mark.parametrize("text", ["/nope\n", "/delete 99\n"])
async def test_a_command_that_fails_in_a_pipe_is_told_by_the_exit_status(node: Node, text: str) -> None:
    assert (await gochat(node, "chat", "user:ann", "--as", "ann", text=text)).code == 1


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_chat_tells_what_it_has_not_sent(start: Start, by: signal.Signals) -> None:
    async with start(messages_per_s=0.02) as node, running(node, "chat", "user:ann", "--as", "ann") as ann:
        await ann.type("one")
        await ann.prints("ann: one")
        await ann.type("two")
        await ann.prints("* the server takes the next message in")
        assert await ann.ends(by) == 130
        await ann.prints("* 1 message not sent:\n  2 to user:ann: two [waits]")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
async def test_a_pipe_that_is_interrupted_before_the_sign_in_says_so(peer: Peer, by: signal.Signals) -> None:
    async with running(peer.url, "chat", TEA) as chat:
        await chat.type("deployed")
        visit = await peer.visit()
        await visit.expect("hello")
        assert await chat.ends(by) == 130
        await chat.prints("* interrupted before the sign-in: nothing of the input was read\n")


async def test_an_interrupted_pipe_tells_where_its_reading_ended(start: Start) -> None:
    async with start(messages_per_s=0.02) as node, running(node, "chat", "user:ann", "--as", "ann") as ann:
        await ann.type("\n".join(f"L{number}" for number in range(1, 211)))
        await ann.prints("* the server takes the next message in")
        assert await ann.ends(signal.SIGINT) == 130
        await ann.prints("* 200 messages not sent:\n  2 to user:ann: L2 [waits]")
        await ann.prints(
            "L201 [waits]\n* line 202 not sent: L202\n* the rest of the input was not read, from line 203 on\n"
        )


async def test_an_interrupted_pipe_tells_the_command_that_was_broken_off(peer: Peer) -> None:
    async with running(peer.url, "chat", TEA) as chat:
        await chat.type("/delete 1")
        visit = await peer.visit()
        await visit.welcome(listed(1))
        await visit.expect("delete")
        assert await chat.ends(signal.SIGTERM) == 130
        await chat.prints("* line 1 was broken off, and may have been done: /delete 1\n")


@pytest.mark.parametrize("words", [["chat", "user:ann"], ["send", "user:ann"]])
async def test_closed_standard_input_is_explained(node: Node, words: list[str]) -> None:
    ran = await shell(node, f"{sys.executable} -m gochat {' '.join(words)} --as ann <&-")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith("gochat: standard input is closed\nhint: `< /dev/null` is an empty one\n")


@pytest.mark.parametrize("words", ["send user:ann hi", "tail user:ann --from 1", "contact list", "--help"])
async def test_a_full_standard_output_is_explained(node: Node, words: str) -> None:
    async with enter(node, "ann") as ann:
        await notes(ann, 1)
        await ann.add_contact("bob")
    who = "" if words == "--help" else " --as ann"
    ran = await shell(node, f"{sys.executable} -m gochat {words}{who} >/dev/full")
    recorded = "* the message is recorded: user:ann #2\n" if words.startswith("send") else ""
    assert ran.code == 1
    assert ran.err == f"{recorded}gochat: standard output can't be written: no space left on device\n"


@pytest.mark.parametrize(
    "words", ["send user:ann hi", "send user:ann hi --json", "tail user:ann --from 1 --limit 1 --json"]
)
async def test_closed_standard_output_gives_no_socket_its_place(node: Node, words: str) -> None:
    async with enter(node, "ann") as ann:
        await notes(ann, 1)
    ran = await shell(node, f"{sys.executable} -m gochat {words} --as ann >&-")
    assert (ran.code, ran.err) == (0, "")


async def test_closed_standard_error_is_no_fault(node: Node, tmp_path: Path) -> None:
    async with enter(node, "ann") as ann:
        await notes(ann, 1)
    file = tmp_path / "notes.jsonl"
    ran = await shell(node, f"{sys.executable} -m gochat room export user:ann {file} --as ann 2>&-")
    assert (ran.code, ran.out, len(file.read_text().splitlines())) == (0, "", 1)


async def test_a_remark_that_finds_no_room_changes_nothing(node: Node) -> None:
    ran = await shell(node, f"{sys.executable} -m gochat send user:bob hi --as ann 2>/dev/full")
    assert (ran.code, ran.out) == (0, "user:bob #1\n")
    ran = await shell(
        node, rf"printf 'one\ntwo\n/history\n' | {sys.executable} -m gochat chat user:bob --as ann 2>/dev/full"
    )
    assert ran.code == 0
    assert ("ann: one" in ran.out, "ann: two" in ran.out) == (True, True)


async def test_text_that_is_not_utf_8_is_explained(node: Node) -> None:
    ran = await shell(node, rf"printf 'caf\351\n' | {sys.executable} -m gochat send user:ann --as ann")
    assert (ran.code, ran.out) == (2, "")
    assert "standard input is not UTF-8, from byte 4 on" in ran.err
    ran = await shell(node, rf"printf 'one\ncaf\351\n' | {sys.executable} -m gochat chat user:ann --as ann")
    assert ran.code == 1
    assert "* not sent: line 2: byte 4 of the line is not UTF-8" in ran.err


# ---------------------------------------------------------------------------------------------- tail


async def test_tail_ends_with_the_reader_of_its_output(node: Node) -> None:
    async with enter(node, "ann") as ann:
        await notes(ann, 1)
    # Nothing more is said: no write tells that the reader has gone.
    ran = await shell(node, f"{sys.executable} -m gochat tail user:ann --from 1 --json --as ann | head -1")
    assert json.loads(ran.out)["seq"] == 1
    assert ran.err == ""


async def test_tail_prints_facts_as_json_until_the_limit(node: Node) -> None:
    async with enter(node, "ann") as ann:
        await notes(ann, 5)
        await ann.create_group("tea")
    ran = await gochat(node, "tail", "user:ann", "--from", "2", "--limit", "3", "--json", "--as", "ann")
    facts = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert [(fact["seq"], fact["body"], fact["from"]) for fact in facts] == [
        (seq, f"note {seq}", "ann") for seq in (2, 3, 4)
    ]


async def test_tail_follows_and_ends_well_when_it_is_interrupted(node: Node) -> None:
    async with enter(node, "ann") as ann:
        await notes(ann, 1)
        async with running(node, "tail", "user:ann", "--from", "1", "--as", "ann") as tail:
            await tail.prints("ann: note 1\n")
            await ann.create_group("tea")  # not asked for
            await ann.send("user:ann", "new")
            await tail.prints("ann: new\n")
            assert await tail.ends(signal.SIGINT) == 0
    assert "tea" not in tail.out


async def test_tail_from_beyond_the_head_waits_and_claims_no_rollback(node: Node) -> None:
    async with enter(node, "ann") as ann:
        await notes(ann, 1)
        async with running(node, "tail", "user:ann", "--from", "3", "--limit", "1", "--as", "ann") as tail:
            await tail.prints("* user:ann ends at #1 so far; waiting\n")
            await notes(ann, 3)
            await tail.prints("#3 ann: note 3\n")
            assert await tail.ends() == 0
    assert "note 2" not in tail.out
    assert "earlier state" not in tail.out


async def test_tail_of_a_room_that_can_not_be_read_fails(node: Node) -> None:
    ran = await gochat(node, "tail", "group:none", "--as", "ann")
    assert (ran.code, ran.out) == (1, "")
    assert "not_found" in ran.err


async def test_tail_prints_requests(strict: Node) -> None:
    async with (
        running(strict, "tail", "--json", "--as", "bob") as tail,
        running(strict, "tail", "--as", "bob") as plain,
    ):
        await until_online(strict, "bob", 2)
        async with enter(strict, "ann") as ann:
            await ann.send("user:bob", "hi")
        await tail.prints("\n")
        request = json.loads(tail.out)
        assert (request["type"], request["user"], request["last"]["body"]) == ("request", "ann", "hi")
        await plain.prints('user:ann #1 ann wants to write to you: "hi"\n')
        assert await tail.ends(signal.SIGINT) == 0


async def until_online(node: Node, user: str, sessions: int) -> None:
    with trio.fail_after(60):
        while len(node.gateway.live.users.get(user, ())) < sessions:
            await trio.sleep(0.01)


# ---------------------------------------------------------------------------------------------- room export


async def test_export_writes_the_whole_log(node: Node, tmp_path: Path) -> None:
    async with enter(node, "ann", "tcp") as ann:
        await notes(ann, 450)
        await ann.delete("user:ann", 1)
    file = tmp_path / "notes.jsonl"
    ran = await gochat(node, "room", "export", "user:ann", str(file), "--as", "ann")
    assert (ran.code, ran.out, ran.err) == (0, "", "451 facts exported\n")
    facts = [json.loads(line) for line in file.read_text().splitlines()]
    assert [fact["seq"] for fact in facts] == list(range(1, 452))
    assert "body" not in facts[0]
    assert names(tmp_path) == ["notes.jsonl"]
    assert (await gochat(node, "room", "export", "user:ann", "-", "--as", "ann")).out == file.read_text()


async def test_an_export_that_fails_leaves_what_was_there(node: Node, tmp_path: Path) -> None:
    file = tmp_path / "tea.jsonl"
    file.write_text("the last one")
    ran = await gochat(node, "room", "export", "group:tea", str(file), "--as", "mallory")
    assert (ran.code, "not_found" in ran.err) == (1, True)
    assert names(tmp_path) == ["tea.jsonl"]
    assert file.read_text() == "the last one"
    ran = await gochat(node, "room", "export", "user:ann", str(tmp_path / "none" / "x"), "--as", "ann")
    assert (ran.code, "no such file" in ran.err) == (1, True)


async def test_an_export_that_is_interrupted_leaves_nothing(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "tea.jsonl"
    async with running(peer.url, "room", "export", TEA, str(file)) as export:
        visit = await peer.visit()
        await visit.welcome(listed(9))
        request = await visit.expect("history")
        entries = [message(1), message(2)]
        await visit.reply(request, "page", room=TEA, epoch="e1", entries=entries, head=9, complete=True)
        await visit.expect("history")
        assert await export.ends(signal.SIGINT) == 130
    assert names(tmp_path) == []


async def test_an_export_ends_where_the_log_did_when_it_began(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "tea.jsonl"
    async with running(peer.url, "room", "export", TEA, str(file)) as export:
        visit = await peer.visit()
        await visit.welcome(listed(3))
        for seqs, head in (((1, 2), 3), ((3, 4), 4)):
            entries = [message(seq) for seq in seqs]
            request = await visit.expect("history")
            await visit.reply(request, "page", room=TEA, epoch="e1", entries=entries, head=head, complete=True)
        assert await export.ends() == 0
    assert [json.loads(line)["seq"] for line in file.read_text().splitlines()] == [1, 2, 3]


# ---------------------------------------------------------------------------------------------- contact


async def test_the_state_that_a_server_tells_moves_no_cursor(peer: Peer) -> None:
    async with running(peer.url, "contact", "add", "bob") as adding:
        visit = await peer.visit()
        await visit.welcome()
        await visit.reply(await visit.expect("contact"), "ok", state="contact\x1b]0;owned\x07")
        await adding.prints("user:bob contact\\x1b]0;owned\\x07\n")
        assert await adding.ends() == 0


# ---------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("command", ["admin", "chat", "contact", "room", "send", "tail"])
async def test_help_does_not_wait_for_the_network_libraries(command: str) -> None:
    code = f"import gochat.commands.{command}, sys; sys.exit('trio' in sys.modules)"
    with trio.fail_after(60):
        await trio.run_process([sys.executable, "-c", code], cwd=ROOT)
