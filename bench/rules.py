"""What the rules for words and links cost a message of 100 characters, in one process and without a server.

    python -m bench.rules [SUFFIXES]

SUFFIXES is a public suffix list; without it a stand-in of the same size. The list of words is 1,000 made-up ones, alike
in length and beginnings to real ones. Each figure is the best of many short stretches: that is what the rules take, and
the rest is what else ran on the machine. Exit status: 0 all within their bounds, 1 not, 2 wrong usage.
"""

# ruff: noqa: RUF001, E501 -- ambiguous characters are what this is about, and messages are as long as they are

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gochat.domain.links import suffix_rules
from gochat.domain.moderation import Rules
from gochat.domain.words import Words

_LENGTH = 100
_ENTRIES = 1000
_PLAIN_US, _ANY_US = 8.0, 30.0
_STRETCH, _STRETCHES = 200, 60

#: What is measured, and the most it may take; None where there is something to find, which costs whoever sent it.
MESSAGES: tuple[tuple[str, float | None, str], ...] = (
    ("plain", _PLAIN_US, "the quick brown fox jumps over the lazy dog and then runs back home before the rain begins to fall"),
    ("plain, marks", _PLAIN_US, "I think we should meet at the station around noon, because the others will come by train, all right!"),
    ("apostrophes", _ANY_US, "it's all under water, isn't it? we can't find the cat, and the neighbours' dog hasn't been seen either"),
    ("full stops", _ANY_US, "The train was late. We waited for an hour. Then it rained. Nobody had an umbrella. What a day it was."),
    ("numbers, signs", _ANY_US, "call 555 1234 at 5pm, room 12b, cost $30 & 20% off! see @ann at 10:30, b4 that ok? gr8 thanks, cu l8r"),
    ("no spaces after", _ANY_US, "We came.We saw.We left.Then home.And so on.Well.No matter.It was fine.Good night.Sleep well.See you all"),
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


def cost_us(judge: Rules, text: str) -> float:
    """Microseconds for one check."""
    best = float("inf")
    for _ in range(_STRETCHES):
        started = time.perf_counter_ns()
        for _ in range(_STRETCH):
            judge.check(text, contacts=False)
        best = min(best, (time.perf_counter_ns() - started) / _STRETCH / 1000)
    return best


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 2
    if arguments:
        suffixes = suffix_rules(Path(arguments[0]).read_text(encoding="utf-8").splitlines())
    else:
        suffixes = frozenset(
            ["com", "org", "md", "rs", "so", "py", "sh", *(f"suffix{number}" for number in range(7000))]
        )
    judge = rules(suffixes)
    broken = False
    for name, bound, text in messages():
        cost = cost_us(judge, text)
        broken |= bound is not None and cost > bound
        wanted = "" if bound is None else f"<= {bound:g}{'' if cost <= bound else '  NOT MET'}"
        print(f"{name:18} {len(text):4} characters {cost:8.2f} us  {wanted}")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
