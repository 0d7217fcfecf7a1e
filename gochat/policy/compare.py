"""Judges messages that were sent by other rules and other limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from gochat.domain.limits import TokenBucket
from gochat.domain.moderation import FOREIGN_LINK, LISTED_WORD, STRANGERS_LINK, Rules

Outcome: TypeAlias = Literal["allowed", "flagged", "masked", "refused"]


class RuleEffect(NamedTuple):
    outcome: Outcome
    """The most that a rule does to it."""
    rule: str | None = None
    """The rule that does it."""


ALLOWED = RuleEffect("allowed")


class Change(NamedTuple):
    was: RuleEffect
    would_be: RuleEffect

    @property
    def rule(self) -> str:
        """The rule of the new outcome; where nothing is found any more, the one of the old."""
        return self.would_be.rule or self.was.rule or ""


def judge(rules: Rules, text: str, *, contacts: bool) -> RuleEffect:
    verdict = rules.check(text, contacts=contacts)
    if verdict.denied is not None:
        return RuleEffect("refused", verdict.denied.rule)
    if verdict.text != text:
        by_word = rules.on_word == "mask" and rules.words.find(text)
        return RuleEffect("masked", LISTED_WORD if by_word else _link_rule(rules))
    if verdict.flags:
        return RuleEffect("flagged", verdict.flags[0].rule)
    return ALLOWED


def _link_rule(rules: Rules) -> str:
    return FOREIGN_LINK if rules.links == "deny" else STRANGERS_LINK


def change(now: Rules, new: Rules, text: str, *, contacts: bool) -> Change | None:
    """None if both sets of rules do the same to the text."""
    was, would_be = judge(now, text, contacts=contacts), judge(new, text, contacts=contacts)
    return Change(was, would_be) if was.outcome != would_be.outcome else None


def refused_by_rate(times_ms: Iterable[int], messages_per_s: float, burst: int) -> int:
    """How many of one user's messages, sent at `times_ms` (ascending), this limit would have refused."""
    bucket = TokenBucket(messages_per_s, burst)
    return sum(bucket.take(at_ms) > 0 for at_ms in times_ms)
