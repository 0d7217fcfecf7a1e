"""The bytes of every frame, pinned. A change here is a change of the contract: extend it, never alter it.

`python -m tests.protocol.test_golden` writes the files anew, for frames that were added.
"""

from __future__ import annotations

import typing
from pathlib import Path

import msgspec
import pytest

from gochat.domain.facts import AnyFact
from gochat.protocol.codec import LINE_JSON, WS_JSON, WS_MSGPACK, BadFrame
from gochat.protocol.replies import AnyEvent, AnyReply
from gochat.protocol.requests import AnyRequest, Hello
from tests.protocol.frames import FACTS, REPLIES, REQUESTS

GOLDEN = Path(__file__).parent / "golden"
ALL = {"requests": REQUESTS, "facts": FACTS, "replies": REPLIES}


def _lines(samples: dict[str, msgspec.Struct]) -> str:
    rows = (
        f"{name}\t{msgspec.json.encode(frame).decode()}\t{msgspec.msgpack.encode(frame).hex()}"
        for name, frame in samples.items()
    )
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("family", ALL)
def test_every_frame_has_its_bytes(family: str) -> None:
    assert (GOLDEN / f"{family}.tsv").read_text(encoding="utf-8") == _lines(ALL[family])


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_reads_back(name: str) -> None:
    frame = REQUESTS[name]
    assert WS_JSON.decode(msgspec.json.encode(frame)) == frame
    assert WS_MSGPACK.decode(msgspec.msgpack.encode(frame)) == frame


def test_what_was_withdrawn_is_still_decoded() -> None:
    """`hello.user` signed in by name alone: today it is ignored as any unknown field, whatever is in it."""
    (row,) = (GOLDEN / "withdrawn.tsv").read_text(encoding="utf-8").splitlines()
    _, json, msgpack = row.split("\t")
    assert WS_JSON.decode(json.encode()) == WS_MSGPACK.decode(bytes.fromhex(msgpack)) == Hello()
    assert WS_JSON.decode(b'{"type":"hello","user":5}') == Hello()


def test_there_is_a_sample_of_every_frame() -> None:
    kinds = {type(frame) for samples in ALL.values() for frame in samples.values()}
    declared = {kind for union in (AnyRequest, AnyFact, AnyReply, AnyEvent) for kind in typing.get_args(union)}
    assert declared <= kinds


def test_framing() -> None:
    pong = REPLIES["pong"]
    payload = msgspec.json.encode(pong)
    assert LINE_JSON.encode(pong) == payload + b"\n"
    assert WS_JSON.encode(pong) == bytes([0x81, len(payload)]) + payload
    assert WS_MSGPACK.encode(pong)[:1] == b"\x82"
    assert LINE_JSON.encode_all([pong, pong]) == (payload + b"\n") * 2


def test_unknown_fields_are_ignored() -> None:
    assert WS_JSON.decode(b'{"type":"ping","id":3,"new":{"deep":[1]}}') == REQUESTS["ping"]


@pytest.mark.parametrize(
    ("payload", "known_id", "frame"),
    [
        (b"", None, False),
        (b"nonsense", None, False),
        (b"[1]", None, False),
        (b'"text"', None, False),
        (b"{}", None, False),
        (b'{"type":5,"id":1}', None, False),
        (b'{"type":"fly","id":1}', 1, True),
        (b'{"type":"send","id":"a"}', "a", True),
        (b'{"type":"send","id":"a","to":"user:bob","body":5}', "a", True),
        (b'{"type":"ping","id":""}', None, False),
        (b'{"type":"ping","id":1.5}', None, False),
        (b'{"type":"ping","id":1e400}', None, False),
        (b'{"type":"ping","id":' + b"9" * 5000 + b"}", None, False),
        (b'{"type":"ping","id":NaN}', None, False),
        (b'{"type":"history","id":1,"room":"group:tea","limit":201}', 1, True),
        (b'{"type":"history","id":1,"room":"group:tea","after":-1}', 1, True),
        (b'{"type":"send","id":1,"to":"user:bob","body":"\\ud800"}', None, False),
        (b'{"type":"send","id":1,"to":"user:bob","body":"\xff"}', 1, True),
        (b'{"type":"ping","id":1,"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", None, False),
        (b'{"type":"ping","id":1,"x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, None, False),
        (b"[" * 60_000, None, False),
    ],
)
def test_what_is_no_request(payload: bytes, known_id: object, frame: bool) -> None:
    decoded = WS_JSON.decode(payload)
    assert isinstance(decoded, BadFrame)
    assert (decoded.id, decoded.frame) == (known_id, frame)
    assert "\n" not in decoded.problem and len(decoded.problem) <= 200


if __name__ == "__main__":
    for family, samples in ALL.items():
        (GOLDEN / f"{family}.tsv").write_text(_lines(samples), encoding="utf-8")
