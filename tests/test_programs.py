"""A test that is skipped says how to get what it lacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import how_to_get, needs, wants

TESTS = Path(__file__).parent
#: Each reason names what to install, or how to run the test.
WAYS = re.compile(r"apt-get install|make test|pyenv install|run it|sysctl|Debian|nodejs\.org")
#: Reasons that are put together elsewhere.
VARIABLES = {("programs.py", "reason"), ("programs.py", "how_to_get(program)"), ("test_run.py", "reason")}
SKIPS = {"skip", "skipif", "importorskip", "skip_or_fail"}


def reasons() -> Iterator[tuple[str, ast.expr]]:
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.func if isinstance(node, ast.Call) else None
            called = name.attr if isinstance(name, ast.Attribute) else name.id if isinstance(name, ast.Name) else ""
            if isinstance(node, ast.Call) and called in SKIPS:
                named = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
                yield path.name, [*named, *node.args][0]


def test_every_skip_says_how_to_get_what_is_missing() -> None:
    found = list(reasons())
    assert len(found) > 15
    silent = [
        (file, ast.unparse(reason))
        for file, reason in found
        if (file, ast.unparse(reason)) not in VARIABLES and not WAYS.search(ast.unparse(reason))
    ]
    assert silent == []


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert needs("sh").endswith("/sh")
    with pytest.raises(pytest.skip.Exception, match="no nodee: apt-get install nodee"):
        needs("sh", "nodee")
    assert how_to_get("cc") == "no cc: apt-get install gcc"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install nodee"):
        needs("nodee")
    with pytest.raises(pytest.skip.Exception):
        wants("nodee")
