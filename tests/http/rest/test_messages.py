from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.e2e.peer import Peer
from tests.http.rest.conftest import As

OpenPeer = Callable[..., Any]


async def test_a_message_is_created_and_read(as_: As) -> None:
    ann = as_("ann")
    sent = await ann.post("/v1/messages", {"to": "user:bob", "body": "  hi 😀 "})
    assert sent.status == 201
    message = sent.json
    assert message == {
        "type": "message",
        "id": "dm:ann:bob:1",
        "room": "dm:ann:bob",
        "seq": 1,
        "ts": message["ts"],
        "from": "ann",
        "body": "hi 😀",
    }
    assert sent.headers["location"] == "/v1/messages/dm:ann:bob:1"
    for reader in (ann, as_("bob")):
        read = await reader.get(sent.headers["location"])
        assert (read.status, read.json, read.headers["etag"]) == (200, message, sent.headers["etag"])
    assert (await as_("eve").get(sent.headers["location"])).refusal == (404, "not_found")
    assert (await as_("root", ["admin"]).get(sent.headers["location"])).json == message


async def test_both_doors_tell_the_same(as_: As, peer: OpenPeer) -> None:
    bob: Peer = await peer("bob")
    ann = as_("ann")
    await bob.ask("contact", user="ann", action="add")
    sent = (await ann.post("/v1/messages", {"to": "user:bob", "body": "by REST"}, Idempotency_Key="k1")).json
    told = await bob.event("message")
    assert {**told, "id": sent["id"]} == sent
    ack = await bob.ask("send", to="user:ann", body="by socket", key="k2", reply_to=1)
    read = (await ann.get(f"/v1/messages/{ack['room']}:{ack['seq']}")).json
    told = await bob.event("message")
    assert {**told, "id": "dm:ann:bob:2"} == read
    page = (await ann.get("/v1/messages", room="dm:ann:bob")).json
    socket_page = await bob.ask("history", room="dm:ann:bob")
    assert [{**fact, "id": f"dm:ann:bob:{fact['seq']}"} for fact in socket_page["entries"]] == page["entries"]
    assert (page["epoch"], page["head"]) == (socket_page["epoch"], 2)


@pytest.mark.parametrize("again", ["k 1", '"k 1"'])
async def test_a_repeated_key_answers_the_same_message(as_: As, peer: OpenPeer, again: str) -> None:
    ann = as_("ann")
    first = await ann.post("/v1/messages", {"to": "user:bob", "body": "once"}, Idempotency_Key='"k 1"')
    assert "idempotent-replayed" not in first.headers
    await ann.post("/v1/messages", {"to": "user:bob", "body": "between"})
    repeat = await ann.post("/v1/messages", {"to": "user:bob", "body": "another body"}, Idempotency_Key=again)
    assert (repeat.status, repeat.json, repeat.headers["idempotent-replayed"]) == (201, first.json, "true")
    assert repeat.headers["location"] == first.headers["location"]
    socket: Peer = await peer("ann")
    ack = await socket.ask("send", to="user:bob", body="x", key="k 1")
    assert (ack["seq"], ack["duplicate"]) == (1, True)
    other = await as_("bob").post("/v1/messages", {"to": "user:ann", "body": "mine"}, Idempotency_Key="k 1")
    assert other.json["seq"] == 3, "a key is its sender's"


async def test_a_burst_of_repeats_is_one_message(as_: As) -> None:
    answers = []

    async def one() -> None:
        answers.append(await as_("ann").post("/v1/messages", {"to": "user:bob", "body": "x"}, Idempotency_Key="k"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(one)
    assert {answer.json["id"] for answer in answers} == {"dm:ann:bob:1"}
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 9


async def test_a_recorded_key_answers_whoever_left_but_tells_a_body_only_to_readers(as_: As) -> None:
    ann, bob = as_("ann"), as_("bob")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})
    sent = (await bob.post("/v1/messages", {"to": "group:tea", "body": "bye"}, Idempotency_Key="k")).json
    await bob.delete("/v1/groups/tea/users/bob")
    repeat = await bob.post("/v1/messages", {"to": "group:tea", "body": "bye"}, Idempotency_Key="k")
    assert (repeat.status, repeat.json) == (201, sent), "who left may still read what was said until then"
    blind = await as_("bob", ["chat:write"]).post(
        "/v1/messages", {"to": "group:tea", "body": "bye"}, Idempotency_Key="k"
    )
    del sent["body"]
    assert (blind.status, blind.json) == (201, sent)
    fresh = await bob.post("/v1/messages", {"to": "group:tea", "body": "bye"}, Idempotency_Key="other")
    assert fresh.refusal == (403, "not_member")


