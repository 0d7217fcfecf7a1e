"""An exception that is caught and forgotten has its reason beside it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def silent(text: str) -> list[int]:
    """The lines of handlers that do nothing and say not why."""
    lines = text.splitlines()
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
        and not any("#" in line for line in lines[node.lineno - 1 : node.end_lineno])
    ]


def test_no_exception_is_forgotten_without_a_reason() -> None:
    folders = ("gochat", "bench", "deploy", "docs")
    sources = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    assert [f"{path.relative_to(ROOT)}:{line}" for path in sources for line in silent(path.read_text("utf-8"))] == []


def test_only_handlers_that_do_nothing_need_one() -> None:
    text = "try:\n    f()\nexcept A:\n    pass\nexcept B:\n    pass  # No matter.\nexcept C:\n    return\n"
    assert silent(text) == [3]
