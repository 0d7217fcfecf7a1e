"""Links to foreign sites, as people and their clients see them. Pure; public suffixes come in as a value.

A link is

- anything behind `://` (any scheme, `hxxp` and such too), with whatever host: a name, a number, an address. It ends at
  the next space or closing mark. What stands before an `@` there is told apart, so `own.org@evil.com` is evil.com;
- `//host`, `www.host` and a bare domain whose last labels are a public suffix: `evil.com`, `пример.рф`, `evil[.]com`;
- an IPv4 address with a port or a path; alone, 1.2.3.4 is a version.

Hosts are compared as browsers do: NFKC, small letters, percent-decoding, labels in punycode. A look-alike of an own
domain is therefore another domain.

Not links: mail addresses and mentions (`bob@evil.com`, `@ann.me`) without a path or port; a name in a path
(`docs/readme.com`); bare names under `.md .rs .py .sh .pl .ps .cc .so .ml .mk .zip .mov`, which are files far more
often than sites (with `www.`, a scheme, a port or a path they count); a sentence whose next one follows without a
space and begins with a word that is a suffix (`done.It was`); a number before a suffix of two letters (`9.am`). In
small letters `done.it` is a domain, since nothing tells it from one. `evil dot com` and `evil .com` are left alone,
for the sake of the dot com bubble; `evil[dot]com` is seen.
"""

# ruff: noqa: RUF001 -- ambiguous characters are what this is about

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import unquote

from gochat.domain.lookalikes import is_invisible

_FILES = frozenset(["md", "rs", "py", "sh", "pl", "ps", "cc", "so", "ml", "mk", "zip", "mov"])
#: Suffixes that begin English sentences.
_SENTENCE_STARTERS = frozenset(
    ("ad", "am", "as", "at", "be", "by", "do", "hm", "id", "in", "is", "it", "la", "me", "my", "no", "pm", "to", "us")
)  # fmt: skip
#: Read as a dot in domain names (IDNA 2003, RFC 3490 section 3.1), besides those that NFKC makes one.
_IDEOGRAPHIC_DOTS = "\u3002\uff61"
_LONGEST_HOST = 253  # RFC 1035, 2.3.4
#: One more than the longest rule of the public suffix list has.
_MOST_LABELS = 7
#: What is looked at of a host behind a scheme: a label of one character may be percent-encoded in 12.
_MOST_OF_HOST = 4 * _LONGEST_HOST
_ENDS = ".,;:!?*_~'\""
_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?+(?![\w-])"

#: Between Latin letters only: elsewhere it ends a sentence.
_IDEOGRAPHIC_DOT = re.compile(rf"[{_IDEOGRAPHIC_DOTS}](?<=[A-Za-z0-9].)(?=[A-Za-z0-9])")
_BRACKETED_DOT = re.compile(r"[\[({（](?i:dot)[\])}）]").search
_DOT_BEFORE = re.compile(r"[.．․][^\w\s]{0,4}\w").search
#: Behind what may read as Latin, which Han, kana, Hangul and their marks never do.
_IDEOGRAPHIC_BEFORE = re.compile(
    r"[^\s\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af！-／：-＠][^\w\s]{0,4}[。｡][^\w\s]{0,4}[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]"
).search
_TWO_SLASHES = re.compile(r"[/／∕⁄][/／∕⁄]").search
_COLON_BACKSLASH = re.compile(r"[:：][\\＼]").search
_DOT = re.compile(r"\.[)\]}]?\w").search
_SIGNS = (
    (".", re.compile(r"\.[^\w\s]{0,4}\w").search),
    *((dot, _DOT_BEFORE) for dot in "．․"),
    *((dot, _IDEOGRAPHIC_BEFORE) for dot in "。｡"),
    *((slash, _TWO_SLASHES) for slash in "/／∕⁄"),
    *((slash, _COLON_BACKSLASH) for slash in "\\＼"),
    *((bracket, _BRACKETED_DOT) for bracket in "[({（"),
)
_IN_BRACKETS = re.compile(r"[\[({]\s?(?:\.|(?i:dot))\s?[\])}]").search
_WRITTEN_DOT = re.compile(r"\s?[\[({]\s?(?:\.|(?i:dot))\s?[\])}]\s?")
_AFTER_SCHEME = re.compile(r":([/\\]+)([^\s/\\?#<>\"]+)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.*-]*\Z", re.IGNORECASE)
_LONGEST_SCHEME = 21
_BARE = re.compile(
    rf"\b(?<![\w@])((?<![/\\])|(?<=//))({_LABEL}(?:\.{_LABEL})++)(?!@)\.?((?::\d{{1,5}})?(?:[/?#][^\s<>\"]*)?)"
)
_AFTER_MAIL = re.compile(rf"@({_LABEL}(?:\.{_LABEL})++)((?::\d{{1,5}}|[/?#])[^\s<>\"]*)")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s\[\](){}<>\"'`,;:|*!]+)", re.IGNORECASE)
_REST = re.compile(r"[^\s<>\"]*")
_IPV4 = re.compile(r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}").fullmatch