async def test_a_key_of_a_wrong_form(as_: As) -> None:
    ann = as_("ann")
    for key in ('""', "k" * 65, "k\tk", "é"):
        sent = await ann.post("/v1/messages", {"to": "user:bob", "body": "x"}, Idempotency_Key=key)
        assert sent.refusal == (400, "bad_request"), key
    assert (await ann.get("/v1/messages", room="dm:ann:bob")).json["head"] == 0


async def test_paging_in_both_directions(as_: As) -> None:
    ann = as_("ann")
    for number in range(1, 8):
        await ann.post("/v1/messages", {"to": "user:ann", "body": str(number)})

    async def walk(path: str) -> list[list[int]]:
        pages = []
        while path:
            answer = await ann("GET", path)
            pages.append([fact["seq"] for fact in answer.json["entries"]])
            path = answer.next if "link" in answer.headers else ""
        return pages

    assert await walk("/v1/messages?room=dm:ann:ann&limit=3") == [[5, 6, 7], [2, 3, 4], [1]]
    assert await walk("/v1/messages?room=dm:ann:ann&limit=3&before=6") == [[3, 4, 5], [1, 2]]
    assert await walk("/v1/messages?room=dm:ann:ann&limit=3&after=0") == [[1, 2, 3], [4, 5, 6], [7]]
    assert await walk("/v1/messages?room=dm%3Aann%3Aann&limit=3&after=7") == [[]]
    both = await ann.get("/v1/messages", room="dm:ann:ann", before=3, after=1)
    assert both.refusal == (400, "bad_request")


async def test_edit_and_delete_with_tags(as_: As, peer: OpenPeer) -> None:
    ann, bob = as_("ann"), as_("bob")
    listening: Peer = await peer("bob")
    await listening.ask("contact", user="ann", action="add")
    sent = await ann.post("/v1/messages", {"to": "user:bob", "body": "one"})
    path, tag = sent.headers["location"], sent.headers["etag"]
    unchanged = await bob("GET", path, headers={"If-None-Match": f'W/{tag}, "other"'})
    assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", tag)

    edited = await ann.patch(path, {"body": "two"}, If_Match=tag)
    assert edited.status == 200
    assert (edited.json["body"], edited.json["edited"]) == ("two", edited.json["edited"])
    assert edited.headers["etag"] != tag
    assert (await listening.event("edit"))["body"] == "two"
    assert (await ann.patch(path, {"body": " "}, If_Match=tag)).refusal == (400, "bad_request"), "its form is first"
    stale = await ann.patch(path, {"body": "three"}, If_Match=tag)
    assert (stale.refusal, stale.headers["etag"]) == ((412, "conflict"), edited.headers["etag"])
    assert (await ann.patch(path, {"body": "three"}, If_Match=f"W/{edited.headers['etag']}")).status == 412
    for malformed in ("a", '"a" "b"', "*, *", '"a'):
        assert (await ann.patch(path, {"body": "x"}, If_Match=malformed)).refusal == (400, "bad_request"), malformed
    assert (await ann.patch(path, {"body": "two"}, If_Match=f'"a", {edited.headers["etag"]}')).status == 200
    forced = await ann("PATCH", path, {"body": "three"}, headers={"If-Match": "*", "If-None-Match": "*"})
    assert (forced.status, forced.json["body"]) == (200, "three"), "304 is for reading alone"
    assert (await bob.patch(path, {"body": "mine"})).refusal == (403, "forbidden")

    assert (await ann.delete(path, If_Match=tag)).refusal == (412, "conflict")
    assert (await bob.delete(path)).refusal == (403, "forbidden")
    for _ in range(2):
        gone = await ann.delete(path)
        assert (gone.status, gone.body) == (204, b"")
    shown = (await bob.get(path)).json
    assert "body" not in shown and shown["deleted"]
    assert (await ann.patch(path, {"body": "back"})).refusal == (404, "not_found")


async def test_what_is_no_message(as_: As) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea"})
    for seq in (1, 2, 17179869183):
        path = f"/v1/messages/group:tea:{seq}"
        assert (await ann.get(path)).refusal == (404, "not_found")
        assert (await ann.patch(path, {"body": "x"})).refusal == (404, "not_found")
        assert (await ann.delete(path)).refusal == (404, "not_found")


async def test_what_came_before_one_joined(as_: As) -> None:
    ann, bob = as_("ann"), as_("bob")
    await ann.post("/v1/groups", {"name": "tea", "history": "since_join"})
    before = (await ann.post("/v1/messages", {"to": "group:tea", "body": "before"})).headers["location"]
    await ann("PUT", "/v1/groups/tea/users/bob")
    after = (await ann.post("/v1/messages", {"to": "group:tea", "body": "after"})).headers["location"]
    assert (await bob.get(before)).refusal == (404, "not_found")
    assert (await bob.get(after)).json["body"] == "after"
    page = await bob.get("/v1/messages", room="group:tea")
    assert [fact["seq"] for fact in page.json["entries"]] == [4, 5]
    assert (await bob("GET", page.next)).json["entries"] == []


