"""A client that a known generator makes from the OpenAPI document holds a conversation with a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from gochat.http.describe.openapi import document
from gochat.node import running
from tests.e2e.conftest import make_settings
from tests.e2e.peer import address
from tests.http.rest.client import issue
from tests.programs import skip_or_fail

ROOT = Path(__file__).parents[3]
#: Made by `make test-long`: the generator, and what its clients import, are no part of the tests' own packages.
BIN = ROOT / ".build" / "openapi-client" / "bin"
#: No programs run over what was generated; and SQLite's media type means bytes.
CONFIG = "post_hooks: []\ncontent_type_overrides:\n  application/vnd.sqlite3: application/octet-stream\n"


@pytest.mark.long
async def test_a_generated_client_holds_a_conversation(tmp_path: Path) -> None:
    if not (BIN / "openapi-python-client").exists():
        skip_or_fail(f"no generator in {BIN}: make test-long")
    (tmp_path / "openapi.json").write_bytes(document())
    (tmp_path / "config.yml").write_text(CONFIG)
    told = await ran(
        tmp_path,
        str(BIN / "openapi-python-client"),
        "generate",
        "--path=openapi.json",
        "--config=config.yml",
        "--output-path=generated",
        "--meta=none",
        "--fail-on-warning",
    )
    assert "error" not in told.lower(), told
    async with running(make_settings(tmp_path / "data", policy={"strangers": "request"})) as node:
        host, port = address(node, "http")
        known = {"url": f"http://{host}:{port}", "ann": issue(node, "ann"), "bob": issue(node, "bob")}
        script = str(Path(__file__).with_name("generated_conversation.py"))
        told = await ran(tmp_path, str(BIN / "python"), script, stdin=json.dumps(known))
    assert told.strip() == "done"


async def ran(folder: Path, *command: str, stdin: str = "") -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(folder), "NO_COLOR": "1"}
    with trio.fail_after(120):
        done = await trio.run_process(
            command,
            cwd=folder,
            env=environment,
            stdin=stdin.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    told = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, told
    return told
