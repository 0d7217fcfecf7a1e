from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.client.errors import ClientError, Garbled
from gochat.client.wire import Page, Results, Strange, Unknown, decode, encode, encode_fact
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol import requests as req

GOLDEN = Path(__file__).parents[1] / "protocol" / "golden"
MESSAGE = {"type": "message", "room": "group:tea", "seq": 3, "ts": 5, "from": "ann", "body": "hi", "later": [1]}
PIN = {"type": "pin", "room": "group:tea", "seq": 4, "ts": 5, "from": "ann", "target": 3}


def frame(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_fact_is_decoded_and_its_unknown_fields_are_ignored() -> None:
    assert decode(frame(**MESSAGE)) == facts.Message(room="group:tea", seq=3, ts=5, sender="ann", body="hi")


def test_a_fact_of_an_unknown_type_keeps_its_place_and_its_bytes() -> None:
    fact = decode(frame(**PIN))
    assert isinstance(fact, Unknown)
    assert (fact.type, fact.room, fact.seq, fact.sender) == ("pin", "group:tea", 4, "ann")
    assert json.loads(encode_fact(fact)) == PIN


def test_a_fact_with_an_unknown_value_keeps_its_place() -> None:
    fact = decode(frame(type="member", room="group:tea", seq=4, ts=5, **{"from": "a"}, users=["b"], change="frozen"))
    assert isinstance(fact, Unknown)
    assert fact.seq == 4


def test_a_page_with_a_fact_of_an_unknown_type_keeps_the_others() -> None:
    page = decode(frame(type="page", id=7, room="group:tea", epoch="e", entries=[MESSAGE, PIN], head=4, complete=True))
    assert isinstance(page, Page)
    assert page.id == 7
    assert [type(entry) for entry in page.entries] == [facts.Message, Unknown]


def test_both_kinds_of_results_are_told_apart_by_their_lists() -> None:
    users = decode(frame(type="results", id=1, users=[{"user": "bob", "name": "Bob"}]))
    found = decode(frame(type="results", id=2, entries=[MESSAGE], next="c"))
    assert isinstance(users, Results)
    assert isinstance(found, Results)
    assert [user.name for user in users.users] == ["Bob"]
    assert (len(found.entries), found.next) == (1, "c")


@pytest.mark.parametrize(
    "line", (GOLDEN / "replies.tsv").read_text().splitlines(), ids=lambda line: line.split("\t")[0]
)
def test_every_frame_that_a_server_sends_is_known(line: str) -> None:
    payload = line.split("\t")[1]
    found = decode(payload)
    assert not isinstance(found, Strange | Unknown), payload


def test_a_frame_of_an_unknown_type_is_strange_and_keeps_its_id() -> None:
    assert decode(frame(type="poll", id=9)) == Strange("poll", 9)
    assert decode(b'{"type":"contact","user":"bob","state":"a new one"}') == Strange("contact")


def test_an_event_is_known_by_its_type() -> None:
    assert decode('{"type":"lag","room":"group:tea","epoch":"e","head":9}') == replies.Lag(
        room="group:tea", epoch="e", head=9
    )


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"hello", b'{"id":1}', b'{"type":7}', b"\xff\xfe", b"[" * 10_000, b'{"type":"message","from":"\xff"}'],
)
def test_what_is_no_frame_is_garbled(payload: bytes) -> None:
    with pytest.raises(Garbled):
        decode(payload)


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_nothing_but_garbled_is_ever_raised(payload: bytes | str) -> None:
    try:
        decode(payload)
    except Garbled:
        pass  # All else fails the test.


def test_a_page_entry_that_is_no_fact_is_garbled() -> None:
    with pytest.raises(Garbled):
        decode(frame(type="page", id=7, room="group:tea", epoch="e", entries=[{"type": "x"}], head=4, complete=True))


def test_text_that_is_no_unicode_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ClientError, match="surrogate"):
        encode(req.Send(to="user:bob", body="\ud800"))
