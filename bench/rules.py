"""The cost of the rules for words and links for a message of 100 characters, in one process and without a server.

    python -m bench.rules [SUFFIXES]

SUFFIXES is a public suffix list; without it the one that comes with gochat. The list of words is 1,000 made-up ones,
alike in length and beginnings to real ones. Beside messages as people write them it looks for the worst: of each family
of odd texts many are made, always the same ones, and the one that takes longest is measured. Each figure is the best
of many short stretches, in which no text comes twice, and the rows take turns: that is what the rules take, and the rest is what else ran on the
machine. Exit status: 0 all within their bounds, 1 not, 2 wrong usage.
"""

# ruff: noqa: RUF001, E501 -- ambiguous characters are what this is about, and messages are as long as they are

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Iterator, Sequence

from gochat.config import Policy
from gochat.domain.moderation import Rules
from gochat.domain.words import Words
from gochat.policy import load_rules

_LENGTH = 100
_ENTRIES = 1000
_PLAIN_US, _ANY_US = 8.0, 30.0
_STRETCH, _STRETCHES = 10, 600
_CANDIDATES = 60

#: The texts that are measured, and the most each may take; None where a text has something to find, which costs its
#: sender.
MESSAGES: tuple[tuple[str, float | None, str], ...] = (
    ("plain", _PLAIN_US, "the quick brown fox jumps over the lazy dog and then runs back home before the rain begins to fall"),
    ("plain, marks", _PLAIN_US, "I think we should meet at the station around noon, because the others will come by train, all right!"),
    ("apostrophes", _PLAIN_US, "it's all under water, isn't it? we can't find the cat, and the neighbours' dog hasn't been seen either"),
    ("full stops", _ANY_US, "The train was late. We waited for an hour. Then it rained. Nobody had an umbrella. What a day it was."),
    ("numbers, signs", _ANY_US, "call 555 1234 at 5pm, room 12b, cost $30 & 20% off! see @ann at 10:30, b4 that ok? gr8 thanks, cu l8r"),
    ("no spaces after", _ANY_US, "We came.We saw.We left.Then home.And so on.Nobody knew.It was fine.Good night.Sleep well.See you all"),
    ("files, versions", _ANY_US, "see readme.md and main.rs, version 1.2.3 or 1.2.4 of lib.so, then run setup.py and test.sh once more ok"),
    ("link to own site", _ANY_US, "have a look at https://docs.example.org/guide/start.html#install before you ask, it has all the answers"),
    ("Russian", _ANY_US, "Вчера мы ходили в кино и смотрели новый фильм про космос. Потом долго гуляли по городу и говорили о нём"),
    ("Chinese", _ANY_US, "今天天气很好，我们一起去公园散步吧。然后去吃午饭，下午再去图书馆看书！晚上回家做饭，你觉得怎么样？" * 2),
    ("Arabic", _ANY_US, "مرحبا، كيف حالك اليوم؟ الطقس جميل ونحن ذاهبون إلى الحديقة مع الأطفال. سنأكل هناك ونعود في المساء إن شاء الله"),
    ("emoji", _ANY_US, "🙂🎉👍 well done 👏👏👏 see you at the party 🎂🍰 and don't forget the ☕ or the 🍵 for grandma 👵 ok 🙂🙂 bye now"),
    ("foreign link", None, "have a look at https://evil.example.com/buy?now=1 before it is too late, everybody else has been there"),
    ("listed word", None, "have a look at this {word} before it is too late, since everybody else has been there and seen it too"),
    ("disguised", None, "have a look at this {spaced} before it is too late, as everybody else has been there and seen it"),
)  # fmt: skip


def word_list(entries: int = _ENTRIES) -> list[str]:
    """Made-up words, the same each time; none is a word of MESSAGES."""
    rng = random.Random(7)
    onsets = re.findall(
        r"\w+", "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr r s sh sl sn sp st t th tr v w z"
    )
    vowels = ("a", "e", "i", "o", "u", "ee", "oo", "ou", "ai")
    codas = re.findall(r"\w+", "b ck d ff g l ll m n ng nk p r rt s ss st t tch x zz")
    said = {word.strip(".,!?").lower() for _, _, text in MESSAGES for word in text.split()}
    words: set[str] = set()
    while len(words) < entries:
        word = rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas) + rng.choice(["", "er", "y", "ing", "o"])
        if len(word) > 3 and word not in said:
            words.add(word)
    return [word + "*" * (len(word) > 6) for word in sorted(words)]


def rules(suffixes: frozenset[str]) -> Rules:
    words = Words([*word_list(), "*zwoggle*", "*plimf*", "*grunk*", "傻瓜", "*quibnox*"])
    return Rules.build(
        words=words, on_word="mask", links="deny", on_link="flag", own_domains=["example.org"], suffixes=suffixes
    )


def messages() -> Iterator[tuple[str, float | None, str]]:
    for name, bound, text in MESSAGES:
        yield name, bound, text.format(word="zwoggle", spaced="z w 0 g g l e")[:_LENGTH]


