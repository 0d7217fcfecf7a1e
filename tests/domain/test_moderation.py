"""The consequences of a listed word or a foreign link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain import moderation
from gochat.domain.moderation import FOREIGN_LINK, LISTED_WORD, STRANGERS_LINK, Action, Flag, LinkPolicy, Rules
from gochat.domain.words import Words
from gochat.errors import BY_NAME

WORDS = Words(["grobnik", "*snarx*"])
SUFFIXES = frozenset({"com", "org"})
BOTH = "grobnik: see evil.com"


def rules(on_word: Action = "refuse", links: LinkPolicy = "deny", on_link: Action = "refuse") -> Rules:
    return Rules.build(
        words=WORDS, on_word=on_word, links=links, on_link=on_link, own_domains=["Good.COM."], suffixes=SUFFIXES
    )


def test_what_breaks_no_rule_passes_unchanged() -> None:
    for text in ("hello", "at sub.good.com", ""):
        assert rules().check(text, contacts=False) == (text, None, ())


def test_nothing_is_forbidden_by_default() -> None:
    assert Rules().check(BOTH, contacts=False) == (BOTH, None, ())


@pytest.mark.parametrize(
    ("text", "links", "contacts", "code", "rule"),
    [
        ("a grobnik", "allow", True, "censored", LISTED_WORD),
        ("evil.com", "deny", True, "external_link", FOREIGN_LINK),
        ("evil.com", "contacts", False, "external_link", STRANGERS_LINK),
        (BOTH, "deny", False, "censored", LISTED_WORD),
    ],
)
def test_refused(text: str, links: LinkPolicy, contacts: bool, code: str, rule: str) -> None:
    denied = rules(links=links).check(text, contacts=contacts).denied
    assert denied is not None
    assert (denied.code, denied.rule) == (code, rule)
    assert denied.code in BY_NAME
    assert not any(found in denied.message for found in ("grobnik", "evil"))


@pytest.mark.parametrize(("links", "contacts"), [("allow", False), ("contacts", True)])
def test_links_that_are_allowed(links: LinkPolicy, contacts: bool) -> None:
    assert rules(links=links).check("evil.com", contacts=contacts) == ("evil.com", None, ())


def test_masked() -> None:
    verdict = rules("mask", "deny", "mask").check("Gr0bnik: see http://evil.com/x.", contacts=False)
    assert verdict == ("*******: see *****************.", None, ())


def test_flagged_for_moderators() -> None:
    verdict = rules("flag", "contacts", "flag").check(BOTH, contacts=False)
    assert verdict == (BOTH, None, (Flag(LISTED_WORD, "grobnik", 0, 7), Flag(STRANGERS_LINK, "evil.com", 13, 21)))


def test_each_rule_has_its_own_action() -> None:
    assert rules("mask", "deny", "flag").check(BOTH, contacts=False) == (
        "*******: see evil.com",
        None,
        (Flag(FOREIGN_LINK, "evil.com", 13, 21),),
    )
    refused = rules("mask", "deny", "refuse").check(BOTH, contacts=False)
    assert refused.denied is not None
    assert refused.denied.code == "external_link"


@pytest.mark.parametrize(
    "text", ["evil.com.grobnik", "www.evil.com.grobnik hi", "evil[.]com.grobnik", "a-grobnik.evil.com"]
)
def test_a_link_that_a_mask_brings_out_is_a_link(text: str) -> None:
    denied = rules("mask", "deny", "refuse").check(text, contacts=False).denied
    assert denied is not None
    assert denied.rule == FOREIGN_LINK
    masked = rules("mask", "deny", "mask").check(text, contacts=False)
    assert masked.denied is None
    assert "evil" not in masked.text
    flagged = rules("mask", "deny", "flag").check(text, contacts=False)
    assert [flag.found for flag in flagged.flags] in (
        ["evil.com"],
        ["www.evil.com"],
        ["a-grobnik.evil.com"],
    )


def test_a_word_that_a_mask_brings_out_is_masked_too() -> None:
    assert rules("mask", "allow").check("so gro?grobnik?bnik", contacts=False).text == "so ****************"


def test_a_text_in_which_each_mask_brings_out_a_word_is_masked_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moderation, "_MOST_READINGS", 1)
    verdict = rules("mask", "allow").check("so gro?grobnik?bnik ok", contacts=False)
    assert verdict == ("** **************** **", None, ())


@given(
    st.text(st.one_of(st.sampled_from("grobniksax .com:/@1-"), st.characters()), max_size=60),
    st.sampled_from(("refuse", "mask", "flag")),
    st.booleans(),
)
def test_a_text_that_was_let_pass_passes_again(text: str, on_link: Action, contacts: bool) -> None:
    judge = rules("mask", "contacts", on_link)
    verdict = judge.check(text, contacts=contacts)
    again = judge.check(verdict.text, contacts=contacts)
    assert verdict.denied is not None or (again.text, again.denied) == (verdict.text, None)


@given(
    st.text(st.one_of(st.sampled_from("grobniksax .com:/@1-"), st.characters()), max_size=60),
    st.sampled_from(("refuse", "mask", "flag")),
    st.booleans(),
)
def test_any_text_gets_one_verdict_and_keeps_its_length(text: str, action: Action, contacts: bool) -> None:
    judge = rules(action, "contacts", action)
    verdict = judge.check(text, contacts=contacts)
    assert verdict == judge.check(text, contacts=contacts)
    assert len(verdict.text) == len(text)
    if action == "mask":
        assert verdict.denied is None
    else:
        assert verdict.text == text


@given(
    st.text(st.one_of(st.sampled_from("grobniksax .com:/@1-"), st.characters()), max_size=60),
    st.sampled_from(("allow", "contacts", "deny")),
    st.booleans(),
)
def test_what_passes_has_a_verdict_that_changes_nothing(text: str, links: LinkPolicy, contacts: bool) -> None:
    judge = rules("mask", links)
    if judge.passes(text):
        assert judge.check(text, contacts=contacts) == (text, None, ())


def test_what_passes_without_a_verdict() -> None:
    assert Rules().passes(BOTH)
    assert rules(links="allow").passes("see evil.com")
    assert not rules(links="allow").passes(BOTH)
    assert not rules(links="contacts").passes("see evil.com")
    assert rules(links="contacts").passes("See you. At 5, or later?")
    assert rules(links="deny").passes("it is done")
    for link in ("see evil.com", "evil dot com", "EVIL DOT COM", "http:\\\\evil", "evil . com", "ev&#105;l.com"):
        assert not rules(links="deny").passes(link), link
