"""Links to foreign sites, as people and their clients see them. Pure; public suffixes come in as a value.

A link is

- anything behind `://` (any scheme, `hxxp` and the like too), with any host: a name, a number, an address. It ends at
  the next space or closing mark. The part before an `@` there is told apart, so `own.org@evil.com` is evil.com;
- `//host`, `www.host` and a bare domain whose last labels are a public suffix: `evil.com`, `пример.рф`, `i❤.ws`.
  Letters of other scripts or `_` may be glued to it: `evil.com에서`, `_evil.com_`;
- the same with its dot in disguise: `evil[.]com`, `evil&#46;com`, `evil%2ecom`, `evil dot com`, `evil . com`;
- an IPv4 address with a port or a path; alone, 1.2.3.4 is a version.

Hosts are compared as browsers do: NFKC, small letters, percent-decoding, labels in punycode. A look-alike of an own
domain is therefore another domain.

Not links: mail addresses and mentions (`bob@evil.com`, `@ann.me`) without a path or port; a name in a path
(`docs/readme.com`); bare names that are rather files, times, or a sentence whose next one follows without a space
(see `sites`). In small letters `done.it` is a domain, since nothing tells it from one.
"""

# ruff: noqa: RUF001 -- ambiguous characters are what this is about

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Collection, Iterator
from itertools import accumulate
from typing import NamedTuple

from gochat.domain.confusables import is_invisible, script
from gochat.domain.hosts import IDEOGRAPHIC_DOTS, LONGEST_HOST, canonical_host, is_own, is_public, suffix_rules
from gochat.domain.sites import (
    FILES,
    FOLLOWS,
    is_clear,
    is_meant,
    is_meant_behind_symbol,
    may_be_spelled,
    may_hide_site,
    spelled_hosts,
    without_com,
    without_sentence,
)

__all__ = ["Link", "canonical_host", "foreign_links", "has_foreign_link", "suffix_rules"]

#: How much of a host behind a scheme is looked at: a label of one character may be percent-encoded in 12.
_MOST_OF_HOST = 4 * LONGEST_HOST
_ENDS = ".,;:!?*_~'\""
#: After a name these may belong to the sentence: `ok 👍.no?` has no path.
_PATH_ENDS = _ENDS + "/#)]}…"
#: Marks that are part of a letter in the scripts of top-level domains; `\w` has none of them.
_MARKS = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e"
    "\u0eb1-\u0ecd\u1000-\u109f\u1780-\u17d3"
)
_LABEL = rf"[^\W_](?:[\w{_MARKS}-]{{0,62}}(?<![_-]))?+(?![^\W_]|[{_MARKS}]|[_-]+[^\W_])"
_ASCII_LABEL = r"[a-zA-Z0-9](?:[\w-]{0,61}[a-zA-Z0-9])?+(?![a-zA-Z0-9]|[_-]+[a-zA-Z0-9])"

