"""The effect that other rules would have had, and the messages that another limit would have refused."""

from __future__ import annotations

from gochat.domain.moderation import FOREIGN_LINK, LISTED_WORD, STRANGERS_LINK, Rules
from gochat.domain.words import Words
from gochat.policy.compare import ALLOWED, RuleEffect, change, judge, refused_by_rate

WORDS = Words(["grobnik"])
SUFFIXES = frozenset({"com"})


def rules(**fields: object) -> Rules:
    return Rules(**{"words": WORDS, "suffixes": SUFFIXES, **fields})  # type: ignore[arg-type]


def test_an_outcome_names_the_rule_behind_it() -> None:
    assert judge(rules(), "a grobnik", contacts=False) == RuleEffect("refused", LISTED_WORD)
    assert judge(rules(on_word="flag"), "a grobnik", contacts=False) == RuleEffect("flagged", LISTED_WORD)
    masks = rules(on_word="mask", links="deny", on_link="mask")
    assert judge(masks, "a grobnik", contacts=False) == RuleEffect("masked", LISTED_WORD)
    assert judge(masks, "evil.com", contacts=False) == RuleEffect("masked", FOREIGN_LINK)
    for_contacts = rules(links="contacts")
    assert judge(for_contacts, "evil.com", contacts=False) == RuleEffect("refused", STRANGERS_LINK)
    assert judge(for_contacts, "evil.com", contacts=True) == ALLOWED


def test_only_another_outcome_is_a_change() -> None:
    assert change(rules(), rules(links="deny"), "a grobnik at evil.com", contacts=False) is None
    found = change(rules(), Rules(), "a grobnik", contacts=False)
    assert found is not None
    assert (found.was.outcome, found.would_be.outcome, found.rule) == ("refused", "allowed", LISTED_WORD)


def test_a_limit_is_replayed_over_the_times() -> None:
    assert refused_by_rate([0, 100, 200, 1000, 1100, 5000], 1.0, 1) == 3
    assert refused_by_rate([0, 100, 200, 1000, 1100, 5000], 1.0, 3) == 1
    assert refused_by_rate([0] * 50, 0.0, 1) == 0
