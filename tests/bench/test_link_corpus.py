"""The measure of wrong links: what it reads, what it holds out, and that it can fail."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bench import link_corpus

PAGE = r""".\" A comment
.TH LS 1
.SH BESCHREIBUNG
\fBls\fP zeigt den Inhalt von Verzeichnissen.
Es sortiert die Namen \-\- wenn nicht anders verlangt.
.nf
see evil.com. Not read.
.fi
.B Optionen
stehen weiter unten. Sie sind in \fI/etc/ls.conf\fP beschrieben.
"""


def folder(tmp_path: Path, pages: dict[str, str]) -> Path:
    for name, page in pages.items():
        file = tmp_path / "usr/share/man/de/man1" / f"{name}.1.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(page.encode()))
    return tmp_path


def test_the_running_text_of_a_manual_page_is_read_in_pairs_of_sentences(tmp_path: Path) -> None:
    found = {each.text.replace(" ", "") for each in link_corpus.texts(folder(tmp_path, {"ls": PAGE}))}
    assert found == {
        "lszeigtdenInhaltvonVerzeichnissen.EssortiertdieNamen--wennnichtandersverlangt.",
        "Optionenstehenweiterunten.Siesindin/etc/ls.confbeschrieben.",
    }


def test_a_false_hit_fails_and_an_address_is_no_false_hit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "Hier steht ein Satz Nummer {}. Und dann kommt {} als Name."
    pages = {str(n): sentence.format(n, "evil.de" if n % 2 else "so.etwas") for n in range(40)}
    assert link_corpus.main([str(folder(tmp_path, pages))]) == 0
    shown = capsys.readouterr().out
    assert ": 0 false hits" in shown
    assert ", found in 0" not in next(line for line in shown.splitlines() if line.startswith("de"))
    pages = {str(n): sentence.format(n, "evil.ninja") for n in range(40)}
    assert link_corpus.main([str(folder(tmp_path, pages))]) == 1
    assert "de evil.ninja" in capsys.readouterr().out


def test_without_packages_it_says_how_to_get_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert link_corpus.main([str(tmp_path)]) == 2
    assert "--download" in capsys.readouterr().err


def test_disguised_links_are_always_the_same_and_a_fifth_is_held_out() -> None:
    links = list(link_corpus.disguised())
    assert links == list(link_corpus.disguised())
    assert {trick for trick, _, _ in links} == set(link_corpus.tricks())
    held_out = sum(link_corpus._is_held_out(text) for _, text, _ in links)
    assert 0.15 < held_out / len(links) < 0.25
