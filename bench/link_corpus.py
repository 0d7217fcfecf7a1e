"""How often the rule for links is wrong: on honest sentences that others wrote, and on disguised links.

    python -m bench.link_corpus FOLDER [--download] [--held-out] [--show N]

FOLDER is where Debian packages were unpacked; `--download` fetches them there first (with `apt-get download`, as any
user, and `dpkg-deb`). Nothing of them is kept in this repository. The measures were fixed before anything was measured:

- A *text* is two sentences that follow each other in a translated manual page, a fortune or a catalogue of messages;
  from each source the first so many by their hash. In every third text the white space behind the point between the
  two is taken out. Where a script ends a sentence with a mark of its own, every other text of that third gets an ASCII
  point instead, since that is how people type.
- A text is *honest* unless what its author wrote has an address in it: `://`, `www.`, an `@`, or a name in small
  letters under one of the large top-level domains in `_ADDRESS`. Names of files and numbers of versions are honest.
  Texts with an address are counted apart.
- A *false hit* is any link found in an honest text.
- A *disguised link* is made by one of `tricks()` from a name and a top-level domain, and stands in a short sentence. It
  is *missed* if no link is found that overlaps it.

One in five of both, by hash, is held out: `--held-out` measures these, and only these. They are looked at once, when
nothing is to be changed any more. Exit status: 0 no false hit and at most 1 % missed, 1 otherwise, 2 wrong usage.
"""

# ruff: noqa: RUF001, E501 -- ambiguous characters are what this is about, and tricks are a line each

from __future__ import annotations

import argparse
import gettext
import gzip
import hashlib
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gochat.config import Policy
from gochat.domain.links import foreign_links
from gochat.policy import load_rules

_words = re.compile(r"\S+").findall

#: By language: where its sentences are, below the folder.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "cs": ("share/man/cs", "share/games/fortunes/cs"), "de": ("share/man/de", "share/games/fortunes/de"),
    "el": ("share/man/el",), "en": ("share/games/fortunes",), "es": ("share/man/es", "share/games/fortunes/es"),
    "bg": ("share/games/fortunes/bg",), "da": ("share/man/da",), "fi": ("share/man/fi",),
    "fr": ("share/man/fr",), "hu": ("share/man/hu",), "it": ("share/man/it", "share/games/fortunes/it"),
    "ja": ("share/man/ja",), "nl": ("share/man/nl",), "pl": ("share/man/pl", "share/games/fortunes/pl"),
    "pt": ("share/man/pt_BR", "share/games/fortunes/brasil"), "ro": ("share/man/ro",),
    "ru": ("share/man/ru", "share/games/fortunes/ru"),
    "sv": ("share/man/sv",), "tr": ("share/man/tr",), "uk": ("share/man/uk",), "vi": ("share/man/vi",),
    "zh": ("share/man/zh_CN", "share/man/zh_TW"),
    **{code: (f"lib/python3/dist-packages/django/conf/locale/{code}",) for code in _words("ar fa he hi ka ko th")},
}  # fmt: skip
PACKAGES = (
    *(f"manpages-{code}" for code in _words("cs da de el es fi fr hu it ja nl pl pt-br ro ru sv tr uk vi zh")),
    *_words("fortunes fortunes-min fortunes-bg fortunes-br fortunes-cs fortunes-de fortunes-es fortunes-it"),
    *_words("fortunes-pl fortunes-ru python3-django"),
)  # fmt: skip
_TEXTS_EACH = 700
_HELD_OUT = 5
_DISGUISED = 2000
_MOST_MISSED = 0.01

_ADDRESS = re.compile(
    r"://|www\.|@|\b[a-z0-9-]+\.(?:com|net|org|edu|gov|mil|int|info|biz|arpa|uk|de|fr|nl|es|it|pl|ru|ua|cz|se|dk|fi|hu|ro|gr"
    r"|bg|br|pt|tr|jp|cn|tw|kr|us|eu|at|ch|be|io|il)\b"
)
_GROFF = (
    (re.compile(r"\\f(?:\[\w*\]|\(..|.)|\\[,/&%|^c:]|\\s[+-]?\d|\\\*\(..|\\k.|\\[hv]'[^']*'"), ""),
    (re.compile(r"\\\((?:aq|cq|oq)|\\\[aq\]"), "'"),
    (re.compile(r"\\\((?:lq|rq|dq)|\\\[[lr]q\]"), '"'),
    (re.compile(r"\\\(em|\\\[em\]"), "-"),
    (re.compile(r"\\[-e.]"), lambda match: {"-": "-", "e": "\\", ".": "."}[match[0][1]]),
    (re.compile(r"\\[ ~0]"), " "),
    (re.compile(r"\\\(..|\\\[[^]]*\]|\\\".*"), ""),
)
_FONT = re.compile(r"\.(?:B|I|BR|IR|RB|RI|BI|IB|SM|SB|Nm|Fl|Ar|Pa|Xr|Dq|Sq|Em)\s+(.*)")
#: White space behind the end of a sentence; in Han and kana the end itself.
_GAP = re.compile(r"(?<=[.!?।])[\"»”)]?\s+(?=[^\W\d_a-zа-яёіїєґα-ωά-ώ]|[\"«„¿¡(])|(?<=[。！？])(?=\w)")