async def test_who_may_not(as_: As) -> None:
    ann, bob, eve = as_("ann"), as_("bob"), as_("eve")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})
    sent = await ann.post("/v1/messages", {"to": "group:tea", "body": "x"})
    await ann.delete("/v1/groups/tea/users/bob")
    path = sent.headers["location"]
    for who, refusal in ((bob, (403, "not_member")), (eve, (404, "not_found"))):
        assert (await who.post("/v1/messages", {"to": "group:tea", "body": "x"})).refusal == refusal
        assert (await who.patch(path, {"body": "y"})).refusal == refusal
        assert (await who.delete(path)).refusal == refusal
    assert (await eve.get("/v1/messages", room="group:tea")).refusal == (404, "not_found")
    assert (await eve.get(path)).refusal == (404, "not_found")
    assert (await bob.get("/v1/messages", room="group:tea")).json["head"] == 4, "up to where bob's time ended"
    assert (await bob.get(path)).json["body"] == "x"
    assert (await eve.get("/v1/messages", room="dm:ann:bob")).refusal == (404, "not_found")
    assert (await eve.post("/v1/messages", {"to": "dm:ann:bob", "body": "x"})).refusal == (404, "not_found")


REFUSED: list[tuple[Any, tuple[int, str]]] = [
    ({"to": "bob", "body": "x"}, (400, "bad_request")),
    ({"to": "user:Bob", "body": "x"}, (400, "bad_request")),
    ({"to": "dm:bob:ann", "body": "x"}, (400, "bad_request")),
    ({"to": "user:bob", "body": "  "}, (400, "bad_request")),
    ({"to": "user:bob", "body": "a\0b"}, (400, "bad_request")),
    ({"to": "user:bob", "body": "x" * 4001}, (413, "too_large")),
    ({"to": "user:bob", "body": "x", "reply_to": 0}, (400, "bad_request")),
    ({"to": "user:bob", "body": "x", "reply_to": 9}, (404, "not_found")),
    ({"to": "user:bob", "body": "x", "key": "in the header"}, (400, "bad_request")),
    ({"to": "group:none", "body": "x"}, (404, "not_found")),
]


async def test_what_can_not_be_sent(as_: As) -> None:
    ann = as_("ann")
    for body, refusal in REFUSED:
        assert (await ann.post("/v1/messages", body)).refusal == refusal, body


async def test_a_writer_that_may_not_read(as_: As) -> None:
    """Changes are carried out; what reading would have told is not told."""
    bot = as_("bot", ["chat:write"])
    sent = await bot.post("/v1/messages", {"to": "user:bob", "body": "x"}, Idempotency_Key="k")
    assert sent.json["body"] == "x", "it knows what it sent"
    repeat = await bot.post("/v1/messages", {"to": "user:bob", "body": "x"}, Idempotency_Key="k")
    assert (repeat.status, "body" in repeat.json, repeat.json["id"]) == (201, False, sent.json["id"])
    edited = await bot.patch(sent.headers["location"], {"body": "y"})
    assert (edited.status, edited.body) == (204, b"")
    assert (await bot.patch(sent.headers["location"], {"body": "z"}, If_Match="*")).refusal == (403, "forbidden")
    assert (await as_("bob").get(sent.headers["location"])).json["body"] == "y"


async def test_mentions_and_receipts_are_told_as_on_a_socket(as_: As, peer: OpenPeer) -> None:
    ann, bob = as_("ann"), as_("bob")
    socket: Peer = await peer("bob")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})
    sent = (await ann.post("/v1/messages", {"to": "group:tea", "body": "@bob @zoe"})).json
    told = await socket.event("message")
    assert sent["mentions"] == told["mentions"] == ["bob"]
    assert (await as_("ann", ["chat:write"]).post("/v1/messages", {"to": "group:tea", "body": "@bob"})).status == 201
    (group,) = (await bob.get("/v1/groups")).json["groups"]
    assert (group["unread"], group["mentions"], group["reads"]) == (2, 2, {"ann": 4})
    page = (await bob.get("/v1/messages", room="group:tea")).json
    assert page["reads"] == {"ann": 4} and "got" not in page
    edited = await ann.patch("/v1/messages/group:tea:3", {"body": "nobody"})
    assert "mentions" not in edited.json
    (group,) = (await bob.get("/v1/groups")).json["groups"]
    assert group["mentions"] == 1
    assert (await ann("PUT", "/v1/contacts/bob")).status == 200
    await socket.ask("send", to="user:ann", body="@ann")
    (contact,) = (await ann.get("/v1/contacts")).json["contacts"]
    assert (contact["unread"], contact["mentions"]) == (1, 1)
    assert "reads" not in contact, "bob does not let ann write"
