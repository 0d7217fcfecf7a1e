"""Rules for the content of a text: listed words and foreign links, and the consequences of either.

Each rule has one action. `refuse` denies the text, `mask` lets it pass with `*` in the place of what was found, `flag`
lets it pass as it is and tells the moderators. A denial names its rule, and never repeats what it found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from gochat.domain.display_text import bare_emoji
from gochat.domain.links import canonical_host, foreign_links, has_foreign_link, may_have_links
from gochat.domain.words import Hit, Words, mask
from gochat.errors import Denied

Action: TypeAlias = Literal["refuse", "mask", "flag"]
LinkPolicy: TypeAlias = Literal["allow", "contacts", "deny"]

LISTED_WORD = "words.listed"
FOREIGN_LINK = "links.foreign"
STRANGERS_LINK = "links.contacts"
#: `BY_RULE[rule]` is what its denial says.
BY_RULE = {
    LISTED_WORD: Denied("censored", "the text contains a listed word", rule=LISTED_WORD),
    FOREIGN_LINK: Denied("external_link", "links to other sites are not allowed here", rule=FOREIGN_LINK),
    STRANGERS_LINK: Denied("external_link", "only contacts may send links to other sites", rule=STRANGERS_LINK),
}

#: Of a text that was masked.
_MOST_READINGS = 4

NO_EMOJI = Denied("bad_request", "emoji: a reaction is one emoji")


class Flag(NamedTuple):
    """For moderators: why a text that passed should be looked at. Characters `start` to `end` of it, end exclusive."""

    rule: str
    found: str
    """The entry of the list, or the host."""
    start: int
    end: int


class Verdict(NamedTuple):
    text: str
    """The text that may be recorded: as it was, or masked. Means nothing if denied."""
    denied: Denied | None = None
    flags: tuple[Flag, ...] = ()


class Rules(msgspec.Struct, frozen=True):
    """The rules in force. Replaced as a whole when they are read anew; safe to share between threads."""

    words: Words = Words()
    on_word: Action = "refuse"
    links: LinkPolicy = "allow"
    on_link: Action = "refuse"
    own_domains: frozenset[str] = frozenset()
    """Canonical hosts (see `build`); each covers what is below it."""
    suffixes: frozenset[str] = frozenset()
    """The rules of the public suffix list, from links.suffix_rules. Without them bare domains are not seen."""
    emoji: Mapping[str, str] = MappingProxyType({})
    """By its bare form (see `bare_emoji`) each emoji as it is recorded. Without them anything is one."""

    @classmethod
    def build(
        cls,
        *,
        words: Words,
        on_word: Action,
        links: LinkPolicy,
        on_link: Action,
        own_domains: Iterable[str],
        suffixes: frozenset[str],
        emoji: Mapping[str, str] = MappingProxyType({}),
    ) -> Rules:
        """The rules from settings as they are written: own domains in any form."""
        return cls(words, on_word, links, on_link, frozenset(map(canonical_host, own_domains)), suffixes, emoji)

    def reaction(self, text: str) -> str | None:
        """The emoji as it is recorded, however it is written; None for what is none."""
        return self.emoji.get(bare_emoji(text)) if self.emoji else text

    def passes(self, text: str) -> bool:
        """True only where `check` would leave the text as it is, for any readers: nearly always, and cheaper to ask."""
        words = self.words
        prefilter = words.compiled or words.compile()
        if prefilter.suspects(text) and words.find(text):
            return False
        return self.links == "allow" or not may_have_links(text)

    def check(self, text: str, *, contacts: bool) -> Verdict:
        """The verdict on `text`. `contacts`: whether sender and receivers are contacts, for the policy of that name.

        A refused word is the answer before a refused link. Nothing is raised, whatever the text.
        """
        hits = self.words.find(text)
        is_bound = self.links == "deny" or (self.links == "contacts" and not contacts)
        if not hits and not (is_bound and may_have_links(text)):
            return Verdict(text)
        link_rule = None if not is_bound else FOREIGN_LINK if self.links == "deny" else STRANGERS_LINK
        verdict = self._read_once(text, hits, link_rule)
        if verdict.denied is not None or verdict.text is text:
            return verdict
        return self._read_masked(verdict, link_rule)

    def _read_once(self, text: str, hits: list[Hit], link_rule: str | None) -> Verdict:
        """The verdict on the text as it stands, with the words in it; without `link_rule` it may have links."""
        if hits and self.on_word == "refuse":
            return Verdict(text, BY_RULE[LISTED_WORD])
        found = [(self.on_word, Flag(LISTED_WORD, hit.entry, hit.start, hit.end)) for hit in hits]
        if link_rule is not None:
            if self.on_link != "refuse":
                links = foreign_links(text, self.own_domains, self.suffixes)
                found += [(self.on_link, Flag(link_rule, link.host, link.start, link.end)) for link in links]
            elif has_foreign_link(text, self.own_domains, self.suffixes):
                return Verdict(text, BY_RULE[link_rule])
        if not found:
            return Verdict(text)
        places = [(flag.start, flag.end) for action, flag in found if action == "mask"]
        flags = tuple(flag for action, flag in found if action == "flag")
        return Verdict(mask(text, places) if places else text, flags=flags)

    def _read_masked(self, verdict: Verdict, link_rule: str | None) -> Verdict:
        """The verdict on a text that was masked. Stars may bring out what the masked word had hidden: `evil.com.rude`
        is no link, `evil.com.****` is one. So the text is read again until nothing is found in it; a text in which
        something comes out each time is masked as a whole, since each reading costs as much as the first."""
        flags = {(flag.rule, flag.end): flag for flag in verdict.flags}
        for _ in range(_MOST_READINGS):
            again = self._read_once(verdict.text, self.words.find(verdict.text), link_rule)
            if again.denied is not None:
                return again
            for flag in again.flags:  # Of a host that was flagged before a part may be left.
                flags.setdefault((flag.rule, flag.end), flag)
            if again.text is verdict.text:
                return Verdict(again.text, flags=tuple(flags.values()))
            verdict = again
        return Verdict(mask(verdict.text, [(0, len(verdict.text))]), flags=tuple(flags.values()))