class Text(NamedTuple):
    language: str
    text: str
    glued: bool
    address: bool


# ------------------------------------------------------------------------------------------ what others wrote


def texts(folder: Path) -> Iterator[Text]:
    """For each language up to `_TEXTS_EACH` texts, always the same ones of the same packages."""
    for language, places in SOURCES.items():
        pairs = {
            (first, second)
            for place in places
            for file in sorted((folder / "usr" / place).rglob("*"))
            if file.is_file()
            for first, second in _pairs(file, with_folders=language != "en" or file.parent.name == "fortunes")
        }
        for first, second in sorted(pairs, key=lambda pair: _hash(" ".join(pair)))[:_TEXTS_EACH]:
            yield _text(language, first, second)


def _text(language: str, first: str, second: str) -> Text:
    number = _hash(f"{first} {second}") // _HELD_OUT
    address = _ADDRESS.search(f"{first} {second}") is not None
    if number % 3:
        return Text(language, f"{first}{'' if first[-1] in '。！？' else ' '}{second}", False, address)
    if first[-1] in "。！？।" and number % 2:
        first = first[:-1] + "."
    return Text(language, first + second, True, address)


def _pairs(file: Path, *, with_folders: bool) -> Iterator[tuple[str, str]]:
    for paragraph in _paragraphs(file) if with_folders else ():
        if not 20 < len(paragraph) < 20_000:
            continue
        sentences = [sentence.strip() for sentence in _GAP.split(paragraph)]
        for first, second in zip(sentences[::2], sentences[1::2], strict=False):
            if len(first) > 8 and len(second) > 8 and len(first) + len(second) < 1000:
                yield first, second


def _paragraphs(file: Path) -> Iterator[str]:
    if file.suffix == ".gz":
        yield from _manual(gzip.decompress(file.read_bytes()).decode("utf-8", "replace"))
    elif file.suffix == ".mo":
        with file.open("rb") as stream:
            catalogue: Mapping[object, object] = gettext.GNUTranslations(stream)._catalog  # type: ignore[attr-defined]
        said = [str(text) for key, text in catalogue.items() if key and str(text)[-1:] in set(".।!?")]
        yield from (f"{first} {second}" for first, second in pairwise(said))
    elif file.suffix in ("", ".fortunes") and "fortunes" in file.parts:
        try:
            fortunes = file.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            return  # In an encoding of old; its twin in UTF-8 stands beside it.
        for fortune in fortunes.split("\n%\n"):
            yield from (" ".join(part.split()) for part in re.split(r"\n\s*\n|\n\s*--", fortune))


def _manual(source: str) -> Iterator[str]:
    """The running text of a manual page: its macros off, its tables and examples left out."""
    kept: list[str] = []
    example = False
    for line in source.splitlines():
        if line.startswith((".nf", ".EX", ".TS", ".fi", ".EE", ".TE")):
            example = line[1:3] in ("nf", "EX", "TS")
        font = _FONT.match(line)
        if line.startswith((".", "'")) and font is None:
            if not line.startswith('.\\"') and kept:
                yield _plain(kept)
                kept = []
        elif not example:
            kept.append(font[1].replace(" ", "") if font and line[2:3] in "BRI" else font[1] if font else line)
    yield _plain(kept)


def _plain(lines: list[str]) -> str:
    text = " ".join(lines)
    for pattern, with_ in _GROFF:
        text = pattern.sub(with_, text)
    return " ".join(text.replace('"', "").split())


# ------------------------------------------------------------------------------------------ disguised links

