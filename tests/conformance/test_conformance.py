"""One script, every transport: what comes to each session is the same, frame by frame."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from gochat.errors import CLOSES, CODES, INVALID_TEXT, NO_HEARTBEAT, SLOW
from gochat.protocol.catalogue import CATALOGUE
from tests.conformance.by_client import ClientStage
from tests.conformance.stage import WAIT_S, Stage, staged
from tests.conformance.transcript import MAY_BE_LATE, SCRIPT, Frame, Received, Step, normal, steps
from tests.conformance.wires import WIRES

STEPS = list(steps(SCRIPT.read_text(encoding="utf-8")))
RECEIVED = [line for step in STEPS for line in step.received]
ERRORS = [line.frame for line in RECEIVED if isinstance(line.frame, dict) and line.frame["type"] == "error"]


@pytest.mark.parametrize("name", WIRES)
async def test_the_script_is_the_same_on(name: str, tmp_path: Path) -> None:
    async with staged(WIRES[name], tmp_path) as stage:
        for step in STEPS:
            try:
                await plays(stage, step)
            except Exception as error:
                error.add_note(f"{SCRIPT.name}, line {step.line}: {step.text.splitlines()[-1]}")
                raise


async def plays(stage: Stage, step: Step) -> None:
    """Messages of the last second may be missing in what a search finds, and positions in lists and pages: it is asked
    again until they are not."""
    deadline = trio.current_time() + WAIT_S
    while (told := await stage.play(step)) != stage.expects(step):
        late = step.send is not None and step.send["type"] in MAY_BE_LATE
        if not late or trio.current_time() > deadline:
            assert list(map(str, told)) == list(map(str, stage.expects(step)))


@pytest.mark.parametrize("name", ["websocket", "nng"])
async def test_the_client_library_plays_it_too(name: str, tmp_path: Path) -> None:
    async with staged(WIRES[name], tmp_path, ClientStage) as stage:
        for step in STEPS:
            try:
                await stage.plays(step)
            except Exception as error:
                error.add_note(f"{SCRIPT.name}, line {step.line}: {step.text.splitlines()[-1]}")
                raise
        assert stage.said >= 150


# ------------------------------------------------------------------------------------------------ the script itself


def test_it_is_long_enough() -> None:
    assert len(STEPS) >= 150


def test_it_has_every_request() -> None:
    sent = {step.send["type"] for step in STEPS if step.send is not None}
    assert {row.request.__struct_config__.tag for row in CATALOGUE.values()} - sent == set()


def test_it_has_every_action_of_a_request() -> None:
    missing = {}
    for row in CATALOGUE.values():
        if hint := row.request.__annotations__.get("action"):
            tag = row.request.__struct_config__.tag
            sent = {step.send["action"] for step in STEPS if step.send is not None and step.send["type"] == tag}
            missing[tag] = {action for action in actions(hint) if action not in sent}
    assert len(missing) >= 3
    assert {tag: names for tag, names in missing.items() if names} == {}


def actions(hint: str) -> list[str]:
    return [word.strip(" \n\"'") for word in hint.partition("[")[2].rpartition("]")[0].split(",") if word.strip()]


def test_it_has_every_code_of_an_error() -> None:
    assert {code.name for code in CODES} - {error["code"] for error in ERRORS} == set()


def test_it_has_every_number_that_a_session_is_closed_with() -> None:
    """But for those that take long, and the one that only a WebSocket has."""
    closed = {line.frame for line in RECEIVED if isinstance(line.frame, int)}
    assert {close.number for close in CLOSES} - closed == {SLOW, NO_HEARTBEAT, INVALID_TEXT}


def test_it_resumes_lags_and_resets() -> None:
    assert {"lag", "reset", "goaway", "hidden", "request"} <= {
        line.frame["type"] for line in RECEIVED if isinstance(line.frame, dict)
    }


# ------------------------------------------------------------------------------------------------ its reader


def test_a_transcript_is_taken_apart() -> None:
    text = '# why\nann > {"type": "ping"}\nann < {"type": "pong", "id": "*"}\nann ! open\nann < closed 4500\n'
    first, second = steps(text)
    assert first == Step(
        2, "ann", {"type": "ping"}, "", (Received("ann", {"type": "pong", "id": "*"}),), '# why\nann > {"type": "ping"}'
    )
    assert (second.act, second.received) == ("open", (Received("ann", 4500),))
    with pytest.raises(ValueError, match="line 1"):
        list(steps("ann sends a ping"))


@pytest.mark.parametrize(
    ("frame", "form"),
    [
        ({"type": "pong", "id": 7}, {"type": "pong", "id": "*"}),
        ({"type": "pong", "id": 8}, {"type": "pong", "id": 8}),
        ({"type": "error", "code": "busy", "message": "later", "close": 4000}, {"type": "error", "code": "busy"}),
        ({"seq": 3, "ts": 1_795_857_723_197, "epoch": "x"}, {"seq": 3, "ts": "<time>", "epoch": "<epoch>"}),
        ({"next": "abc"}, {"next": "<next>"}),
        ({"next": 7}, {"next": 7}),
    ],
)
def test_the_normal_form_leaves_out_what_runs_differ_in(frame: Frame, form: Frame) -> None:
    assert normal(frame, 7) == form
