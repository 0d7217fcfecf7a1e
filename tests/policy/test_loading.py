"""Rules come from files, and what is wrong with a file is said by key, file and line."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest

from gochat.config import Policy
from gochat.errors import ConfigError
from gochat.policy import RulesInForce, load_rules


def policy(**fields: object) -> Policy:
    return msgspec.structs.replace(Policy(), **fields)  # type: ignore[arg-type]


def denied(rules: RulesInForce, text: str) -> str | None:
    verdict = rules.check(text, contacts=False)
    return verdict.denied.code if verdict.denied else None


def test_without_files_gochats_own_lists_are_in_force() -> None:
    rules = RulesInForce(Policy())
    assert denied(rules, "what a sh1t") == "censored"
    assert denied(rules, "see evil.co.uk, all") == "external_link"
    assert denied(rules, "пример.рф") == "external_link"
    assert denied(rules, "x.y.ck") == "external_link"
    assert denied(rules, "nice.thing to say") is None


def test_a_list_of_ones_own_replaces_the_built_in_one(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("\ufeffgrobnik\r\n# blistor\r\n", encoding="utf-8")
    (tmp_path / "suffixes").write_text("// mine\ntest\n")
    rules = RulesInForce(policy(words_file=str(tmp_path / "words"), suffixes_file=str(tmp_path / "suffixes")))
    assert denied(rules, "a grobnik") == "censored"
    assert denied(rules, "shit blistor evil.com") is None
    assert denied(rules, "evil.test") == "external_link"


def test_off_looks_for_no_words_and_reads_no_list(tmp_path: Path) -> None:
    rules = RulesInForce(policy(word_action="off", words_file=str(tmp_path / "absent")))
    assert denied(rules, "shit") is None
    assert denied(rules, "evil.com") == "external_link"


def test_allowed_links_need_no_list(tmp_path: Path) -> None:
    rules = load_rules(policy(links="allow", suffixes_file=str(tmp_path / "absent")))
    assert not rules.suffixes


def test_own_domains_are_taken_in_any_form() -> None:
    rules = RulesInForce(policy(own_domains=["Bücher.Example"]))
    assert denied(rules, "http://xn--bcher-kva.example/ and http://a.bücher.example") is None


@pytest.mark.parametrize("domain", ["https://chat.example", "chat.example/x", "a b", "", ".", "x:80"])
def test_an_own_domain_that_is_no_host(domain: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.own_domains: .* must be a host"):
        load_rules(policy(own_domains=["chat.example", domain]))


@pytest.mark.parametrize(
    ("key", "content", "problem"),
    [
        ("words_file", None, "no such file or directory"),
        ("words_file", b"good\n\nx\n", "line 3: an entry needs 2 letters"),
        ("words_file", b"good\n\xff\n", "line 2: is not UTF-8"),
        ("suffixes_file", None, "no such file or directory"),
        ("suffixes_file", b"// nothing\n", "has no rule"),
        ("suffixes_file", b"com\nnet\n\xe9\n", "line 3: is not UTF-8"),
    ],
)
def test_an_error_names_the_key_the_file_and_the_line(
    tmp_path: Path, key: str, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "list.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_rules(policy(**{key: str(file)}))
    assert str(caught.value).startswith(f"{file}: policy.{key}: {problem}")


def test_reload_takes_a_good_list_and_keeps_the_old_rules_before_a_bad_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "words"
    file.write_text("grobnik\n")
    rules = RulesInForce(policy(words_file=str(file)))
    rules.warm_up()
    file.write_text("blistor\n")
    assert denied(rules, "blistor") is None
    assert rules.reload() is None
    assert denied(rules, "blistor") == "censored"
    file.write_text("plonk\nx\n")
    before = rules.current
    with caplog.at_level(logging.ERROR):
        problem = rules.reload()
    assert "line 2" in str(problem)
    assert "the rules stay as they were" in caplog.text
    assert rules.current is before
    assert rules.reload(policy(word_action="off")) is None
    assert denied(rules, "blistor") is None
    assert rules.reload() is None, "the settings given last are read again"