#: Between Latin letters only: elsewhere it ends a sentence.
_IDEOGRAPHIC_DOT = re.compile(rf"[{IDEOGRAPHIC_DOTS}](?<=[A-Za-z0-9].)(?=[A-Za-z0-9])")
#: Characters that browsers read as Latin letters or as the signs of a link, and signs that they read as other letters
#: or digits, which a pattern for `\w` misses: letters in circles and squares, letters of formulas, wide ones, units.
#: Wide brackets, colons and marks of sentences are left out, which most Chinese texts have: patterns know those.
_COMPATIBLE = re.compile(
    "[ªº\u0132-\u0149\u017f\u01c4-\u01f3\u02b0-\u02b8\u02e1-\u02e3\u1d2c-\u1d65\u1d9c-\u1dbb\u1e9a․\u2071-\u209c\u20a8"
    "\u2100-\u217f\u2474-\u24ff\u2c7c\u2c7d\u2e9f\u2ef3-\u2fd5\u3196-\u319f\u3200-\u33ff\ua7f2-\ua7f4\ufb00-\ufb06\ufdfc"
    "\ufe10-\ufe6b＃％＆－．／＜＞＠-］ａ-｛｝\U000107a5\U0001d400-\U0001d6a3\U0001f100-\U0001f251]"
).search
_BRACKETED_DOT = re.compile(r"[\[({（<]\s?(?i:dot)\s?[\])}）>]").search
#: Behind what may read as Latin, which Han, kana, Hangul and their marks never do.
_IDEOGRAPHIC_BEFORE = re.compile(
    r"[^\s\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af！-／：-＠][^\w\s]{0,4}[。｡][^\w\s]{0,4}[0-9A-Za-z０-９]"
).search
_BACKSLASHES = re.compile(r"[:：/]\\").search
_DOT = re.compile(r"\.[)\]}>]?\w|\.\s?[)\]}>]").search
_ENCODED = re.compile(r"&#|&(?:period|dot);|%2[eE]").search
_SIGNS = (
    (".", re.compile(r"\.[^\w\s]{0,4}\w|\.\s?[)\]}>）]").search),
    *((dot, _IDEOGRAPHIC_BEFORE) for dot in "。｡"),
    ("/", re.compile("//").search),
    ("\\", _BACKSLASHES),
    *((bracket, _BRACKETED_DOT) for bracket in "[({（<"),
    *((sign, _ENCODED) for sign in "&%"),
)
_IN_BRACKETS = re.compile(r"[\[({<]\s?(?:\.|(?i:dot))\s?[\])}>]").search
#: A dot, or in entities any character, that is written in another way; read as one character.
_WRITTEN = re.compile(
    r"\s?[\[({<]\s?(?:\.|(?i:dot))\s?[\])}>]\s?|(?<=[\w.-])%2[eE](?=\w)|&(?:period|dot);|&#0*(\d{2,3});|&#[xX]0*([\da-fA-F]{2});"
)
_AFTER_SCHEME = re.compile(r":([/\\]+)([^\s/\\?#<>\"]+)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.*-]*\Z", re.IGNORECASE)
_LONGEST_SCHEME = 21
#: The rest of the sentence; port and path, or the `@` of a mail address. A host that an `@` refused would be looked
#: for again from each of its labels.
_BEHIND_HOST = rf"(?=({FOLLOWS})?)\.?((?<!\.)@|(?::\d{{1,5}})?(?:[/?#][^\s<>\"]*)?)"
_BARE = re.compile(
    rf"(?<![^\W_]|[@{_MARKS}]|%(?=[2-7][\da-fA-F]))((?<![/\\])|(?<=//))({_LABEL}(?:\.{_LABEL})++){_BEHIND_HOST}"
)
#: The same for texts in ASCII, in half the time.
_BARE_ASCII = re.compile(
    rf"(?<![a-zA-Z0-9@]|%(?=[2-7][\da-fA-F]))((?<![/\\])|(?<=//))({_ASCII_LABEL}(?:\.{_ASCII_LABEL})++){_BEHIND_HOST}",
    re.ASCII,
)
#: Signs that a host in ASCII, or one in another script, has letters before or behind it that are not its own.
_GLUED = re.compile(
    r"[a-zA-Z0-9]\.[a-zA-Z0-9-]*[a-zA-Z0-9](?=_|[^\x00-\x7f])|(?:_|[^\x00-\x7f])[a-zA-Z0-9-]+\.[a-zA-Z0-9]"
).search
_GLUED_OTHERS = re.compile(r"[\u0370-\u058f](?=[\u0590-\ud7ff])|[\u0590-\ud7ff](?=[\u0370-\u058f])").search
_AFTER_MAIL = re.compile(rf"@({_LABEL}(?:\.{_LABEL})++)((?::\d{{1,5}}|[/?#])[^\s<>\"]*)")
#: The labels behind a symbol that ends a label, as in `i❤.ws`. Other characters of a host before it are looked at once.
_AFTER_SYMBOL = re.compile(rf"[^\x00-\x7f\w\s]\.({_LABEL}(?:\.{_LABEL})*+){_BEHIND_HOST}").finditer
_END_OF_HOST = re.compile(rf"(?:[\w{_MARKS}.-]|[^\x00-\x7f\w\s])+\Z").search
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s\[\](){}<>\"'`,;:|*!]+)", re.IGNORECASE)
#: A part of a text that a link doesn't go beyond.
_RUNS = re.compile(r"[^\s<>\"]+").finditer
_PATH_SIGNS = frozenset(":/?#\\")
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
_IPV4 = re.compile(r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}").fullmatch


_LABELS = re.compile(rf"\.([\w{_MARKS}-]+)").findall
_ASCII_LABELS = re.compile(r"\.([a-z0-9]+)").findall
#: The beginnings of labels that other letters may be glued to.
_ASCII_BEGINNINGS = re.compile(r"(?<![^ ])[a-z0-9]+").findall
_BEHIND_FILE = re.compile(rf"[a-z]\.?[:/?#]|\.[\w-]+\.(?:{'|'.join(sorted(FILES))})|[^\x00-\x7f]").search

