from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat import log

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def written(style: str, message: str, *args: object, **extra: object) -> str:
    stream = io.StringIO()
    log.setup("info", style, stream)
    logging.getLogger("gochat.test").info(message, *args, extra=extra)
    return stream.getvalue()


def test_text_is_a_line_for_people() -> None:
    line = written("text", "hello %s", "ann", peer="127.0.0.1", room="group:tea")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    gochat\.test: hello ann peer=127\.0\.0\.1 room=group:tea\n",
        line,
    )


def test_json_is_an_object_a_line() -> None:
    line = written("json", "hello %s", "ann", sessions=3)
    fields = json.loads(line)
    assert fields["message"] == "hello ann"
    assert (fields["level"], fields["logger"], fields["sessions"]) == ("info", "gochat.test", 3)


def test_the_level_counts() -> None:
    stream = io.StringIO()
    log.setup("warning", "text", stream)
    logging.getLogger("gochat").info("not this")
    logging.getLogger("gochat").warning("this")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("style", ["text", "json"])
@given(message=st.text(), value=st.text())
def test_one_record_is_one_line_of_printable_text(style: str, message: str, value: str) -> None:
    line = written(style, "%s", message, value=value)
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert line[:-1].isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", line[:-1])
    line.encode()


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_hostile_exception_forges_no_line(style: str) -> None:
    stream = io.StringIO()
    log.setup("info", style, stream)
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z INFO    gochat: forged\x1b[2J")
    except ValueError:
        logging.getLogger("gochat").exception("crashed")
    lines = stream.getvalue().splitlines()
    assert not any(line.startswith("2026-01-01T00:00:00") for line in lines)
    assert "\x1b" not in stream.getvalue()
    assert "forged" in stream.getvalue()
    if style == "json":
        (line,) = lines
        assert any("forged" in below for below in json.loads(line)["traceback"])


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize(
    "message",
    [
        TOKEN,
        f"Authorization: Bearer {TOKEN}",
        "authorization: bearer opaque-token/42=",
        f"gochat.v1.json, bearer.{TOKEN}",
        "eyJhbGciOiJIUzI1NiJ9.half",
    ],
)
def test_no_token_is_written(style: str, message: str) -> None:
    for line in (written(style, "%s", message), written(style, "hi", header=message)):
        assert "[token]" in line
        for part in ("eyJ", "c2lnbmF0dXJl", "opaque-token", "half"):
            assert part not in line
