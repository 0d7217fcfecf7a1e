"""The bodies of `--rules`: all are allowed, and all kinds are there."""

from __future__ import annotations

import json

import pytest

from bench import rulebook
from bench.rulebook import Sentences
from gochat.domain.moderation import Rules
from gochat.domain.words import Words


@pytest.mark.parametrize("size", [60, 100, 1000])
def test_every_sentence_passes_the_servers_own_rules(size: int) -> None:
    rules = Rules.build(
        words=Words(rulebook.words()),
        on_word="refuse",
        links="deny",
        on_link="refuse",
        own_domains=["chat.example"],
        suffixes=frozenset(["com", "org", "example"]),
    )
    for text in rulebook.sentences(size):
        found = rules.check(text, contacts=False)
        assert not getattr(found, "rule", None), (text, found)


def test_a_listed_word_and_a_foreign_link_do_not_pass() -> None:
    rules = Rules.build(
        words=Words(rulebook.words()),
        on_word="refuse",
        links="deny",
        on_link="refuse",
        own_domains=["chat.example"],
        suffixes=frozenset(["com", "org", "example"]),
    )
    plain = rules.check("a plain sentence", contacts=False)
    for text in (rulebook.words()[0].rstrip("*"), "see https://evil.com/x"):
        assert rules.check(text, contacts=False) != plain


def test_one_in_ten_is_special_and_all_kinds_are_there() -> None:
    sentences = rulebook.sentences(100)
    assert sentences == rulebook.sentences(100)
    links = sum("https://" in text for text in sentences)
    scripts = sum(not text.isascii() for text in sentences)
    neighbours = sum("ment " in text and " un" in f" {text}" for text in sentences)
    assert links > 25 < scripts
    assert neighbours > 25
    assert links + scripts + neighbours == pytest.approx(len(sentences) / 10, abs=6)


def test_bodies_are_numbered_and_survive_json() -> None:
    bodies = Sentences(100)
    for number in range(1, 1100):
        assert json.loads(f'"{bodies.json(number)}"') == bodies[number]
        assert bodies[number].startswith(f"{number:08d} ")
