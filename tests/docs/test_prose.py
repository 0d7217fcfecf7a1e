"""How docs/prose.py counts."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from typing import Any

from tests.test_docs import script


def counted_in(root: Path) -> Any:
    """The counts, in another tree."""
    module: Any = script("prose")
    module.ROOT = root
    return module


def test_the_names_that_the_glossary_replaced_are_found(tmp_path: Path) -> None:
    (tmp_path / "gochat").mkdir()
    (tmp_path / "gochat" / "flusher.py").write_text(
        "class _Lot:\n    num: int\n    def when_level(self):\n        self._tail = self.broadcaster = 1\n"
    )
    names = [(place.line, place.text.split(":")[0]) for place in counted_in(tmp_path).old_names()]
    assert sorted(names) == [
        (1, "class _Lot"),
        (1, "module flusher"),
        (2, "attribute num"),
        (3, "function when_level"),
        (4, "attribute _tail"),
    ]


def test_sentences_are_told_from_code_headings_and_tables(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "# What is no sentence\n\nUsers write. What they write\nis kept! Who reads? `What` is code.\n\n"
        "| What | a table |\n\n```\nWhat a block.\n```\n\n- Who is listed is counted.\n- Others are not.\n"
    )
    (tmp_path / "gochat").mkdir()
    (tmp_path / "gochat" / "code.py").write_text(
        '"""Whole. What it is."""\n\nx = 1  # noqa: F401\n"""Who x is."""\n'
        "# A comment that\n# What goes on. Who ends.\n"
    )
    module = counted_in(tmp_path)
    found = [(place.line, place.text) for place in module.free_relatives(module.sentences())]
    assert found == [
        (1, "What it is."),
        (4, "Who x is."),
        (5, "Who ends."),
        (3, "What they write is kept!"),
        (12, "Who is listed is counted."),
    ]


def test_comments_of_scripts_and_recipes_are_prose(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("#!/bin/sh\n# What is made.\nall: x # What is no comment of its own.\n")
    folder = tmp_path / "gochat" / "http" / "web"
    (folder / "vendor").mkdir(parents=True)
    (folder / "vendor" / "theirs.js").write_text("// What others wrote.\n")
    (folder / "page.js").write_text(
        "// @ts-check\n// What it is.\nconst url = 'http://a/b'; // What stands behind code.\n"
        "/** Whole. What it does. @param {string} x */\n/** Begun\n *  here. What goes on.\n *  @returns {string} */\n"
    )
    module = counted_in(tmp_path)
    found = [(place.line, place.text) for place in module.free_relatives(module.sentences())]
    assert found == [
        (2, "What it is."),
        (3, "What stands behind code."),
        (4, "What it does."),
        (5, "What goes on."),
        (2, "What is made."),
    ]


def test_a_table_may_be_kept_from_the_formatter(tmp_path: Path) -> None:
    (tmp_path / "gochat").mkdir()
    (tmp_path / "gochat" / "code.py").write_text(
        "TABLE = {\n    1: 2,\n    3: 4,\n    5: 6,\n}  # fmt: skip\n\n\n"
        "def f(\n    a\n):  # fmt: skip\n    return [\n        a]  # fmt: skip\n"
    )
    assert [place.line for place in counted_in(tmp_path).skips()] == [10, 12]


def test_comments_are_those_of_pythons_own_tokenizer() -> None:
    module: Any = script("prose")
    code = (
        "#!/bin/sh\nx = '#' + \"it's # none\" + r'\\\\' + rf\"{x}#\"  # one, 'quoted'\n"
        'def f():\n    \'\'\'# none, \\\'\'\' # nor here \'\'\'; """a\n#\nb\\""""  # two """\n    # three\n\t#four\n'
    )
    told = [
        (token.start[0], token.line[: token.start[1]].strip() == "", token.string)
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.COMMENT
    ]
    assert [(row, not before.strip(), comment) for row, before, comment in module.comments(code)] == told
    assert len(told) == 5