_LABELS = re.compile(r"\.([\w-]+)").findall
#: A host as most URLs have it.
_URL_HOST = re.compile(r"//([a-z0-9]{1,63}(?:\.[a-z0-9]{1,63})+)(?=[/?#\s]|\Z)").sub
_ADDRESS = re.compile(r"\.\d{1,3}\.?[:/?#]").search
#: What `_is_meant` would call a file, a time, or two sentences; ASCII only, and not all of it.
_NOT_MEANT = re.compile(
    rf"(?<![\w.@/\\:-])(?:[a-z]{{1,60}}\.(?:{'|'.join(sorted(word.title() for word in _SENTENCE_STARTERS))})"
    rf"|(?!(?i:www)\.)[a-zA-Z0-9][a-zA-Z0-9_-]{{0,60}}\.(?i:{'|'.join(sorted(_FILES))})|\d\d?\.[A-Za-z]{{2}})(?![\w.:/?#@-])"
).sub
#: What stands behind an `@`, with its path.
_MAIL = re.compile(rf"@({_LABEL}(?:\.{_LABEL})*+)(\.?(?::\d{{1,5}})?(?:[/?#][^\s<>\"]*)?)").sub


class Link(NamedTuple):
    """Characters `start` to `end` of the text (code points, end exclusive) link to `host`, in canonical form."""

    start: int
    end: int
    host: str


def suffix_rules(lines: Iterable[str]) -> frozenset[str]:
    """The rules of a public suffix list, labels in punycode; its private section, if marked, is left out.

    The form is that of publicsuffix.org: a rule a line, `//` comments, `*.` for any label, `!` for an exception.
    """
    rules: set[str] = set()
    written: dict[str, str] = {}
    for line in lines:
        if line.startswith("//"):
            if "BEGIN PRIVATE DOMAINS" in line:
                break
            continue
        rule = line.partition("//")[0].strip()
        if not rule.isascii() or "%" in rule:
            mark = "!" if rule.startswith("!") else ""
            host = rule.removeprefix("!")
            rule = mark + canonical_host(host)
            written[rule] = unicodedata.normalize("NFKC", host.lower())
        rules.add(rule.lower().strip("."))
    rules.discard("")
    # Top-level domains as a text may have them, also of rules for what is below one: `*.ck`, `xn--p1ai`.
    tops = {rule.removeprefix("*.") for rule in rules if rule.rfind(".") <= 1 and not rule.startswith("!")}
    return frozenset(
        rules.union(tops, [written.get(top) or _in_unicode(top) for top in tops if top.startswith("xn--")])
    )


def _in_unicode(label: str) -> str:
    try:
        return label.removeprefix("xn--").encode().decode("punycode")
    except UnicodeError:
        return label


def canonical_host(host: str) -> str:
    """A host as hosts are compared: NFKC, small letters, percent-decoded, labels in punycode, no dot at the end.

    For own domains too. Any string will do: what is no host stays some other string.
    """
    if "%" in host:
        host = unquote(host, errors="replace")
    if not host.isascii():
        host = "".join(char for char in host if not is_invisible(char))
        host = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", host).lower())
        for dot in _IDEOGRAPHIC_DOTS:
            host = host.replace(dot, ".")
    host = host.lower().strip(".[]")
    return host if host.isascii() else ".".join(map(_a_label, host.split(".")))