#: From plays and tales whose authors died long ago.
NAMES = tuple(
    _words("""hamlet ophelia horatio laertes polonius yorick macbeth banquo macduff duncan cordelia goneril regan gloucester
    edmund kent othello iago cassio emilia brabantio prospero miranda ariel caliban gonzalo oberon titania puck bottom
    quince lysander hermia helena viola orsino olivia malvolio toby feste portia shylock antonio bassanio nerissa
    rosalind orlando celia touchstone jaques benedick beatrice claudio hero dogberry falstaff hotspur mercutio tybalt benvolio
    rapunzel rumpelstilz gretel aladdin sinbad ali-baba red-cap odysseus penelope circe calypso achilles hector
    priam""")
)
_TOPS = (
    ("com",) * 12
    + ("net",) * 3
    + ("org",) * 3
    + tuple(
        _words(
            "info xyz biz top shop online site club store icu vip app dev ru cn de co.uk fr it pl io co me cc tv in live link click"
        )
    )
)
_CARRIERS = (
    "{}",
    "look at {}",
    "{} is where it is",
    "visit {} now",
    "it's on {}, really",
    "({})",
    "have you seen {}?",
    "go to {}!",
    "смотри {} сейчас",
    "mira {} ahora",
    "siehe {} bitte",
    "voir {} vite",
    "{} 보세요",
    "看 {} 吧",
    "انظر {} الآن",
)
_SLASHES = ("//", "http:/", "https:", "http:\\\\")
_LOOKALIKE = str.maketrans({"a": "а", "e": "е", "o": "о", "p": "р", "c": "с", "i": "і"})
_FULLWIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def _between(rng: random.Random, text: str, what: str) -> str:
    place = rng.randrange(1, len(text))
    return text[:place] + what + text[place:]


def _one_lookalike(rng: random.Random, name: str) -> str:
    places = [place for place, char in enumerate(name) if ord(char) in _LOOKALIKE]
    if not places:
        return name
    place = rng.choice(places)
    return name[:place] + name[place].translate(_LOOKALIKE) + name[place + 1 :]


def tricks() -> dict[str, Callable[[random.Random, str, str], str]]:
    """By name: what makes a disguised link of a random source, a name and a top-level domain."""
    pick = random.Random.choice

    def dotted(dot: Callable[[random.Random], str]) -> Callable[[random.Random, str, str], str]:
        return lambda rng, name, top: f"{name}{dot(rng)}{top.replace('.', dot(rng))}"

    bold = {ord("a") + index: 0x1D41A + index for index in range(26)}
    return {
        "plain": lambda rng, name, top: f"{name}.{top}",
        "capitals": lambda rng, name, top: f"{name}.{top}".upper(),
        "case": lambda rng, name, top: pick(rng, (f"{name}.{top}".title(), f"{name}.{top.title()}", f"{name.title()}.{top}")),
        "mixed case": lambda rng, name, top: "".join(pick(rng, (char, char.upper())) for char in f"{name}.{top}"),
        "path": lambda rng, name, top: f"{name}.{top}/{pick(rng, NAMES)}",
        "scheme": lambda rng, name, top: f"{pick(rng, ('http', 'https', 'hxxp', 'hXXps', 'h**p', 'ftp', 'tg'))}://{name}.{top}",
        "slashes": lambda rng, name, top: pick(rng, _SLASHES) + f"{name}.{top}",
        "spaces": dotted(lambda rng: pick(rng, (" . ", " .", "  .  "))),
        "dot": dotted(lambda rng: pick(rng, (" dot ", " DOT ", " Dot "))),
        "bracketed": dotted(lambda rng: pick(rng, ("(.)", "[.]", "{.}", "(dot)", "[dot]", " (dot) ", "[ . ]", "{DOT}", "<dot>"))),
        "other dot": dotted(lambda rng: pick(rng, "．。｡․﹒")),
        "full width": lambda rng, name, top: f"{name}.{top}".translate(_FULLWIDTH),
        "bold": lambda rng, name, top: f"{name}.{top}".translate(bold),
        "look-alike": lambda rng, name, top: f"{_one_lookalike(rng, name)}.{top}",
        "zero width": lambda rng, name, top: _between(rng, f"{name}.{top}", pick(rng, "\u200b\u200c\u200d\u2060\ufeff\u00ad")),
        "glued behind": lambda rng, name, top: f"{name}.{top}{pick(rng, ('에서', '로', '谢谢', 'です', 'を見て', 'นะ', 'да', 'ში'))}",
        "glued before": lambda rng, name, top: f"{pick(rng, ('请访问', 'サイトは', 'ดูที่', 'и', 'في', 'ב', '주소'))}{name}.{top}",
        "glued on both sides": lambda rng, name, top: f"{pick(rng, ('请看', 'これは', 'ไปที่', '사이트'))}{name}.{top}{pick(rng, ('吧', 'です', 'เลย', '에서'))}",
        "marked up": lambda rng, name, top: pick(rng, ("_{}_", "__{}__", "*{}*", "**{}**", "~{}~", "`{}`", "||{}||", "[{}]", "<{}>", '"{}"')).format(f"{name}.{top}"),
        "markdown": lambda rng, name, top: f"[{pick(rng, NAMES)}](http://{name}.{top})",
        "punycode": lambda rng, name, top: f"xn--{name.replace('-', '')}-{rng.randrange(100)}a.{top}",
        "other script": lambda rng, name, top: pick(rng, ("пример.рф", "例子.公司", "مثال.السعودية", "उदाहरण.भारत", "bücher.de", "ตัวอย่าง.ไทย", "도메인.한국")),
        "IPv4": lambda rng, name, top: f"{pick(rng, ('http://{}', '{}/x', '{}:8080'))}".format(".".join(str(rng.randrange(1, 255)) for _ in range(4))),
        "number": lambda rng, name, top: f"http://{pick(rng, ('3232235777', '0xC0A80101', '0300.0250.1.1', '[2001:db8::1]'))}/{name}",
        "port": lambda rng, name, top: f"{name}.{top}:{rng.randrange(80, 9000)}",
        "user info": lambda rng, name, top: f"http://{pick(rng, ('example.org', 'user:pw', 'example.org%2f'))}@{name}.{top}",
        "own name before": lambda rng, name, top: f"{pick(rng, ('example.org', 'http://example.org'))}.{name}.{top}",
        "entity": dotted(lambda rng: pick(rng, ("&#46;", "&#x2e;", "&period;", "&#046;"))),
        "entities": lambda rng, name, top: "".join(f"&#{ord(char)};" for char in f"{name}.{top}"),
        "percent": dotted(lambda rng: pick(rng, ("%2e", "%2E"))),
        "percent in URL": lambda rng, name, top: f"https://%{ord(name[0]):x}{name[1:]}%2e{top}/",
        "point behind": lambda rng, name, top: f"{name}.{top}.",
        "sentence behind": lambda rng, name, top: f"{name}.{top}.{pick(rng, ('Visit', 'Then', 'Look', 'It'))} {pick(rng, ('us', 'there', 'now'))}",
        "sub-domain": lambda rng, name, top: f"{pick(rng, ('www', 'm', 'get', pick(rng, NAMES)))}.{name}.{top}",
    }  # fmt: skip


