"""The rules for every operation: tokens, scopes, sizes, forms, paths."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

import msgspec
import pytest
import trio

from gochat.actors.user import UserActor
from gochat.http.describe.openapi import build
from gochat.http.rest.resource import Operation
from gochat.http.rest.table import OPERATIONS as ALL
from gochat.node import Node, running
from gochat.protocol.catalogue import CATALOGUE
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer, address
from tests.http.rest.client import Rest, issue
from tests.http.rest.conftest import As

BODIES = {
    "NewMessage": {"to": "group:tea", "body": "x"}, "MessageEdit": {"body": "x"}, "NewGroup": {"name": "new"},
    "GroupChange": {"title": "x"}, "Membership": {"role": "member"}, "NewReport": {"reason": "spam"},
    "Sanction": {"seconds": 60}, "Suspending": {"seconds": 60}, "Revocation": {"token": "j1"},
    "NotifyChange": {"room": "group:tea"}, "PushChange": {"forget": "https://push.example/1"},
    "NotificationRetry": {"channel": "mail"},
}  # fmt: skip
QUERIES = {"HistoryQuery": "?room=group:tea", "UsersQuery": "?q=ann", "ReportsQuery": "?room=group:tea"}
OPERATIONS = [operation for operation in ALL if operation.means is not None]
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")


def target(operation: Operation) -> str:
    item = "group:tea:2" if operation.path.startswith("/v1/messages") else "bob"
    path = operation.path.format(group="tea", id=item, report=1, handle="0123456789ab")
    return path + QUERIES.get(operation.query.__name__, "")


async def ask(rest: Rest, operation: Operation, **options: str) -> tuple[int, str] | int:
    body = BODIES[operation.body.__name__] if operation.body is not None else None
    answer = await rest(operation.method, target(operation), body, **options)  # type: ignore[arg-type]
    return answer.refusal if answer.status >= 400 else answer.status


def test_which_scope_is_needed() -> None:
    """As for the frames that ask for the same."""
    for operation in OPERATIONS:
        changes = "groups:write" if operation.path.startswith(("/v1/groups", "/v1/reports")) else "chat:write"
        expected = None if operation.path == "/v1/me" else "chat:read" if operation.method == "GET" else changes
        if operation.path in ("/v1/notify", "/v1/push"):
            expected = "chat:read"  # Users who only read are notified too.
        expected = "admin" if operation.path.startswith("/v1/admin/") else expected
        assert CATALOGUE[operation.means].scope == expected, operation


@every_operation
async def test_a_token_with_the_scope_is_needed(as_: As, operation: Operation) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea", "users": ["bob"]})
    await ann.post("/v1/messages", {"to": "group:tea", "body": "x"})
    assert await ask(as_(None), operation) == (401, "unauthorized")
    assert await ask(as_(None, token="a.b.c"), operation) == (401, "unauthorized")
    scope = CATALOGUE[operation.means].scope
    others = {"chat:read", "chat:write", "groups:write"} - {scope}
    refused = await ask(as_("ann", others), operation)
    if scope is None:
        assert refused == 200
        return
    assert refused == (403, "forbidden")
    allowed = await ask(as_("ann", [scope]), operation)
    if (operation.method, operation.path) in {("GET", "/v1/messages/{id}"), ("PATCH", "/v1/messages/{id}"),
                                              ("DELETE", "/v1/messages/{id}"),
                                              ("POST", "/v1/messages/{id}/reports")}:  # fmt: skip
        assert allowed == (404, "not_found"), "seq 2 is no message"
    elif operation.path == "/v1/requests/{id}":
        assert allowed == (404, "not_found"), "nobody asks"
    elif operation.path == "/v1/reports/{report}":
        assert allowed == (404, "not_found"), "nobody reported"
    elif operation.path == "/v1/devices/{handle}":
        assert allowed == (404, "not_found"), "no session has this handle"
    else:
        assert allowed in operation.statuses
        done_already = ((409, "conflict"), (404, "not_found"))
        assert await ask(as_("ann", ["admin"]), operation) in (*operation.statuses, *done_already)


async def test_the_challenges(as_: As) -> None:
    bare = await as_(None).get("/v1/me")
    assert bare.headers["www-authenticate"] == 'Bearer realm="gochat"'
    wrong = await as_(None, token="x").get("/v1/me")
    assert wrong.headers["www-authenticate"] == 'Bearer realm="gochat", error="invalid_token"'
    lacking = await as_("ann", ["chat:write"]).get("/v1/groups")
    assert lacking.headers["www-authenticate"] == (
        'Bearer realm="gochat", error="insufficient_scope", scope="chat:read"'
    )
    assert bare.headers["cache-control"] == "no-store"


async def test_how_a_token_is_shown(node: Node) -> None:
    token = issue(node, "ann")
    rest = Rest(node, None)

    async def me(*lines: str) -> int:
        head = "".join(f"{line}\r\n" for line in lines)
        return (await rest.send(f"GET /v1/me HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())).status

    assert await me(f"Authorization: bearer   {token}") == 200
    assert await me(f"Authorization: Basic {token}") == 401
    assert await me(f"Authorization: {token}") == 401
    assert await me("Authorization: Bearer ") == 401
    assert await me(f"Authorization: Bearer {token}", f"Authorization: Bearer {token}") == 401
    assert (await rest.get(f"/v1/me?access_token={token}")).status == 401
    signed_in = Rest(node, token)
    assert (await signed_in.get("/v1/me?token=x")).refusal == (400, "bad_request")
    for each in (rest, signed_in):
        await each.aclose()


MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", ""),
    "not JSON": (b"{", ""),
    "two values": (b'{"to":"user:bob","body":"x"} {}', ""),
    "a list": (b"[]", ""),
    "a string": (b'"x"', ""),
    "missing": (b'{"to":"user:bob"}', "body"),
    "null": (b'{"to":"user:bob","body":null}', "body: must be text"),
    "a number": (b'{"to":"user:bob","body":7}', "body: must be text"),
    "a nested one": (b'{"to":{"user":"bob"},"body":"x"}', "to: "),
    "a long address": (b'{"to":"user:' + b"b" * 200 + b'","body":"x"}', "to: "),
    "an unknown field": (b'{"to":"user:bob","body":"x","bcc":"user:eve"}', "bcc"),
    "deep": (b'{"to":"user:bob","body":"x","reply_to":' + b"[" * 10_000, ""),
    "deep in an unknown field": (b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}", ""),
    "a surrogate": (b'{"to":"user:bob","body":"\\ud800"}', ""),
    "not UTF-8": (b'{"to":"user:bob","body":"\xff"}', ""),
    "a great number": (b'{"to":"user:bob","body":"x","reply_to":1e400}', ""),
}


async def test_malformed_bodies(as_: As) -> None:
    rest = as_("ann")
    for name, (raw, mentions) in MALFORMED.items():
        answer = await rest("POST", "/v1/messages", raw=raw)
        assert answer.refusal == (400, "bad_request"), name
        assert mentions in answer.json["detail"], name
    assert (await rest.get("/v1/messages", room="dm:ann:bob")).json["head"] == 0


async def test_a_body_where_none_is_taken(as_: As) -> None:
    """It would look as if it had been obeyed."""
    ann = as_("ann")
    for method, path in (("PUT", "/v1/contacts/bob"), ("DELETE", "/v1/contacts/bob"), ("GET", "/v1/contacts")):
        assert (await ann(method, path, raw=b'{"silent":true}')).refusal == (400, "bad_request")
        assert (await ann(method, path, raw=b"x")).refusal == (400, "bad_request")
        for nothing in (b"{}", b"null", b"[]", b"{\r\n\r\n}"):
            assert (await ann(method, path, raw=nothing)).status in (200, 204), "for clients that always send one"


async def test_too_large(as_: As, node: Node) -> None:
    rest = as_("ann")
    most = node.settings.limits.frame_bytes
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {issue(node, 'ann')}\r\n"
    announced = await rest.send(f"{head}Content-Type: application/json\r\nContent-Length: {most + 1}\r\n\r\n".encode())
    assert announced.refusal == (413, "too_large")
    chunk = f"{most + 1:x}\r\n".encode() + b" " * (most + 1) + b"\r\n0\r\n\r\n"
    chunked = await rest.send(
        f"{head}Content-Type: application/json\r\n".encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
    )
    assert chunked.refusal == (413, "too_large")
    fitting = json.dumps({"to": "user:bob", "body": "x"}).encode().ljust(most)
    assert (await rest("POST", "/v1/messages", raw=fitting)).status == 201


async def test_media_types(as_: As) -> None:
    ann, message = as_("ann"), {"to": "user:bob", "body": "x"}
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json"):
        answer = await ann("POST", "/v1/messages", message, headers={"Content-Type": kind})
        assert answer.refusal == (415, "bad_request"), kind
        assert answer.headers["accept"] == "application/json"
    as_people_write_it = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert (await ann("POST", "/v1/messages", message, headers=as_people_write_it)).status == 201


MALFORMED_QUERIES = [
    "", "room=", "room=tea", "room=group:Tea", "room=dm:bob:ann", "room=group:tea&room=group:tea", "room=group:tea&x=1",
    "room=group:tea&limit=0", "room=group:tea&limit=201", "room=group:tea&limit=1.5", "room=group:tea&limit=",
    "room=group:tea&limit=%D9%A1", "room=group:tea&before=-1", "room=group:tea&before=null", "room=%ff",
    "room=group:tea&after=99999999999999999999", "&".join(["x=1"] * 30),
]  # fmt: skip


async def test_malformed_queries(as_: As) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea"})
    for query in MALFORMED_QUERIES:
        assert (await ann("GET", f"/v1/messages?{query}")).refusal == (400, "bad_request"), query


PATHS = {
    "/v1/groups/%2e%2e": 400,
    "/v1/groups/..": 400,
    "/v1/groups/../me": 404,
    "/v1/groups/%2e%2e%2fme": 404,
    "/v1/groups%2Ftea": 404,
    "/v1/groups/tea%2Fusers%2Fann": 404,
    "/v1/groups/tea%2fusers": 404,
    "/v1/groups/TEA": 400,
    "/V1/groups/tea": 404,
    "/v1/groups/tea/": 404,
    "/v1//groups/tea": 404,
    "//v1/groups/tea": 404,
    "/v1/groups/tea%00": 400,
    "/v1/groups/tea%0a": 400,
    "/v1/groups/te%61": 200,
    "/v1/groups/t%D0%B5a": 400,
    "/v1/groups/%ff": 400,
    "/v1/messages/group:tea:2": 200,
    "/v1/messages/group%3Atea%3A2": 200,
    "/v1/messages/group:tea:%D9%A2": 400,
    "/v1/messages/group:tea:%EF%BC%92": 400,
    "/v1/messages/group:tea:02": 400,
    "/v1/messages/group:tea:0": 400,
    "/v1/messages/group:tea:-2": 400,
    "/v1/messages/group:tea:+2": 400,
    "/v1/messages/group:tea:2%20": 400,
    "/v1/messages/group:tea:2.0": 400,
    "/v1/messages/group:tea:99999999999": 400,
    "/v1/messages/group:tea:" + "9" * 5000: 400,
    "/v1/messages/GROUP:tea:2": 400,
    "/v1/messages/group:tea": 400,
    "/v1/messages/2": 400,
    "/v1/friends": 404,
}


async def test_tricks_with_paths(as_: As) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea"})
    await ann.post("/v1/messages", {"to": "group:tea", "body": "x"})
    for path, status in PATHS.items():
        answer = await ann("GET", path)
        assert answer.status == status, path
        if status >= 400:
            assert answer.refusal == (status, "bad_request" if status == 400 else "not_found")


async def test_methods(as_: As) -> None:
    ann = as_("ann")
    await ann.post("/v1/groups", {"name": "tea"})
    wrong = await ann("POST", "/v1/groups/tea", {})
    assert (wrong.refusal, wrong.headers["allow"]) == ((405, "bad_request"), "DELETE, GET, HEAD, PATCH")
    head = await ann("HEAD", "/v1/groups/tea")
    got = await ann("GET", "/v1/groups/tea")
    assert (head.status, head.body) == (200, b"")
    assert (head.headers["etag"], head.headers["content-length"]) == (got.headers["etag"], str(len(got.body)))
    assert got.headers["cache-control"] == "private, no-cache"
    assert got.headers["x-content-type-options"] == "nosniff"


async def test_one_bucket_for_all_doors(tmp_path: Path, nursery: trio.Nursery) -> None:
    settings = make_settings(tmp_path / "data", limits={"messages_per_s": 0.01, "message_burst": 2})
    async with running(settings) as node:
        rest = Rest(node, issue(node, "ann"))
        peer = await Peer.open(node, "tcp", nursery)
        await peer.hello("ann")
        assert (await peer.ask("send", to="user:bob", body="1"))["type"] == "ack"
        sent = await rest.post("/v1/messages", {"to": "user:bob", "body": "2"}, Idempotency_Key="k")
        assert sent.status == 201
        refused = await rest.post("/v1/messages", {"to": "user:bob", "body": "3"})
        assert refused.refusal == (429, "rate_limited")
        problem = refused.json
        assert (problem["rule"], "unknown" in problem) == ("messages_per_s", False)
        assert int(refused.headers["retry-after"]) * 1000 >= problem["retry_after_ms"] > 90_000
        assert (await rest.patch("/v1/messages/dm:ann:bob:1", {"body": "x"})).refusal == (429, "rate_limited")
        assert (await peer.ask("send", to="user:bob", body="3"))["code"] == "rate_limited"
        repeat = await rest.post("/v1/messages", {"to": "user:bob", "body": "2"}, Idempotency_Key="k")
        assert repeat.json == sent.json, "a recorded key takes no token"
        assert (await rest.delete("/v1/messages/dm:ann:bob:1")).status == 204
        await rest.aclose()
        await peer.aclose()


async def test_reading_has_a_limit_of_its_own(as_: As) -> None:
    ann = as_("ann")
    with trio.fail_after(60):
        while (answer := await ann.get("/v1/me")).status == 200:
            pass
    assert answer.refusal == (429, "rate_limited")
    assert (answer.json["rule"], answer.headers["retry-after"]) == ("reads_per_s", "1")
    assert (await ann.post("/v1/messages", {"to": "user:bob", "body": "x"})).status == 201
    assert (await as_("bob").get("/v1/me")).status == 200


async def test_a_caller_that_goes_away_in_mid_body(as_: As, node: Node, caplog: pytest.LogCaptureFixture) -> None:
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {issue(node, 'ann')}\r\n"
    request = f"{head}Content-Length: 1000\r\n\r\n{{".encode()
    async with await trio.open_tcp_stream(*address(node, "http")) as stream:
        await stream.send_all(request)
        await stream.send_eof()
        with trio.fail_after(60):
            assert b"".join([chunk async for chunk in stream]).startswith(b"HTTP/1.1 400 ")
    async with await trio.open_tcp_stream(*address(node, "http")) as stream:
        await stream.send_all(request)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # Its end is a reset.
    assert (await as_("ann").get("/v1/messages", room="dm:ann:bob")).json["head"] == 0
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_node_that_drains_answers_and_closes(as_: As, node: Node) -> None:
    ann = as_("ann")
    assert "connection" not in (await ann.get("/v1/me")).headers
    node.endpoints.drain()
    answer = await as_("ann").get("/v1/me")
    assert (answer.status, answer.headers["connection"]) == (200, "close")


# ---------------------------------------------------------------------------------------------- bodies


KINDS = sorted({each.body for each in OPERATIONS if each.body is not None}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("body", KINDS)
def test_a_field_that_may_be_left_out_may_be_null(body: type[msgspec.Struct]) -> None:
    schema = build()["components"]["schemas"][body.__name__]
    for field in msgspec.structs.fields(body):
        if not field.required:
            assert {"type": "null"} in schema["properties"][field.encode_name]["anyOf"], "the document says so"
            assert msgspec.convert(None, field.type) is None
            assert field.default is None


@pytest.mark.parametrize("coding", ["gzip", "br", "x-unknown", "gzip, identity", "GZIP"])
async def test_a_content_coding_is_415_and_names_what_would_do(as_: As, coding: str) -> None:
    message = json.dumps({"to": "user:ann", "body": "x"}).encode()
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    ann = as_("ann")
    refused = await ann("POST", "/v1/messages", raw=message, headers=headers)
    assert refused.refusal == (415, "bad_request")
    assert refused.headers["accept-encoding"] == "identity"
    assert (await ann("PUT", "/v1/groups/tea/users/bob", raw=b"\x1f\x8b", headers=headers)).status == 415
    sent = await ann("POST", "/v1/messages", raw=message, headers=headers | {"Content-Encoding": "Identity"})
    assert sent.status == 201


@pytest.mark.parametrize("audience", ["GET /v1/me", "POST /v1/tickets", "GET /metrics"])
async def test_a_credential_that_was_refused_is_logged(
    as_: As, node: Node, caplog: pytest.LogCaptureFixture, audience: str
) -> None:
    """Where from and why, as for sockets; never the credential, and never so often that it fills the disk."""
    caplog.set_level("INFO")
    method, path = audience.split()
    body = {"ticket": "c2VjcmV0"} if method == "POST" else None
    for _ in range(30):
        answer = await as_(None, token="eyJhbGciOi.x.y")(method, path, body)
        assert answer.status in (401, 429)
    refused = [record for record in caplog.records if record.message.startswith("sign-in refused: ")]
    assert 20 <= len(refused) < 28, "the others are counted"
    assert {(record.peer, record.transport) for record in refused} == {("127.0.0.1", "http")}  # type: ignore[attr-defined]
    assert "eyJhbGciOi" not in caplog.text and "c2VjcmV0" not in caplog.text


async def test_what_a_token_may_not_do_is_no_refused_credential(as_: As, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert (await as_("bob", [])("GET", "/v1/groups")).status == 403
    assert (await as_("bob")("GET", "/v1/rooms/group:none/messages")).status == 404
    assert "sign-in refused" not in caplog.text


async def test_whatever_is_no_command_counts_as_a_read(as_: As, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a report and admins' actions too, whatever their method."""

    monkeypatch.setattr(UserActor, "read_by_rest", lambda user: 1000)
    ann = as_("ann", ["admin"])
    for operation in OPERATIONS:
        assert operation.means is not None
        limited = CATALOGUE[operation.means].to_command is None
        assert (await ask(ann, operation) == (429, "rate_limited")) == limited, operation