def _joined(rng: random.Random, pieces: Sequence[str], gaps: str) -> str:
    text = ""
    while len(text) < _LENGTH:
        text += rng.choice(pieces) + rng.choice(gaps)
    return text[:_LENGTH]


def _near_words(rng: random.Random) -> str:
    """Listed words less their last letter, or with a letter more, or with more digits than letters."""
    word = rng.choice(word_list()).strip("*")
    digits = word.translate(str.maketrans("abegilost", "483911057"))
    return rng.choice((word[:-1], f"x{word}q", f"{word[:-1]}xq", digits[:-1], ".".join((word[:2], word[2:]))))


def odd_texts(family: str, rng: random.Random) -> str:
    """One text of a family, in which there should be nothing to find."""
    letters, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
    short = [rng.choice(letters) * rng.randint(1, 3) + rng.choice(letters) for _ in range(30)]
    match family:
        case "dots":
            return _joined(rng, [f"{word}.{rng.choice(letters).upper()}{rng.choice(letters)}q" for word in short], " .")
        case "digits":
            pieces = ["".join(rng.choices(digits + digits + letters, k=rng.randint(2, 8))) for _ in range(30)]
            return _joined(rng, pieces, "  .-'")
        case "scripts":
            return "".join(rng.choices("оаесрхикбщ абвг яюж мир qwx 你好。안녕 สวัสดี नमस्ते", k=_LENGTH))
        case "emoji":
            return _joined(rng, [*short, "🙂", "🎉👍", "❤️", "👩‍👩", "1️⃣", "🇫🇷"], "  ")
        case "CJK":
            return "".join(rng.choices("今天天气很好我们一起去公园散步吧，。！？「」1２ａ.傻瓜の", k=_LENGTH)).replace(
                "傻瓜", "傻"
            )
        case "single letters":
            return _joined(rng, letters + "1", "  .'-")
        case "runs":
            return _joined(rng, [rng.choice(letters + "1!.-") * rng.randint(4, 40) for _ in range(9)], "  ")
        case "near words":
            return _joined(rng, [_near_words(rng) for _ in range(30)], "  ,")
        case "near domains":
            pieces = ["co.uk", "or.at", "example.org", "came.It", "main.rs", "9.am", "x.yz1", "a@b.com", "e.g", "1.2.3"]
            return _joined(rng, [*pieces, "http://", "//", "www.", "example.org/x", "(dot)", "came.Is"], "  ,")
        case _:
            return "".join(
                rng.choices(letters + letters.upper() + digits + " .,!?'-/:;()@#$%&*+=_~" + " " * 15, k=_LENGTH)
            )


FAMILIES = (
    "dots",
    "digits",
    "scripts",
    "emoji",
    "CJK",
    "single letters",
    "runs",
    "near words",
    "near domains",
    "noise",
)


def worst(judge: Rules, family: str) -> str:
    """Of many texts of the family the one that takes longest though there is nothing to find."""
    rng = random.Random(family)
    clean = [text for text in (odd_texts(family, rng) for _ in range(_CANDIDATES)) if nothing_found(judge, text)]
    costs = cost_us(judge, clean, stretch=5, stretches=12)
    return max(clean, key=lambda text: costs[text])


def nothing_found(judge: Rules, text: str) -> bool:
    verdict = judge.check(text, contacts=False)
    return verdict.text == text and not verdict.flags and verdict.denied is None


def turned(text: str, times: int) -> list[str]:
    """So many texts of the same words, each begun with another, or of the same characters if there are no words."""
    parts, space = (text.split(" "), " ") if text.count(" ") >= times else (list(text), "")
    starts = (number * len(parts) // times for number in range(times))
    return [space.join(parts[start:] + parts[:start]) for start in starts]


def cost_us(
    judge: Rules, texts: Sequence[str], *, stretch: int = _STRETCH, stretches: int = _STRETCHES
) -> dict[str, float]:
    """Microseconds for one check of each: the mean of a stretch of texts like it, none of them twice."""
    best = dict.fromkeys(texts, float("inf"))
    stretched = {
        text: [alike for alike in turned(text, stretch) if nothing_found(judge, alike) == nothing_found(judge, text)]
        for text in texts
    }
    for _ in range(stretches):
        for text, alike in stretched.items():
            started = time.perf_counter_ns()
            for each in alike:
                judge.check(each, contacts=False)
            best[text] = min(best[text], (time.perf_counter_ns() - started) / len(alike) / 1000)
    return best


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 2
    judge = rules(load_rules(Policy(links="deny", suffixes_file=arguments[0] if arguments else "")).suffixes)
    rows = list(messages())
    rows += [(f"worst {family}", _ANY_US, worst(judge, family)) for family in FAMILIES]
    costs = cost_us(judge, [text for _, _, text in rows])
    broken = False
    for name, bound, text in rows:
        cost = costs[text]
        missed = bound is not None and (cost > bound or not nothing_found(judge, text))
        broken |= missed
        wanted = "" if bound is None else f"<= {bound:g}{'  NOT MET' if missed else ''}"
        print(f"{name:22} {len(text):4} characters {cost:8.2f} us  {wanted}")
        if missed:
            print(f"    {text!r}")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
