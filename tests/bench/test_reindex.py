"""The bench of indexing anew runs, on a small store, and says what it measured."""

from __future__ import annotations

import pytest

from bench import reindex


def test_it_measures_and_finds_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert reindex.main(["3000", "100", "1"]) == 0
    told = capsys.readouterr().out
    assert "3000 messages indexed anew in" in told
    assert "without: commits" in told and "with:    commits" in told


def test_a_wrong_number_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert reindex.main(["many"]) == 2
    assert "python -m bench.reindex" in capsys.readouterr().err
