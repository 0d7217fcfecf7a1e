from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from gochat.domain import facts
from gochat.http.describe.asyncapi import ANSWERS, EVENTS, FACTS, REQUESTS, build, document
from gochat.protocol import replies
from gochat.protocol.catalogue import CATALOGUE, to_command
from gochat.protocol.codec import LINE_JSON
from gochat.protocol.conversation import Principal
from tests.http.rest.conftest import As
from tests.protocol import frames

OFFICIAL = jsonschema.Draft7Validator(
    json.loads((Path(__file__).parent / "asyncapi" / "3.0.0-without-id.json").read_text())
)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return build()


def resolved(described: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    """The target of a reference, through others."""
    while "$ref" in reference:
        place: Any = described
        for step in reference["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        reference = place
    return reference


def test_the_document_is_valid(described: dict[str, Any]) -> None:
    OFFICIAL.validate(described)
    assert json.loads(document()) == described
    described["operations"]["send"]["action"] = "shout"
    assert not OFFICIAL.is_valid(described)
    described["operations"]["send"]["action"] = "receive"


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    found = 0

    def look(part: Any) -> None:
        nonlocal found
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                found += 1
                resolved(described, part)
            for each in part.values():
                look(each)
        elif isinstance(part, list):
            for each in part:
                look(each)

    look(described)
    assert found > 200


def test_every_request_is_an_operation_with_its_scope_and_its_replies(described: dict[str, Any]) -> None:
    operations = {name: told for name, told in described["operations"].items() if told["action"] == "receive"}
    assert set(operations) == {str(kind.__struct_config__.tag) for kind in CATALOGUE}
    for kind in REQUESTS:
        told = operations[str(kind.__struct_config__.tag)]
        assert told["x-scope"] == CATALOGUE[kind].scope
        (message,) = [resolved(described, each) for each in told["messages"]]
        assert message["name"] == kind.__struct_config__.tag
        names = [resolved(described, each)["name"] for each in told["reply"]["messages"]] if "reply" in told else []
        answers = [reply.__struct_config__.tag for reply in CATALOGUE[kind].replies]
        assert names == ([*answers, "error"] if answers else [])


def test_every_event_is_an_operation(described: dict[str, Any]) -> None:
    sent = [told for told in described["operations"].values() if told["action"] == "send"]
    names = [resolved(described, told["messages"][0])["name"] for told in sent]
    kinds = (*typing.get_args(facts.AnyFact), *EVENTS)
    assert sorted(names) == sorted(str(kind.__struct_config__.tag) for kind in kinds)
    assert {*typing.get_args(replies.AnyEvent)} <= {*FACTS, *EVENTS}


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: str(kind.__name__))
def test_examples_of_requests_are_carried_out(described: dict[str, Any], kind: Any) -> None:
    for each in described["components"]["messages"][f"client.{kind.__name__}"]["examples"]:
        request = LINE_JSON.decode(json.dumps(each["payload"]).encode())
        assert type(request) is kind, request
        if CATALOGUE[kind].to_command is not None:
            command = to_command(request, Principal("ann", True), replies.Limits())
            assert type(command).__name__ != "Denied", command


@pytest.mark.parametrize("kind", dict.fromkeys((*ANSWERS, *FACTS, *EVENTS)), ids=lambda kind: str(kind.__name__))
def test_examples_of_what_the_server_sends_are_frames(described: dict[str, Any], kind: Any) -> None:
    for each in described["components"]["messages"][f"server.{kind.__name__}"]["examples"]:
        frame = msgspec.convert(each["payload"], kind)
        assert msgspec.to_builtins(frame) == each["payload"], "nothing of it is unknown"


def test_what_travels_is_as_described(described: dict[str, Any]) -> None:
    """Each sample that the codecs are tested with, as the bytes say it."""
    for side, samples in ("client", frames.REQUESTS), ("server", frames.REPLIES | frames.FACTS):
        for name, frame in samples.items():
            told = json.loads(LINE_JSON.encode(frame))
            schema = {
                "$ref": f"#/components/schemas/{side}.{type(frame).__name__}",
                "components": described["components"],
            }
            jsonschema.Draft7Validator(schema).validate(told)
            unlike = told | {"type": "shout"}
            assert not jsonschema.Draft7Validator(schema).is_valid(unlike), name


async def test_it_is_served_to_anybody(as_: As) -> None:
    answer = await as_(None).get("/v1/asyncapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == document()
    again = await as_(None)("GET", "/v1/asyncapi.json", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
