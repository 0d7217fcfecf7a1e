"""A database that was filled from outside is one that the server could have written: it reads it, and writes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import prefill
from bench.faults import Broken
from bench.load.client import signed_in
from bench.scenarios.stored import filled
from tests.bench.stages import gochat


def test_the_server_goes_on_where_the_filling_ended(tmp_path: Path) -> None:
    with filled(gochat(tmp_path), "default", 3, 500, index=True) as stored:
        assert stored.head - stored.first == 499
        with signed_in(stored.running.address, stored.server.issuer, stored.users) as signed:
            [place] = signed[0][1].rooms
            assert place.head == stored.head
            client = signed[0][0]
            client.write(type="send", id=1, to=stored.room, body="one more")
            [ack] = client.replies(1)
            assert ack.seq == stored.head + 1


def test_words_are_common_and_rare() -> None:
    sentences = prefill.sentences(100)
    common, rare = (sum(prefill.word(number) in text for text in sentences) for number in (0, 700))
    assert common > 500
    assert rare < 50
    assert all(80 < len(text) <= 100 for text in sentences)
    assert len({prefill.word(number) for number in range(1000)}) == 1000


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_bytes(b"no database" * 100)
    with pytest.raises(Broken, match=r"chat\.db: can't be filled"):
        prefill.fill(tmp_path / "chat.db", "group:g", 1, ["a"], index=False)