def disguised() -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Trick, text, and where in it the link is; always the same."""
    rng = random.Random(20)
    made = tricks()
    for number in range(_DISGUISED):
        trick = list(made)[number % len(made)]
        link = made[trick](rng, rng.choice(NAMES), rng.choice(_TOPS))
        carrier = rng.choice(_CARRIERS)
        start = carrier.index("{")
        yield trick, carrier.format(link), (start, start + len(link))


# ------------------------------------------------------------------------------------------ the measurement


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def _is_held_out(text: str) -> bool:
    return _hash(text) % _HELD_OUT == 0


def _download(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=folder, check=True)
    for package in sorted(folder.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--download", action="store_true")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--show", type=int, default=20, metavar="N")
    given = parser.parse_args(arguments)
    if given.download:
        _download(given.folder)
    suffixes = load_rules(Policy(links="deny")).suffixes
    own = frozenset({"example.org"})

    counts: Counter[tuple[str, str]] = Counter()
    false: list[str] = []
    for each in texts(given.folder):
        if _is_held_out(each.text) != given.held_out:
            continue
        found = foreign_links(each.text, own, suffixes)
        kind = "address" if each.address else "glued" if each.glued else "spaced"
        counts[each.language, kind] += 1
        counts[each.language, f"{kind} found"] += bool(found)
        if found and not each.address:
            where = found[0]
            false.append(f"{each.language} {where.host}: ...{each.text[max(0, where.start - 30) : where.end + 25]}...")
    if not counts:
        print(f"{given.folder} has none of the packages: try --download", file=sys.stderr)
        return 2
    for language in SOURCES:
        spaced, glued, address = (counts[language, kind] for kind in ("spaced", "glued", "address"))
        wrong = counts[language, "spaced found"] + counts[language, "glued found"]
        print(
            f"{language}  {2 * (spaced + glued):5} honest sentences, {2 * glued:4} without the space: {wrong} false hits; "
            f"{address:3} texts with an address, found in {counts[language, 'address found']}"
        )
    honest = 2 * sum(count for (_, kind), count in counts.items() if kind in ("spaced", "glued"))
    print(f"all {honest} honest sentences: {len(false)} false hits")
    print(*false[: given.show], sep="\n")

    tried: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    shown: list[str] = []
    for trick, text, (start, end) in disguised():
        if _is_held_out(text) != given.held_out:
            continue
        tried[trick] += 1
        if not any(link.start < end and link.end > start for link in foreign_links(text, own, suffixes)):
            missed[trick] += 1
            shown.append(f"{trick}: {text!r}")
    told = [f"{trick} {missed[trick]}/{tried[trick]}" for trick in tried if missed[trick]]
    print("disguised links missed:", ", ".join(told) or "none")
    print(*shown[: given.show], sep="\n")
    rate = missed.total() / tried.total()
    print(f"all {tried.total()} disguised links: {missed.total()} missed, {100 * rate:.1f} %")
    return int(bool(false) or rate > _MOST_MISSED)


if __name__ == "__main__":
    sys.exit(main())