def _a_label(label: str) -> str:
    """RFC 3492. A label without a punycode form (a lone surrogate) is escaped: it is no own domain in any case."""
    if label.isascii():
        return label
    return "xn--" + label.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("punycode").decode(
        "ascii"
    )


def foreign_links(text: str, own_domains: Collection[str], suffixes: Collection[str]) -> list[Link]:
    """Every link to a host that is neither one of `own_domains` (canonical) nor below one, in order of the text.

    `suffixes`: from `suffix_rules`. Any string will do for a text.
    """
    if not _may_have_links(text):
        return []
    read = text if text.isascii() else _IDEOGRAPHIC_DOT.sub(".", text.translate(_READ))
    plain = _WRITTEN_DOT.sub(".", read) if _IN_BRACKETS(read) else read
    found = list(_with_scheme(plain, own_domains)) if ":" in plain else []
    if _may_have_bare(plain, own_domains, suffixes):
        found += _without_scheme(plain, own_domains, suffixes)
    if "@" in plain:
        found += _after_mail(plain, own_domains, suffixes)
    if not found:
        return []
    links: list[Link] = []
    for start, end, host in sorted(found):
        if not (links and links[-1].end >= end and links[-1].host == host):
            links.append(Link(start, end, host))
    if plain is text:
        return links
    at = _places(text, read)
    return [Link(at[link.start], at[link.end - 1] + 1, link.host) for link in links]


def _may_have_links(text: str) -> bool:
    """A link has one of a few signs, and around it what a pattern finds."""
    if text.isascii():
        return (
            ("." in text and _DOT(text) is not None)
            or "//" in text
            or ":\\" in text
            or (("(" in text or "[" in text or "{" in text) and _BRACKETED_DOT(text) is not None)
        )
    return any(sign in text and is_there(text) is not None for sign, is_there in _SIGNS)


