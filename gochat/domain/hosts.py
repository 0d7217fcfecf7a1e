"""Hosts: the one form in which they are compared, whether one may be registered, whether one is our own. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from urllib.parse import unquote

from gochat.domain.confusables import is_invisible

#: Read as a dot in domain names (IDNA 2003, RFC 3490 section 3.1), besides those that NFKC makes one.
IDEOGRAPHIC_DOTS = "\u3002\uff61"
LONGEST_HOST = 253  # RFC 1035, 2.3.4
_LONGEST_LABEL = 63
#: One more than the longest rule of the public suffix list has.
_MOST_LABELS = 7


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
        for dot in IDEOGRAPHIC_DOTS:
            host = host.replace(dot, ".")
    host = host.lower().strip(".[]")
    return host if host.isascii() else ".".join(map(_a_label, host.split(".")))


def _a_label(label: str) -> str:
    """RFC 3492. A label without a punycode form (a lone surrogate) is escaped: it is no own domain in any case.

    So is one that is too long for DNS already, and longer in punycode: nothing can be looked up by it, and its punycode
    would cost the square of its length.
    """
    if label.isascii():
        return label
    if len(label) > _LONGEST_LABEL:
        return label.encode("ascii", "backslashreplace").decode("ascii")
    return "xn--" + label.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("punycode").decode(
        "ascii"
    )


def is_public(host: str, suffixes: Collection[str]) -> bool:
    """Whether the host is a name below a public suffix (publicsuffix.org: the longest rule counts)."""
    if len(host) > LONGEST_HOST:
        return False
    labels = host.split(".")[-_MOST_LABELS:]
    for first in range(len(labels)):
        rest = ".".join(labels[first:])
        if "!" + rest in suffixes:
            return True
        if rest in suffixes or "*." + ".".join(labels[first + 1 :]) in suffixes:
            return first > 0
    return False


def is_own(host: str, own_domains: Collection[str]) -> bool:
    if host in own_domains:
        return True
    dot = host.rfind(".")
    while dot >= 0 and len(host) - dot <= LONGEST_HOST + 1:
        if host[dot + 1 :] in own_domains:
            return True
        dot = host.rfind(".", 0, dot)
    return False
