"""Whether a name with dots is meant as a site: not as a file, a time, or two sentences without a space. Pure.

The signs that tell them apart are in docs/decisions/links.md, with the figures.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_words = re.compile(r"\S+").findall
#: Suffixes of files, which are met far more often than sites of these names.
FILES = frozenset(["md", "rs", "py", "sh", "ps", "so", "ml", "mk", "zip", "mov", "bz", "pub", "save", "sl", "target"])
_FILE_NAMES = frozenset(
    _words("sendmail.cf submit.cf main.cf master.cf configure.in makefile.in memory.events cgroup.events pids.events")
)
#: Top-level domains with many sites that are no word to begin a sentence with, whatever their case.
_CLEAR = frozenset(
    _words(
        """
        com net org edu gov info biz xyz site website online shop store club icu vip app dev top cloud tech
        bet casino porn xxx sbs cfd cyou lol ru uk ua ag bg br bz cc cn cz fm fr gb gd gg gl gp gq gs gt hk hn
        hr jp kr kz lk lt lv ly mc mk mn mx nl np nz ph pk pn pt pw sg sh sk td tk tn tv tw vc vg vn ws
        """
    )
)
#: Further ones under which names of emoji are registered; they are words too.
_WITH_EMOJI = frozenset(_words("la to cf ga ml st uz je"))
#: Those that people write behind a dot in words or between spaces. Of the second list only where nothing follows.
_SPELLED = _words(
    "com net org info biz xyz site online shop store club icu vip app dev top ru cn de fr pl io co cc tv uk"
)
_SPELLED_LAST = _words("it me in live link click eu us ca")
#: In front of `dot com` they speak of the term, or of what is behind a point; as a name of a site they are none.
_NO_NAMES = frozenset(
    _words(
        """
        the and for but not you all any can her was one our out get use buy see has his how its may new now
        old two way who did let put say she too this that with from your have more will each than then them
        these those some into over such like big great early late first every another typical famous other
        under own via per der die das den dem des ein eine und mit von les des une ces ses est sur par los las
        del una con por para que dos das uma gli dei nel file files datei dateien archivo archivos arquivo
        arquivos fichier fichiers domain domains
        """
    )
)
_TERM_NOUNS = frozenset(
    _words(
        """
        bubble boom bust crash craze era days age company companies stock stocks millionaire millionaires
        startup startups domain domains address addresses file files suffix extension tld framework
        """
    )
)
_TERM = re.compile(r"\b(?:the|a|an|of|this|that|every|any)\s+(?:dot|\.)\s?(?:com|net|org)\b", re.IGNORECASE).search
#: The text behind the first word of a sentence, an abbreviation, or the name of a manual page.
FOLLOWS = r"[,;:]?[^\S\n]+[^\w\s.]{0,2}\w|['’]\w|\.[^\S\n]+\w|\(\d\w{0,2}\)"  # noqa: RUF001
#: Words that begin sentences with their point: `Mr. Hyde`, `Pl. 1994`.
_ABBREVIATIONS = frozenset(_words("ca cf co mr ms mt no nr pl ps sr st"))
#: `.Com` before a word: the one clear suffix that begins sentences, in Portuguese. Two of these words are in the text.
_GLUED_COM = re.compile(r"(?<=[^\s.])\.Com(?=[^\S\n]+[^\w\s.]{0,2}\w)").sub
_PORTUGUESE = re.compile(
    r"\b(?:ao|aos|cada|da|das|do|dos|em|este|esta|esse|isto|mais|não|ou|os|para|pelo|pela|pode|que|são|sem|seu|sua|um|uma|é)\b"
).findall
_DOT_BETWEEN = r"(?:\s+dot\s+|\s+\.\s*|\.\s+)"
_SPELLED_HOST = re.compile(
    rf"(?<![\w@.-])([^\W_](?:[\w-]{{0,62}}(?<![_-]))?+)({_DOT_BETWEEN})"
    rf"((?:com?|org|net|gov|ac){_DOT_BETWEEN}(?:uk|au|nz|jp|br|in|za|kr|tr|cn)|{'|'.join(_SPELLED + _SPELLED_LAST)})"
    rf"(?![\w-])(?=[^\S\n]+([^\W\d_]+))?([/:?#]\S)?",
    re.IGNORECASE,
).finditer
_SPELLED_DOT = re.compile(_DOT_BETWEEN, re.IGNORECASE).sub
_DOT_WORD = re.compile(r"\w[\s\[({<]+dot[\s\])}>]+\w", re.IGNORECASE).search
_SPACED_DOT = re.compile(r"\w\s+\.\s*[a-zA-Z]").search
_LEAST_NAME = 3
#: First labels of the names of classes and packages: `java.net.Socket`.
_PACKAGES = frozenset(("java", "javax", "com", "org", "net", "sun", "kotlin", "scala"))


def without_sentence(name: str, follows: str) -> str:
    """The name less the words at its end that begin a sentence; `follows` is what `FOLLOWS` found behind the name.

    `evil.com.Visit` of `evil.com.Visit us` is `evil.com`; of `done.It was` no dot is left.
    """
    first = name.partition(".")[0].lower()
    if first == "www":
        return name
    if follows[0] == "(":
        return name if is_clear(name) else ""
    if follows[0] == "." and name.rpartition(".")[2].lower() not in _ABBREVIATIONS:
        return name
    labels = name.split(".")
    shouted = _shouted(labels)
    while len(labels) > 1 and _begins_sentence(labels[-1], among_capitals=len(labels) - 1 in shouted):
        labels.pop()
    return "" if first in _PACKAGES else ".".join(labels)


def _shouted(labels: list[str]) -> range:
    """How many labels from the first one on may be taken so that all their letters are capitals, and there are some."""
    small = next((place for place, label in enumerate(labels) if label != label.upper()), len(labels))
    capital = next((place for place, label in enumerate(labels[:small]) if label.isupper()), small)
    return range(capital + 1, small + 1)


def without_com(plain: str) -> str:
    """The text with spaces for each `.Com` that begins a sentence in Portuguese; of the same length."""
    if ".Com" not in plain or len(set(_PORTUGUESE(plain))) < 2:
        return plain
    return _GLUED_COM("    ", plain)


def may_hide_site(name: str, suffixes: Collection[str]) -> bool:
    """Whether `without_sentence` may find a site in a name that has no public suffix."""
    before, _, last = name.rpartition(".")
    return last.istitle() and "." in before and before.rpartition(".")[2] in suffixes


def _begins_sentence(label: str, *, among_capitals: bool) -> bool:
    """Whether a label looks like the first one of a sentence: `Evil.It is` does, `Evil.Com` does not."""
    if label.lower() in _CLEAR:
        return False
    return label.istitle() or (len(label) > 2 and label.isupper() and not among_capitals)


def is_meant(name: str) -> bool:
    """Whether a name of at most two labels may be meant as a site: not as a file, a time, an item of a list."""
    first, _, last = name.partition(".")
    if not last:
        return False
    suffix = last.lower()
    if suffix in FILES or name.lower() in _FILE_NAMES:
        return first.lower() == "www"
    return not (first.isdecimal() and len(first) <= 2 and (len(last) == 2 or suffix not in _CLEAR))


def is_meant_behind_symbol(suffix: str, *, follows: bool, path: bool) -> bool:
    """Whether a symbol and a public suffix may be meant as a site: `i❤.ws` is one, `ok 👍.So what` a sentence."""
    if path or is_clear(suffix):
        return True
    return suffix in _WITH_EMOJI and not follows


def is_clear(name: str) -> bool:
    """Whether the last label is hardly anything but a top-level domain."""
    return name.rpartition(".")[2].lower() in _CLEAR


def may_be_spelled(plain: str) -> bool:
    """False only where `spelled_hosts` finds nothing."""
    if "dot" in plain.lower() and _DOT_WORD(plain) is not None:
        return True
    if "." not in plain:
        return False
    if " ." in plain and _SPACED_DOT(plain) is not None:
        return True
    return ". com" in plain or ". net" in plain or ". org" in plain


def spelled_hosts(plain: str) -> Iterator[tuple[int, int, str]]:
    """Where a host stands whose dot is a word or has spaces around it: `evil dot com`, `evil . com`; and the host.

    Nothing in a text that speaks of the term: the dot com bubble.
    """
    if _TERM(plain):
        return
    for match in _SPELLED_HOST(plain):
        name, dot, top, word, path = match[1], match[2], match[3], (match[4] or "").lower(), match[5]
        if len(name) < _LEAST_NAME or name.lower() in _NO_NAMES or word in _TERM_NOUNS or name.isdecimal():
            continue
        is_last = not word or path is not None
        if not is_last and (not dot[0].isspace() or top.lower() in _SPELLED_LAST):
            continue
        if not dot[0].isspace() and top not in ("com", "net", "org"):
            continue
        if "." in dot and not (top.islower() or name.isupper()):
            continue  # A sentence that begins with such a word.
        yield match.start(), match.end(3), f"{name}.{_SPELLED_DOT('.', top)}"
