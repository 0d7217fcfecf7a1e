from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from gochat.http.describe.openapi import build, document
from gochat.http.rest.table import OPERATIONS
from gochat.node import Node
from tests.http.rest.conftest import As
from tests.http.rest.test_tickets import ticket


def validated(folder: Path, document: bytes) -> tuple[int, str]:
    """The verdict of the specification's own schema. In a process of its own: the validator's proxies look like
    anything, which is no company for tests that count objects."""
    file = folder / "openapi.json"
    file.write_bytes(document)
    command = [sys.executable, "-m", "openapi_spec_validator", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_document_is_valid(tmp_path: Path) -> None:
    status, told = validated(tmp_path, document())
    assert status == 0, told
    broken = build()
    del broken["paths"]["/v1/messages/{id}"]["get"]["parameters"]
    status, told = validated(tmp_path, json.dumps(broken).encode())
    assert status == 1 and "Path parameter 'id'" in told, told


def test_every_operation_is_described_once() -> None:
    paths = build()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(operation.method, operation.path) for operation in OPERATIONS}
    assert len(described) == len(OPERATIONS)
    names = [told["operationId"] for methods in paths.values() for told in methods.values()]
    assert len(set(names)) == len(names)


async def test_it_is_served_to_anybody(as_: As) -> None:
    answer = await as_(None).get("/v1/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == document()
    again = await as_(None)("GET", "/v1/openapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_answers_are_as_described(as_: As, node: Node, peer: Callable[..., Any]) -> None:
    described = build()
    await peer("ann")
    (handle,) = node.gateway.sessions
    ann, eve, root = as_("ann"), as_("eve", ["chat:write"]), as_("root", ["admin"])
    calls: list[tuple[Any, str, str, str, Any]] = [
        (ann, "GET", "/v1/me", "/v1/me", None),
        (as_(None), "POST", "/v1/tickets", "/v1/tickets", {"ticket": ticket(node)}),
        (as_(None), "POST", "/v1/tickets", "/v1/tickets", {"ticket": "x"}),
        (ann, "POST", "/v1/groups", "/v1/groups", {"name": "tea", "users": ["bob"], "history": "since_join"}),
        (ann, "POST", "/v1/groups", "/v1/groups", {"name": "tea"}),
        (ann, "GET", "/v1/groups", "/v1/groups?limit=1", None),
        (ann, "GET", "/v1/groups/{group}", "/v1/groups/tea", None),
        (ann, "PATCH", "/v1/groups/{group}", "/v1/groups/tea", {"title": "x"}),
        (ann, "PUT", "/v1/groups/{group}/users/{id}", "/v1/groups/tea/users/carl", {"role": "moderator"}),
        (ann, "PUT", "/v1/groups/{group}/users/{id}", "/v1/groups/tea/users/carl", None),
        (ann, "GET", "/v1/groups/{group}/users/{id}", "/v1/groups/tea/users/carl", None),
        (ann, "GET", "/v1/groups/{group}/users", "/v1/groups/tea/users?limit=2", None),
        (ann, "DELETE", "/v1/groups/{group}/users/{id}", "/v1/groups/tea/users/carl", None),
        (ann, "POST", "/v1/messages", "/v1/messages", {"to": "group:tea", "body": "x"}),
        (ann, "POST", "/v1/messages", "/v1/messages", {"to": "group:tea"}),
        (ann, "PATCH", "/v1/messages/{id}", "/v1/messages/group:tea:8", {"body": "y"}),
        (ann, "GET", "/v1/messages/{id}", "/v1/messages/group:tea:8", None),
        (ann, "DELETE", "/v1/messages/{id}", "/v1/messages/group:tea:8", None),
        (ann, "GET", "/v1/messages", "/v1/messages?room=group:tea&limit=200", None),
        (ann, "GET", "/v1/messages", "/v1/messages?room=group:none", None),
        (eve, "GET", "/v1/groups", "/v1/groups", None),
        (ann, "GET", "/v1/users", "/v1/users?q=a", None),
        (ann, "GET", "/v1/groups/{group}/export", "/v1/groups/tea/export", None),
        (ann, "PUT", "/v1/contacts/{id}", "/v1/contacts/bob", None),
        (ann, "PUT", "/v1/blocks/{id}", "/v1/blocks/bob", None),
        (ann, "GET", "/v1/contacts", "/v1/contacts", None),
        (ann, "GET", "/v1/blocks", "/v1/blocks", None),
        (ann, "DELETE", "/v1/blocks/{id}", "/v1/blocks/bob", None),
        (ann, "DELETE", "/v1/contacts/{id}", "/v1/contacts/bob", None),
        (ann, "PUT", "/v1/requests/{id}", "/v1/requests/bob", None),
        (eve, "POST", "/v1/messages", "/v1/messages", {"to": "user:ann", "body": "x"}),
        (ann, "GET", "/v1/requests", "/v1/requests", None),
        (ann, "PUT", "/v1/requests/{id}", "/v1/requests/eve", None),
        (as_("zoe"), "POST", "/v1/messages", "/v1/messages", {"to": "user:ann", "body": "x"}),
        (ann, "DELETE", "/v1/requests/{id}", "/v1/requests/zoe", None),
        (ann, "PUT", "/v1/groups/{group}/mutes/{id}", "/v1/groups/tea/mutes/bob", {"seconds": 60}),
        (ann, "DELETE", "/v1/groups/{group}/mutes/{id}", "/v1/groups/tea/mutes/bob", None),
        (ann, "PUT", "/v1/groups/{group}/bans/{id}", "/v1/groups/tea/bans/bob", None),
        (ann, "GET", "/v1/groups/{group}/sanctions", "/v1/groups/tea/sanctions?limit=1", None),
        (ann, "DELETE", "/v1/groups/{group}/bans/{id}", "/v1/groups/tea/bans/bob", None),
        (eve, "POST", "/v1/messages/{id}/reports", "/v1/messages/dm:ann:eve:1/reports", {"reason": "rude"}),
        (as_("zoe"), "POST", "/v1/messages/{id}/reports", "/v1/messages/dm:ann:zoe:1/reports", None),
        (root, "GET", "/v1/reports", "/v1/reports?limit=1", None),
        (root, "DELETE", "/v1/reports/{report}", "/v1/reports/1", None),
        (root, "PUT", "/v1/admin/suspensions/{id}", "/v1/admin/suspensions/zoe", {"reason": "rude", "seconds": 60}),
        (root, "PUT", "/v1/admin/suspensions/{id}", "/v1/admin/suspensions/yin", None),
        (root, "GET", "/v1/admin/suspensions", "/v1/admin/suspensions?limit=1", None),
        (root, "DELETE", "/v1/admin/suspensions/{id}", "/v1/admin/suspensions/zoe", None),
        (root, "POST", "/v1/admin/revocations", "/v1/admin/revocations", {"user": "zoe"}),
        (root, "POST", "/v1/admin/revocations", "/v1/admin/revocations", {"user": "zoe", "token": "j1"}),
        (ann, "PATCH", "/v1/notify", "/v1/notify", {"room": "group:tea", "quiet": "22:00-07:00", "tz": "UTC"}),
        (ann, "PATCH", "/v1/notify", "/v1/notify", {}),
        (ann, "GET", "/v1/notify", "/v1/notify", None),
        (ann, "GET", "/v1/push", "/v1/push", None),
        (ann, "POST", "/v1/push", "/v1/push", {"forget": "https://push.example/1"}),
        (root, "GET", "/v1/admin/notifications", "/v1/admin/notifications?dead=true&channel=mail", None),
        (root, "POST", "/v1/admin/notifications/retries", "/v1/admin/notifications/retries", {"channel": "push"}),
        (root, "GET", "/v1/admin/audit", "/v1/admin/audit?limit=3", None),
        (root, "GET", "/v1/admin/users", "/v1/admin/users?limit=1", None),
        (root, "GET", "/v1/admin/rooms", "/v1/admin/rooms?private=true&limit=1", None),
        (root, "GET", "/v1/admin/sessions", "/v1/admin/sessions", None),
        (root, "GET", "/v1/admin/sessions", "/v1/admin/sessions?slow=true", None),
        (root, "GET", "/v1/admin/overview", "/v1/admin/overview", None),
        (root, "GET", "/v1/admin/mailboxes", "/v1/admin/mailboxes?private=true", None),
        (root, "GET", "/v1/admin/users", "/v1/admin/users?prefix=a", None),
        (root, "GET", "/v1/admin/rooms", "/v1/admin/rooms?prefix=~", None),
        (ann, "GET", "/v1/devices", "/v1/devices", None),
        (ann, "DELETE", "/v1/devices/{handle}", "/v1/devices/none", None),
        (ann, "DELETE", "/v1/devices/{handle}", f"/v1/devices/{handle}", None),
        (ann, "GET", "/v1/admin/audit", "/v1/admin/audit", None),
        (ann, "DELETE", "/v1/groups/{group}", "/v1/groups/tea", None),
    ]
    seen = set()
    for rest, method, path, target, body in calls:
        answer = await rest(method, target, body)
        told = described["paths"][path][method.lower()]["responses"][str(answer.status)]
        for kind, content in told.get("content", {}).items():
            assert answer.headers["content-type"] == kind
            if "json" not in kind:
                continue  # A file.
            schema = {**content["schema"], "components": described["components"]}
            jsonschema.Draft202012Validator(schema).validate(answer.json)
        if answer.status == 201:
            assert "Location" in told["headers"] and answer.headers["location"]
        seen.add((method, path, answer.status < 400))
    assert {(operation.method, operation.path, True) for operation in OPERATIONS} <= seen