_ADDRESS = re.compile(r"\.\d{1,3}\.?[:/?#]").search
#: The host behind an `@`, with its path.
_MAIL = re.compile(rf"@({_LABEL}(?:\.{_LABEL})*+)(\.?(?::\d{{1,5}})?(?:[/?#][^\s<>\"]*)?)").sub


class Link(NamedTuple):
    """Characters `start` to `end` of the text (code points, end exclusive) link to `host`, in canonical form."""

    start: int
    end: int
    host: str


class _Found(NamedTuple):
    """A link whose host ends at `end`; its path ends where `text` says, which is as long as the text that was read."""

    start: int
    end: int
    host: str
    text: str


def foreign_links(text: str, own_domains: Collection[str], suffixes: Collection[str]) -> list[Link]:
    """Every link to a host that is neither one of `own_domains` (canonical) nor below one, in order of the text.

    `suffixes`: from `suffix_rules`. Any string will do for a text.
    """
    if not may_have_links(text):
        return []
    read, plain = _as_read(text)
    found = list(_found(plain, own_domains, suffixes))
    if not found:
        return []
    ends = {source: _Ends(source) for source in {each.text for each in found}}
    links: list[Link] = []
    for start, end, host in sorted((each.start, ends[each.text].of(each.end), each.host) for each in found):
        if not (links and links[-1].end >= end and links[-1].host == host):
            links.append(Link(start, end, host))
    if plain is text:
        return links
    at = _spots(text, read)
    return [Link(at[link.start], at[link.end - 1] + 1, link.host) for link in links]


def has_foreign_link(text: str, own_domains: Collection[str], suffixes: Collection[str]) -> bool:
    """Whether `foreign_links` has any, for the cost of the first one; of a text of which `may_have_links` is true."""
    return next(_found(_as_read(text)[1], own_domains, suffixes), None) is not None


def _as_read(text: str) -> tuple[str, str]:
    """The text as browsers read its characters, and the same with the dots that are written in another way."""
    read = text if text.isascii() else _IDEOGRAPHIC_DOT.sub(".", text.translate(_READ))
    is_written = _IN_BRACKETS(read) is not None or (("&" in read or "%" in read) and _ENCODED(read) is not None)
    return read, _WRITTEN.sub(_unwritten, read) if is_written else read


def _found(plain: str, own_domains: Collection[str], suffixes: Collection[str]) -> Iterator[_Found]:
    """The foreign links in no order, some of them twice."""
    if ":" in plain:
        yield from _with_scheme(plain, own_domains)
    if _may_have_bare(plain, suffixes):
        yield from _without_scheme(plain, own_domains, suffixes)
        if not plain.isascii():
            yield from _with_symbol(plain, own_domains, suffixes)
    if "@" in plain:
        yield from _after_mail(plain, own_domains, suffixes)
    if suffixes and may_be_spelled(plain):
        yield from _spelled(plain, own_domains)


def may_have_links(text: str) -> bool:
    """False only where there is no link: each has one of a few signs, and around it what a pattern finds."""
    if not text.isascii() and _COMPATIBLE(text) is not None:
        text = text.translate(_READ)
    if text.isascii():
        dotted = "." in text
        return (
            (dotted and _DOT(text) is not None)
            or "//" in text
            or ("\\" in text and _BACKSLASHES(text) is not None)
            or ((dotted or "dot" in text.lower()) and may_be_spelled(text))
            or (("&" in text or "%" in text) and _ENCODED(text) is not None)
        )
    return any(sign in text and is_there(text) is not None for sign, is_there in _SIGNS) or may_be_spelled(text)


