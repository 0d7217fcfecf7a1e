"""Requests made from the OpenAPI document, good and bad ones: every answer is as the document says."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import trio

from gochat.http.rest.table import OPERATIONS
from gochat.node import running
from tests.e2e.conftest import make_settings
from tests.e2e.peer import address
from tests.http.rest.client import Rest, issue

ROOT = Path(__file__).parents[3]
#: Most of what it asks is refused, and it asks as fast as it can.
UNLIMITED = {"messages_per_s": 0, "refusals_per_s": 0}


async def fuzzed(folder: Path, *options: str, seconds: float) -> tuple[int, str]:
    """The verdict of all checks of schemathesis on a new node. In a process of its own, which sees the port alone."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": path}
    async with running(make_settings(folder / "data", policy={"strangers": "request"}, limits=UNLIMITED)) as node:
        zoe = Rest(node, issue(node, "zoe"))
        assert (await zoe.post("/v1/messages", {"to": "user:ann", "body": "may I?"})).status == 201
        await zoe.aclose()
        command = [
            sys.executable, "-m", "schemathesis.cli", "run",
            f"http://127.0.0.1:{address(node, 'http')[1]}/v1/openapi.json",
            "--header", f"Authorization: Bearer {issue(node, 'ann')}", "--continue-on-failure", *options,
        ]  # fmt: skip
        with trio.fail_after(seconds):
            done = await trio.run_process(
                command,
                cwd=folder,
                env=environment | {"SCHEMATHESIS_HOOKS": "tests.http.rest.fuzz_hooks"},
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def check(status: int, told: str, least: int) -> None:
    assert status == 0, told
    tested = re.search(r"Tested: (\d+)", told)
    assert tested is not None and int(tested[1]) == len(OPERATIONS), told
    generated = re.search(r"(\d+) generated", told)
    assert generated is not None and int(generated[1]) > least, told


async def test_answers_are_as_the_document_says(tmp_path: Path) -> None:
    check(*await fuzzed(tmp_path, "--seed=1", "--max-examples=5", seconds=600), least=800)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
async def test_so_are_many_more(tmp_path: Path, seed: int) -> None:
    check(*await fuzzed(tmp_path, f"--seed={seed}", "--max-examples=150", seconds=900), least=3_000)
