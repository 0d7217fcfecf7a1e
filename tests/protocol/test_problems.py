"""Frames that can't be decoded are refused in words for people: the field and the bound, on every encoding and door."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import msgspec
import pytest

from gochat.http.rest.table import OPERATIONS
from gochat.protocol.codec import LINE_JSON, WS_JSON, WS_MSGPACK, BadFrame
from gochat.protocol.problems import DECODING, sentence
from gochat.protocol.requests import AnyRequest
from tests.protocol.frames import REQUESTS

FRAMES = {
    '{"type":"react","room":"a","seq":1,"emoji":"' + "x" * 33 + '","on":true}': "emoji: at most 32 characters",
    '{"type":"react","room":"a","seq":1,"emoji":"","on":true}': "emoji: must not be empty",
    '{"type":"react","room":"a","seq":1,"emoji":"x","on":1}': "on: must be true or false, not a whole number",
    '{"type":"watch","users":' + json.dumps(["a"] * 16) + "}": "users: at most 15 entries",
    '{"type":"watch","users":["a",5]}': "users[1]: must be text, not a whole number",
    '{"type":"history","room":"x","limit":0}': "limit: at least 1",
    '{"type":"history","room":"x","limit":500}': "limit: at most 200",
    '{"type":"history","room":"x","limit":1.5}': "limit: must be a whole number, not a decimal number",
    '{"type":"history","room":null}': "room: must be text, not null",
    '{"type":"ping","id":[]}': "id: must be a whole number or text, not a list",
    '{"type":"ping","id":1e400}': "id: the number is too large",
    '{"type":"report","room":"x","seq":1,"reason":"' + "x" * 501 + '"}': "reason: at most 500 characters",
    '{"type":"admin","action":"suspend","seconds":9999999999}': "seconds: at most 3,155,760,000",
    '{"type":"send","to":"x"}': "body is missing",
    '{"type":"search","q":"x"}': "in is missing",
    '{"type":"search","q":"x","in":"rooms"}': "in: must be one of users, messages, not 'rooms'",
    '{"type":"contact","user":"x","action":"hug"}':
        "action: must be one of add, remove, block, unblock, accept, decline, not 'hug'",
    '{"type":"group","name":"x","action":"role","role":"king"}':
        "role: must be one of owner, moderator, member, not 'king'",
    '{"type":"hello","resume":{"x":{"seq":-1}}}': "resume[...].seq: at least 0",
    '{"type":"hello","resume":{"x":{}}}': "seq is missing in resume[...]",
    '{"type":"hello","resume":{"' + "x" * 141 + '":{"seq":1}}}': "a key of resume: at most 140 characters",
    '{"type":"sned"}': "there is no type 'sned'",
    '{"type":"' + "s" * 100 + '"}': f"there is no type '{'s' * 39}...",
    '{"type":5}': "type: must be text",  # only MessagePack's decoder says what it is instead
    "{}": "type is missing",
    "[]": "a frame is one object, not a list",
}  # fmt: skip


@pytest.mark.parametrize(("frame", "said"), FRAMES.items(), ids=FRAMES.values())
def test_the_field_and_the_bound_are_told(frame: str, said: str) -> None:
    payloads = [(WS_JSON, frame.encode()), (LINE_JSON, frame.encode())]
    if "1e400" not in frame:
        payloads.append((WS_MSGPACK, msgspec.msgpack.encode(json.loads(frame))))
    for codec, payload in payloads:
        bad = codec.decode(payload)
        assert isinstance(bad, BadFrame)
        assert bad.problem.startswith(said), codec.name


BYTES = {
    b"": "the frame ends in the middle, or has half of a surrogate pair",
    b"{": "the frame ends in the middle, or has half of a surrogate pair",
    b'{"type":"ping","id":"\\ud800"}': "the frame ends in the middle, or has half of a surrogate pair",
    b"hello": "the frame is not JSON: invalid character (byte 0)",
    b'{"type":"ping"} x': "the frame is not JSON: trailing characters (byte 17)",
    b'{"type":"send","to":"x","body":"\xff"}': "the frame is not UTF-8",
    b'{"type":"ping","x":' + b"[" * 9000 + b"]" * 9000 + b"}": "nested too deeply",
}


@pytest.mark.parametrize(("payload", "said"), BYTES.items(), ids=BYTES.values())
def test_what_is_no_frame_at_all(payload: bytes, said: str) -> None:
    bad = WS_JSON.decode(payload)
    assert isinstance(bad, BadFrame)
    assert bad.problem == said


WRONG: list[Any] = [
    None,
    5,
    -5,
    1.5,
    1 << 60,
    "",
    "x" * 5000,
    [],
    ["x"] * 5000,
    [5],
    {},
    {"x": 5},
    {"x" * 5000: {}},
    True,
]


def _plain(text: str) -> bool:
    return re.search(r"[`$]|Expected|Object|\bstr\b|\bint\b|Invalid", text) is None and len(text) <= 200


def test_no_field_of_any_request_is_told_in_a_library_s_words() -> None:
    samples = {type(request): msgspec.to_builtins(request) for request in REQUESTS.values()}
    assert set(samples) == set(get_args(AnyRequest))
    refused = 0
    for sample in samples.values():
        for field in [*sample, "id"]:
            for value in WRONG:
                bad = WS_JSON.decode(msgspec.json.encode(sample | {field: value}))
                if isinstance(bad, BadFrame):
                    refused += 1
                    assert _plain(bad.problem), bad.problem
                    assert field in bad.problem, bad.problem
    assert refused > 500


def test_nor_is_one_of_a_body_or_a_query() -> None:
    refused = 0
    for operation in OPERATIONS:
        for kind, strict in ((operation.body, True), (operation.query, False)):
            for field in () if kind is None else [*kind.__struct_encode_fields__, "other"]:
                for value in WRONG:
                    try:
                        msgspec.convert({field: value}, kind, strict=strict)
                    except DECODING as error:
                        refused += 1
                        said = sentence(error, "body", kind)
                        assert _plain(said), said
                        assert said.endswith("is missing") or field in said, said
    assert refused > 200