class _Read(dict[int, str | None]):
    """A table for `str.translate`: a character as browsers read it in a host; None if nothing is drawn for it."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        read = None if is_invisible(char) else unicodedata.normalize("NFKC", char)
        self[code] = read
        return read


class _Alone(dict[int, str]):
    """A table for `str.translate`, one for one: a space for `_` and for letters and marks of the scripts that are no
    company for a host; those with capitals are, if it says so."""

    def __init__(self, *, with_capitals: bool) -> None:
        self._scripts = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN"} if with_capitals else {"LATIN"}

    def __missing__(self, code: int) -> str:
        char = chr(code)
        is_letter = unicodedata.category(char)[0] in "LM"
        self[code] = alone = " " if char == "_" or (is_letter and script(char) not in self._scripts) else char
        return alone


_READ: dict[int, str | None] = _Read({code: chr(code) for code in range(128)})
_LATIN_ALONE, _CASED_ALONE = _Alone(with_capitals=False), _Alone(with_capitals=True)


def _unwritten(match: re.Match[str]) -> str:
    """The one character that is written in another way."""
    code = int(match[1]) if match[1] else int(match[2], 16) if match[2] else ord(".")
    return chr(code) if code < 128 and chr(code).isprintable() else "."


def _spots(text: str, plain: str) -> list[int]:
    """For each character of the text as it was read its index in the text."""
    at = [index for index, char in enumerate(text) for _ in _READ[ord(char)] or ""]
    places, done = [], 0
    for match in _WRITTEN.finditer(plain):
        places += [*at[done : match.start()], at[match.start()]]
        done = match.end()
    return places + at[done:]


def _with_scheme(plain: str, own_domains: Collection[str]) -> Iterator[_Found]:
    for match in _AFTER_SCHEME.finditer(plain):
        user, at, rest = match[2].rpartition("@")
        host = _HOST.match(rest)
        name = canonical_host(host[1].rstrip(_ENDS)[:_MOST_OF_HOST]) if host else ""
        if host is None or is_own(name, own_domains) or not any(char.isalnum() for char in name):
            continue
        colon = match.start()
        scheme = _SCHEME.search(plain, max(0, colon - _LONGEST_SCHEME), colon)
        if len(match[1]) > 1 or (scheme is not None and scheme[0].lower() in ("http", "https")):
            end = match.start(2) + len(user) + len(at) + host.end()
            yield _Found(scheme.start() if scheme else colon, end, name, plain)


def _may_have_bare(plain: str, suffixes: Collection[str]) -> bool:
    """False only where `_without_scheme` finds nothing: few texts with dots have a top-level domain behind one."""
    rules = frozenset(suffixes)  # which costs nothing where it is one
    if _ADDRESS(plain) is not None:
        return True
    lowered = plain.lower()
    if ".xn--" in lowered:
        return True
    tops = rules.intersection(_labels(lowered))
    return bool(tops) and not (tops <= FILES and "www" not in lowered and _BEHIND_FILE(lowered) is None)


def _labels(lowered: str) -> list[str]:
    """The labels that may be a top-level domain, those in punycode left out."""
    if lowered.isascii():
        return _ASCII_LABELS(lowered)
    labels = " ".join(_LABELS(lowered))
    glued = [*_ASCII_BEGINNINGS(labels), *labels.translate(_CASED_ALONE).split()]
    return [*unicodedata.normalize("NFKC", labels.replace("_", " ")).split(), *glued]


def _without_scheme(plain: str, own_domains: Collection[str], suffixes: Collection[str]) -> Iterator[_Found]:
    masked = without_com(_MAIL(_masked, plain) if "@" in plain else plain)
    others = []  # The same text, less the letters that a host may be glued to.
    is_ascii = masked.isascii()
    if ("_" in masked or not is_ascii) and _GLUED(masked) is not None:
        others.append(masked.translate(_LATIN_ALONE))
    if not is_ascii and _GLUED_OTHERS(masked) is not None:
        others.append(masked.translate(_CASED_ALONE))
    taken = bytearray(len(masked) if others else 0)
    for start, end, host, own in _bare(masked, own_domains, suffixes, with_own=bool(others)):
        if others:
            taken[start:end] = b"\1" * (end - start)
        if not own:
            yield _Found(start, end, host, plain)
    for alone in others:
        for start, end, host, own in _bare(alone, own_domains, suffixes, with_own=False):
            is_free = not any(taken[start:end])
            if not own and is_free and not (plain[end : end + 1] == "_" and not is_clear(plain[start:end])):
                taken[start:end] = b"\1" * (end - start)
                yield _Found(start, end, host, alone)


def _with_symbol(plain: str, own_domains: Collection[str], suffixes: Collection[str]) -> Iterator[_Found]:
    """Hosts whose label before the public suffix ends with a symbol. In other names the labels behind it are found."""
    done = 0
    for match in _AFTER_SYMBOL(without_com(plain)):
        top, follows, rest = match[1], match[2], match[3]
        symbol = match.start()
        if rest == "@" or unicodedata.category(plain[symbol]) not in ("So", "Sm", "Sk") or top.lower() not in suffixes:
            continue
        if not is_meant_behind_symbol(top, follows=bool(follows), path=bool(rest.rstrip(_PATH_ENDS))):
            continue
        before = _END_OF_HOST(plain, max(done, symbol - LONGEST_HOST), symbol)
        start = before.start() if before else symbol
        done = match.end(1)
        host = canonical_host(plain[start:done])
        is_mail = plain[start - 1 : start] == "@" and not rest
        if not is_mail and is_public(host, suffixes) and not is_own(host, own_domains):
            yield _Found(start, done, host, plain)


def _bare(
    masked: str, own_domains: Collection[str], suffixes: Collection[str], *, with_own: bool
) -> Iterator[tuple[int, int, str, bool]]:
    """Where bare hosts are, and whether they are our own: those are left out unless asked for. Names are judged before
    their places are looked for: most are no links, and the same ones come again."""
    pattern = _BARE_ASCII if masked.isascii() else _BARE
    likely = {
        (name, follows, rest)
        for _, name, follows, rest in pattern.findall(masked)
        if rest != "@"
        and (with_own or name not in own_domains)
        and (
            (top := name[name.rfind(".") + 1 :].lower()) in suffixes
            or not top.isascii()
            or (rest and _IPV4(name))
            or (follows and may_hide_site(name, suffixes))
        )
    }
    hosts = {
        each: judged
        for each in likely
        if (judged := _judged(*each, own_domains, suffixes)) is not None and (with_own or not judged[2])
    }
    if not hosts:
        return
    for match in pattern.finditer(masked):
        judged = hosts.get((match[2], match[3] or "", match[4]))
        if judged:
            yield match.start(2), match.start(2) + judged[0], judged[1], judged[2]


def _masked(mail: re.Match[str]) -> str:
    """A mail address, so that no part of its host seems a bare domain; of two plain labels none would."""
    is_plain = mail[1].count(".") < 2 and "-" not in mail[1]
    return "@" * (mail.end(1) - mail.start()) + (mail[2] if is_plain else "@" * len(mail[2]))


def _after_mail(plain: str, own_domains: Collection[str], suffixes: Collection[str]) -> Iterator[_Found]:
    for match in _AFTER_MAIL.finditer(plain):
        host = canonical_host(match[1])
        if not is_own(host, own_domains) and is_public(host, suffixes):
            yield _Found(match.start(1), match.end(1), host, plain)


def _spelled(plain: str, own_domains: Collection[str]) -> Iterator[_Found]:
    for start, end, name in spelled_hosts(plain):
        host = canonical_host(name)
        if not is_own(host, own_domains):
            yield _Found(start, end, host, plain)


def _judged(
    name: str, follows: str, rest: str, own_domains: Collection[str], suffixes: Collection[str]
) -> tuple[int, str, bool] | None:
    """Whether a name with dots means a host: how much of the name it is, the host, and whether it is our own.

    `follows` and `rest` are what stands behind it: more of a sentence; port and path.
    """
    if name in suffixes:
        return None
    if not rest:
        if follows:
            name = without_sentence(name, follows)
        if name.count(".") < 2 and not is_meant(name):
            return None
        if name in suffixes:
            return None
    if len(name) > _MOST_OF_HOST:
        return None
    host = canonical_host(name)
    own = is_own(host, own_domains)
    return (len(name), host, own) if own or is_public(host, suffixes) or (rest and _IPV4(host)) else None


class _Ends:
    """Where the links of one text end: before a space, less the marks that belong to the sentence. A link ends after
    its path, and a text may be all links, so each part without spaces is gone through once for all of them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._bounds = [match.span() for match in _RUNS(text)]
        self._runs: dict[int, _Run] = {}

    def of(self, end: int) -> int:
        """The end of the link whose host ends at `end`."""
        if end == len(self._text) or self._text[end] not in _PATH_SIGNS:
            return end
        start, stop = self._bounds[bisect_right(self._bounds, (end, len(self._text))) - 1]
        run = self._runs.get(start)
        if run is None:
            run = self._runs[start] = _Run(self._text[start:stop])
        return start + run.end_of(end - start)


class _Run:
    """A part without spaces. A closing bracket at its end belongs to a path in which an opening one has no other."""

    def __init__(self, run: str) -> None:
        self._trimmed = len(run.rstrip(_ENDS + ")]}"))
        self._brackets: list[tuple[list[int], list[int]]] = []
        for opening, closing in _BRACKETS:
            closers = [place for place in range(len(run) - 1, self._trimmed - 1, -1) if run[place] == closing]
            if closers:
                steps = ((char == closing) - (char == opening) for char in run)
                self._brackets.append((closers, [*accumulate(steps, initial=0)]))

    def end_of(self, start: int) -> int:
        """The end of the path that begins at `start`."""
        end = max(start, self._trimmed)
        for closers, surplus in self._brackets:
            too_many = max(0, surplus[-1] - surplus[start])
            if too_many < len(closers):
                end = max(end, closers[too_many] + 1)
        return end