class _Read(dict[int, str | None]):
    """A table for `str.translate`: a character as browsers read it in a host; None if nothing is drawn for it."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        read = None if is_invisible(char) else unicodedata.normalize("NFKC", char)
        self[code] = read
        return read


_READ: dict[int, str | None] = _Read({code: chr(code) for code in range(128)})


def _places(text: str, plain: str) -> list[int]:
    """For each character of the text as it was read its index in the text."""
    at = [index for index, char in enumerate(text) for _ in _READ[ord(char)] or ""]
    places, done = [], 0
    for match in _WRITTEN_DOT.finditer(plain):
        places += [*at[done : match.start()], at[match.start()]]
        done = match.end()
    return places + at[done:]


def _with_scheme(plain: str, own_domains: Collection[str]) -> Iterator[tuple[int, int, str]]:
    for match in _AFTER_SCHEME.finditer(plain):
        user, at, rest = match[2].rpartition("@")
        host = _HOST.match(rest)
        name = canonical_host(host[1].rstrip(_ENDS)[:_MOST_OF_HOST]) if host else ""
        if host is None or _is_own(name, own_domains) or not any(char.isalnum() for char in name):
            continue
        colon = match.start()
        scheme = _SCHEME.search(plain, max(0, colon - _LONGEST_SCHEME), colon)
        if len(match[1]) > 1 or (scheme is not None and scheme[0].lower() in ("http", "https")):
            end = match.start(2) + len(user) + len(at) + host.end()
            yield scheme.start() if scheme else colon, _trimmed_end(plain, end), name


def _may_have_bare(plain: str, own_domains: Collection[str], suffixes: Collection[str]) -> bool:
    """False only where `_without_scheme` finds nothing: few texts with dots have a top-level domain behind one."""
    rules = frozenset(suffixes)  # which costs nothing where it is one
    labels = _LABELS(plain.lower())
    if not plain.isascii():
        labels = unicodedata.normalize("NFKC", " ".join(labels)).split()
    if _ADDRESS(plain) is not None:
        return True
    if rules.isdisjoint(labels):
        return False
    if "@" in plain or not plain.isascii():
        return True
    meant = _NOT_MEANT(" ", plain).lower()
    if "//" in meant:
        meant = _URL_HOST(lambda match: "//" if _is_own(match[1], own_domains) else match[0], meant)
    return not rules.isdisjoint(_LABELS(meant))


def _without_scheme(
    plain: str, own_domains: Collection[str], suffixes: Collection[str]
) -> Iterator[tuple[int, int, str]]:  # fmt: skip
    """Names are judged before their places are looked for: most are no links, and the same ones come again."""
    masked = _MAIL(_masked, plain) if "@" in plain else plain
    likely = {
        (name, rest)
        for _, name, rest in _BARE.findall(masked)
        if (top := name[name.rfind(".") + 1 :].lower()) in suffixes or not top.isascii() or (rest and _IPV4(name))
    }
    hosts = {(name, rest): _foreign_host(name, rest, own_domains, suffixes) for name, rest in likely}
    if not any(hosts.values()):
        return
    for match in _BARE.finditer(masked):
        host = hosts.get((match[2], match[3]))
        if host:
            yield match.start(2), _trimmed_end(plain, match.end(2)), host


def _masked(mail: re.Match[str]) -> str:
    """A mail address, so that no part of its host seems a bare domain; of two plain labels none would."""
    is_plain = mail[1].count(".") < 2 and "-" not in mail[1]
    return "@" * (mail.end(1) - mail.start()) + (mail[2] if is_plain else "@" * len(mail[2]))


def _after_mail(
    plain: str, own_domains: Collection[str], suffixes: Collection[str]
) -> Iterator[tuple[int, int, str]]:  # fmt: skip
    for match in _AFTER_MAIL.finditer(plain):
        host = canonical_host(match[1])
        if not _is_own(host, own_domains) and _is_public(host, suffixes):
            yield match.start(1), _trimmed_end(plain, match.end(1)), host


def _foreign_host(name: str, rest: str, own_domains: Collection[str], suffixes: Collection[str]) -> str | None:
    """The host that a name with dots means, if it means one; `rest` is the port and path."""
    if not rest and name.count(".") == 1 and not _is_meant(name):
        return None
    if name in own_domains or name in suffixes:
        return None
    host = canonical_host(name)
    if not _is_own(host, own_domains) and (_is_public(host, suffixes) or _IPV4(host)):
        return host
    return None


def _is_meant(name: str) -> bool:
    """Whether a name of two labels may be meant as a site: not as a file, a time or two sentences without a space."""
    first, _, last = name.partition(".")
    suffix = last.lower()
    if suffix in _FILES or (len(last) == 2 and len(first) <= 2 and first.isdecimal()):
        return first.lower() == "www"
    return not (suffix in _SENTENCE_STARTERS and last.istitle() and not name.istitle())


def _is_public(host: str, suffixes: Collection[str]) -> bool:
    """Whether the host is a name below a public suffix (publicsuffix.org: the longest rule counts)."""
    if len(host) > _LONGEST_HOST:
        return False
    labels = host.split(".")[-_MOST_LABELS:]
    for first in range(len(labels)):
        rest = ".".join(labels[first:])
        if "!" + rest in suffixes:
            return True
        if rest in suffixes or "*." + ".".join(labels[first + 1 :]) in suffixes:
            return first > 0
    return False


def _is_own(host: str, own_domains: Collection[str]) -> bool:
    while host:
        if host in own_domains:
            return True
        host = host.partition(".")[2]
    return False


def _trimmed_end(plain: str, end: int) -> int:
    """Where the link ends that is known to reach `end`: at a space, less the marks that belong to the sentence."""
    rest = _REST.match(plain, end)
    path = rest[0] if rest and rest[0][:1] in (":", "/", "?", "#", "\\") else ""
    while path and (
        path[-1] in _ENDS or (path[-1] in ")]}" and path.count(path[-1]) > path.count("([{"[")]}".index(path[-1])]))
    ):
        path = path[:-1]
    return end + len(path)
