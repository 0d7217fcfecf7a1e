"""No text costs more than in proportion to its length, whatever its sender made it of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from gochat.domain.display_text import clean_body, clean_line
from gochat.domain.folding import words
from gochat.domain.mentions import mentioned
from gochat.domain.moderation import Rules
from gochat.domain.words import Words
from tests.cost import cpu_s

WORDS = Words(["grobnik", "*illit*", "*lilil*", "lilil", "two moons", "*snarx*", "!snarxy", "傻瓜", "мрак", "b4nz"])
SUFFIXES = frozenset({"com", "it", "ws", "рф", "xn--p1ai"})
HAN = "".join(map(chr, range(0x4E00, 0x4E00 + 20_000)))


def rules(**changed: Any) -> Rules:
    actions = {"on_word": "mask", "links": "deny", "on_link": "mask", **changed}
    return Rules.build(words=WORDS, own_domains=["good.com"], suffixes=SUFFIXES, **actions)


MASKING, REFUSING = rules(), rules(on_word="refuse", on_link="refuse")


def read(text: str) -> None:
    """All that a text of a user goes through before it is recorded, and a query before it is asked."""
    body = clean_body(text)
    clean_line(text)
    for each in (text, body):
        for judge in (MASKING, REFUSING):
            judge.passes(each)
            judge.check(each, contacts=False)
        words(each)
        mentioned(each, "ann", ())


def of(*parts: str) -> Callable[[int], str]:
    """A text of about so many characters, in which each part is repeated in its turn."""
    return lambda size: "".join(part * (size // len(parts) // len(part)) for part in parts)


#: Texts whose cost is steps of Python.
STEPPING = {
    "links with one end": of("://a/", ")"),
    "links with one end, in brackets": of("://a/(", ")."),
    "links glued to letters": of("evil.com에"),
    "pops of no isolate": of("\u202a", "\u2069"),
    "isolates among embeddings": of("\u202a", "\u2066\u2069"),
    "a label of many letters": lambda size: "://" + HAN[:size],
    "a bare label of many letters": lambda size: HAN[: size // 2] + "." + HAN[:size],
    "labels": of("a."),
    "sentences": of("Evil.It"),
    "hosts": of("evil.com "),
    "mail addresses": of("bob@evil.com/ "),
    "words": of("snarx"),
    "a word in the midst of letters": of("snarx."),
    "letters alone": of("s n a r x "),
    "emoji": of("❤"),
    "domains of emoji": of("❤.ws"),
    "emoji before a domain": of("❤.", "ws"),
    "marks": of("a", "\u0301\u0323"),
    "accents on letters": of("e\u0301\u0323"),
    "ligatures": of("ﷺ"),
    "circled letters": of("ⓔ.ⓒⓞⓜ"),
    "dots in brackets": of("[.]"),
    "spaces": of("a", " ", "dot", " "),
}  # fmt: skip

#: Texts whose cost is in regular expressions and in `unicodedata`, where only the clock can tell.
SEARCHING = {
    "points before a word": lambda size: "." * size + "snarx",
    "exclamations before a letter": of("!", "x"),
    "exclamations and points": of("!.", "x"),
    "strokes that may be i or l": lambda size: "я " + "|" * size,
    "a mail address of many labels": lambda size: "a." * (size // 2) + "com@b",
    "marks that have an order": of("\u302e\u1b44"),
    "accents that have an order": of("\u0301\u0323"),
    "marks that come apart": of("\u0f73"),
    "scheme after scheme": of("://a/", ")"),
    "links glued to letters, a long text": of("evil.com에"),
}


def steps(call: Callable[[], object]) -> int:
    """The lines of Python that the call goes through."""
    count = 0

    def note(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += 1
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("made", STEPPING.values(), ids=STEPPING)
def test_four_times_the_text_takes_four_times_the_steps(made: Callable[[int], str]) -> None:
    short, long = made(300), made(1200)
    for text in (short, long):
        read(text)  # Tables fill as characters come up.
    assert steps(lambda: read(long)) < 6 * steps(lambda: read(short))


@pytest.mark.parametrize("made", SEARCHING.values(), ids=SEARCHING)
def test_no_search_goes_over_a_text_again_and_again(made: Callable[[int], str]) -> None:
    """The bound is generous: what grows with the square of the length takes ten times as long and more."""
    text = made(60_000)
    assert cpu_s(lambda: read(text), times=1) < 2
