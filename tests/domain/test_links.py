"""Links are found as people and their clients see them."""

# ruff: noqa: RUF001 -- ambiguous characters are what this is about

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain.links import _as_read, _found, canonical_host, foreign_links, may_have_links, suffix_rules
from gochat.domain.sites import FILES
from tests.cost import cpu_s

CLEAN = Path(__file__).with_name("clean.txt").read_text(encoding="utf-8").splitlines()
SUFFIXES = suffix_rules(
    """
// ===BEGIN ICANN DOMAINS===
com
net
org
// two levels
uk
co.uk
*.ck
!www.ck
io
it
is
in
to
me
my
am
so
md
rs
py
sh
рф
公司
de
us
tg
id
name
no
how
now
open
click
call
info
pl
ws
la
st
ml
cf
भारत
// ===END ICANN DOMAINS===
// ===BEGIN PRIVATE DOMAINS===
github.io
""".splitlines()
)
OWN = frozenset({"good.com", "localhost", "xn--e1aybc.xn--p1ai"})


def found(text: str) -> list[tuple[str, str]]:
    return [(text[link.start : link.end], link.host) for link in foreign_links(text, OWN, SUFFIXES)]


@pytest.mark.parametrize(
    ("text", "link", "host"),
    [
        ("see http://evil.com/x?y=1.", "http://evil.com/x?y=1", "evil.com"),
        ("EVIL.Com!", "EVIL.Com", "evil.com"),
        ("www.evil.com", "www.evil.com", "www.evil.com"),
        ("(evil.co.uk)", "evil.co.uk", "evil.co.uk"),
        ("evil.com.", "evil.com", "evil.com"),
        ("**evil.com**", "evil.com", "evil.com"),
        ("see...evil.com", "evil.com", "evil.com"),
        ("-evil.com", "evil.com", "evil.com"),
        ("evil.github.io", "evil.github.io", "evil.github.io"),
        ("github.io", "github.io", "github.io"),
        ("b.a.ck", "b.a.ck", "b.a.ck"),
        ("[x](http://evil.com/a_(b))", "http://evil.com/a_(b)", "evil.com"),
        ("[evil.com](http://good.com)", "evil.com", "evil.com"),
        ("<http://evil.com>", "http://evil.com", "evil.com"),
        ("http://evil.com:8080/", "http://evil.com:8080/", "evil.com"),
        ("evil.com:8080", "evil.com:8080", "evil.com"),
        ("evil.sh/x", "evil.sh/x", "evil.sh"),
        ("www.evil.sh", "www.evil.sh", "www.evil.sh"),
        ("done.it", "done.it", "done.it"),
        ("https://good.com@evil.com/", "https://good.com@evil.com/", "evil.com"),
        ("http://user:pw@evil.com", "http://user:pw@evil.com", "evil.com"),
        ("http://evil.com#@good.com", "http://evil.com#@good.com", "evil.com"),
        ("http://evil.com\\@good.com", "http://evil.com\\@good.com", "evil.com"),
        ("http://good.com.evil.com", "http://good.com.evil.com", "good.com.evil.com"),
        ("notgood.com", "notgood.com", "notgood.com"),
        ("bob@evil.com/x", "evil.com/x", "evil.com"),
        ("https://good.com/?u=https://evil.com/", "https://evil.com/", "evil.com"),
        ("http://[::1]:80/", "http://[::1]:80/", "::1"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80", "127.0.0.1"),
        ("10.0.0.1:80", "10.0.0.1:80", "10.0.0.1"),
        ("http://3232235777/", "http://3232235777/", "3232235777"),
        ("http://intranet/", "http://intranet/", "intranet"),
        ("//evil.com/x", "evil.com/x", "evil.com"),
        ("http:\\\\evil.com", "http:\\\\evil.com", "evil.com"),
        ("https:/evil.com", "https:/evil.com", "evil.com"),
        ("https:evil.com", "evil.com", "evil.com"),
        ("hxxp://evil.com h**p://good.com", "hxxp://evil.com", "evil.com"),
        ("evil[.]com", "evil[.]com", "evil.com"),
        ("evil (dot) com", "evil (dot) com", "evil.com"),
        ("http://ev%69l%2ecom/", "http://ev%69l%2ecom/", "evil.com"),
        ("ev\u200bil\u00ad.com", "ev\u200bil\u00ad.com", "evil.com"),
        ("ｅｖｉｌ．ｃｏｍ", "ｅｖｉｌ．ｃｏｍ", "evil.com"),
        ("evil。com", "evil。com", "evil.com"),
        ("ｈｔｔｐ：／／evil.com", "ｈｔｔｐ：／／evil.com", "evil.com"),
        ("пример.рф", "пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("gооd.com", "gооd.com", "xn--gd-fmca.com"),
        ("straße.de", "straße.de", "xn--strae-oqa.de"),
        ("tg://resolve?domain=x", "tg://resolve?domain=x", "resolve"),
        ("evil.com에서 봐요", "evil.com", "evil.com"),
        ("请访问evil.com谢谢", "evil.com", "evil.com"),
        ("サイトはevil.comです", "evil.com", "evil.com"),
        ("ดูที่evil.comนะ", "evil.com", "evil.com"),
        ("evil.comда", "evil.com", "evil.com"),
        ("пример.рф에서", "пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("उदाहरण.भारत", "उदाहरण.भारत", "xn--p1b6ci4b4b3a.xn--h2brj9c"),
        ("_evil.com_", "evil.com", "evil.com"),
        ("__evil.com__", "evil.com", "evil.com"),
        ("_пример.рф_", "пример.рф", "xn--e1afmkfd.xn--p1ai"),
        ("evil.com_now", "evil.com", "evil.com"),
        ("evil.com-", "evil.com", "evil.com"),
        ("evil.pl", "evil.pl", "evil.pl"),
        ("see evil.It", "evil.It", "evil.it"),
        ("Evil.It! she said", "Evil.It", "evil.it"),
        ("Evil.Com is here", "Evil.Com", "evil.com"),
        ("evil.Com is here", "evil.Com", "evil.com"),
        ("www.Evil.It works", "www.Evil.It", "www.evil.it"),
        ("evil.com.Visit us", "evil.com", "evil.com"),
        ("evil.it.It was", "evil.it", "evil.it"),
        ("evil{.}com", "evil{.}com", "evil.com"),
        ("evil<dot>com", "evil<dot>com", "evil.com"),
        ("evil[ . ]com", "evil[ . ]com", "evil.com"),
        ("evil﹒com", "evil﹒com", "evil.com"),
        ("evil&#46;com", "evil&#46;com", "evil.com"),
        ("evil&period;com", "evil&period;com", "evil.com"),
        ("&#101;vil&#x2e;com", "&#101;vil&#x2e;com", "evil.com"),
        ("evil%2ecom", "evil%2ecom", "evil.com"),
        ("go to evil dot com now", "evil dot com", "evil.com"),
        ("evil DOT co DOT uk", "evil DOT co DOT uk", "evil.co.uk"),
        ("evil . com", "evil . com", "evil.com"),
        ("see evil .com now", "evil .com", "evil.com"),
        ("see evil. com", "evil. com", "evil.com"),
        ("evil dot it", "evil dot it", "evil.it"),
        ("evil( dot )com", "evil( dot )com", "evil.com"),
        ("evil{dOt}com", "evil{dOt}com", "evil.com"),
        ("ä evil[ . ]com", "evil[ . ]com", "evil.com"),
        ("evil［dot］com", "evil［dot］com", "evil.com"),
        ("evil 𝐝𝐨𝐭 com", "evil 𝐝𝐨𝐭 com", "evil.com"),
        ("evil ｄｏｔ ｃｏｍ", "evil ｄｏｔ ｃｏｍ", "evil.com"),
        ("https:/\\intranet", "https:/\\intranet", "intranet"),
        ("evil.ⓒⓞⓜ", "evil.ⓒⓞⓜ", "evil.com"),
        ("ⓔⓥⓘⓛ.ⓒⓞⓜ", "ⓔⓥⓘⓛ.ⓒⓞⓜ", "evil.com"),
        ("evil.🄲🄾🄼", "evil.🄲🄾🄼", "evil.com"),
        ("evil.ⓘⓞ", "evil.ⓘⓞ", "evil.io"),
        ("http:﹨evil.com", "http:﹨evil.com", "evil.com"),
        ("i❤.ws", "i❤.ws", "xn--i-7iq.ws"),
        ("💩.la", "💩.la", "xn--ls8h.la"),
        ("☃.net", "☃.net", "xn--n3h.net"),
        ("go to i❤️.ws/x now", "i❤️.ws/x", "xn--i-7iq.ws"),
        ("(www.i❤.ws)", "www.i❤.ws", "www.xn--i-7iq.ws"),
        ("👩\u200d💻.to", "👩\u200d💻.to", "xn--rq8hef.to"),
        ("see ☃.net, it is cold", "☃.net", "xn--n3h.net"),
        ("∞.com", "∞.com", "xn--59g.com"),
        ("🅴🆅🅸🅻.com", "🅴🆅🅸🅻.com", "xn--437hiaj2b.com"),
        ("a.i❤.co.uk", "a.i❤.co.uk", "a.xn--i-7iq.co.uk"),
        ("❤.evil.com", "evil.com", "evil.com"),
        ("💩.ml", "💩.ml", "xn--ls8h.ml"),
        ("bob@❤.ws/x", "❤.ws/x", "xn--qei.ws"),
    ],
)
def test_links(text: str, link: str, host: str) -> None:
    assert found(text) == [(link, host)]


@pytest.mark.parametrize(
    "text",
    [
        "https://good.com/a?b#c https://sub.good.com good.com GOOD.COM.",
        "http://localhost:8080/ http://user@good.com:80",
        "тест.рф http://a.тест.рф xn--e1aybc.xn--p1ai",
        "co.uk a.ck .com com",
        "1.2.3 1.2.3.4 v10.0.0.1 256.1.1.1:80",
        "readme.md main.rs setup.py run.sh",
        "docs/readme.com and/or",
        "end.Then he. done.It was. ok.So what",
        "bob@evil.com mailto:bob@evil.com @ann.me",
        "9.am 12.30 e.g. i.e. U.S.A. Ph.D.",
        "evil dot com, the dot com bubble, .com",
        "他很好。公司在上海。公司，",
        "http:// https:// :// // comment http://... http://)",
        "ratio 3:2, c:\\temp",
        "console.log(x) foo.bar",
        "done.It was good. Yes.It works. Thanks.In a minute. Ok.My bad. Sure.No problem, Hello.How are you",
        "ok.Now go 1.Open the door 2.Click the button 10.Call me 1.open it",
        "done.It's me. no.So.It goes. Really.\"It is.",
        "das Ende.Am Anfang, Größe.Am Montag, конец.It was, e.g.In this case",
        "see README.It is long, resolv.conf.It names, 127.0.0.1.It is",
        "node.name_of self.name_x in_it.is_ok",
        "megoldással.Pl. 1994",
        "a modo de cada arquivo para o grupo.Com o tempo",
        "good.com에서 _good.com_ good . com good dot com good&#46;com good%2ecom",
        "java.net.Socket is one. see foo.name(5)",
        "connect the dot in the middle, a .com file, every .org domain, mot . It was",
        "AT&T; 100%2e &# &period",
        "great 👍.No, ok 😀.so what. super ❤.It is. danke 🙏.In einer Stunde, well 🤔.me too",
        "me gusta 👍.La casa, me gusta 👍.la casa, ok 👌.to be fair, c'est 😀.St. Pierre",
        "esta mensagem não é minha 😀.Com o tempo passa",
        "is that ok 👍.no? ja👍.so? ☕.in/ (well 👌.is)...",
        "25°.It is hot, 😀. com certeza, 👍 .ws, 😀...ok, ❤.rs 🦀.rs 🐍.py",
        "👉good.com ❤.good.com bob@❤.ws ☃.xn--e1aybc.xn--p1ai",
    ],
)
def test_no_links(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_passes(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("bob@mail.evil.com", []),
        ("bob@a-b.evil.com, ann@x-y.com", []),
        ("bob@mail.evil.com, evil.org", ["evil.org"]),
        ("bob@mail.evil.com evil.com", ["evil.com"]),
        ("bob@mail.evil.com/x", ["mail.evil.com"]),
        ("bob@mail.evil.com:25", ["mail.evil.com"]),
        ("http://bob@mail.evil.com", ["mail.evil.com"]),
        ("bob@good.com//evil.com", ["evil.com"]),
    ],
)
def test_a_part_of_a_mail_address_is_no_domain(text: str, hosts: list[str]) -> None:
    assert [host for _, host in found(text)] == hosts


@pytest.mark.parametrize(
    ("text", "hosts"), [("㎞。com", ["km.com"]), ("天。com 気。1.2", []), ("𝐞𝐯𝐢𝐥。com", ["evil.com"])]
)
def test_an_ideographic_dot_joins_what_reads_as_latin(text: str, hosts: list[str]) -> None:
    assert [host for _, host in found(text)] == hosts


def test_all_links_are_found_in_order() -> None:
    assert [host for _, host in found("b.com, http://a.com/x and c.co.uk? no: good.com")] == [
        "b.com",
        "a.com",
        "c.co.uk",
    ]


def test_without_suffixes_only_what_says_so_is_a_link() -> None:
    assert [link.host for link in foreign_links("evil.com http://evil.org", (), frozenset())] == ["evil.org"]


def test_a_canonical_host_is_one_form_of_many() -> None:
    forms = (
        "Bücher.example",
        "bücher.example.",
        "xn--bcher-kva.example",
        "b\u00fc%63her.example",
        "BU\u0308CHER.EXAMPLE",
    )
    assert {canonical_host(form) for form in forms} == {"xn--bcher-kva.example"}


PARTS = st.sampled_from(
    [
        *(
            "evil",
            "com",
            "COM",
            "dot",
            "dOt",
            "it",
            "www",
            "1.2.3.4",
            ":80",
            "ä",
            "天",
            "рф",
            "❤",
            "a",
            "㎞",
            "™",
            "Ⅳ",
            "①",
        ),
        *(
            "ⓔ",
            "ⓒⓞⓜ",
            "🄲🄾🄼",
            "ｃｏｍ",
            "𝐜𝐨𝐦",
            "𝐝𝐨𝐭",
            ".",
            ".",
            ".",
            "．",
            "。",
            "｡",
            "․",
            "﹒",
            "&#46;",
            "&period;",
            "%2e",
        ),
        *(
            "％2e",
            "/",
            "//",
            "／",
            "://",
            "：",
            "\\",
            "＼",
            "﹨",
            "[",
            "]",
            "(",
            ")",
            "（",
            "）",
            "{",
            "}",
            "［",
            "］",
            "@",
            "-",
        ),
        *("_", "\u0301", "\u200b", " ", "\n", "\u3000"),
    ]
)


@given(st.lists(PARTS, max_size=9).map("".join))
def test_the_quick_test_misses_nothing(text: str) -> None:
    assert may_have_links(text) or not list(_found(_as_read(text)[1], (), SUFFIXES))


def test_letters_that_browsers_read_as_others_are_read_so() -> None:
    """Every character that NFKC turns into letters or digits, in a host and behind its dot."""
    missed = []
    for code in range(0x80, 0x110000):
        read = unicodedata.normalize("NFKC", chr(code))
        if read != chr(code) and read.isalnum():
            name = f"{chr(code)}.{chr(code)}"
            if not foreign_links(f"evil{chr(code)}.com", (), SUFFIXES) or not may_have_links(name):
                missed.append(chr(code))
            top = read.lower()
            if top.isascii() and top not in FILES and not foreign_links(f"evil.{chr(code)}", (), frozenset([top])):
                missed.append(name)
    assert missed == []


NASTY = st.text(st.one_of(st.sampled_from("ahtp:/\\.com@[]()%2e-_ 19。\u200b:рф"), st.characters()), max_size=60)


@given(NASTY)
def test_any_text_will_do(text: str) -> None:
    for start, end, host in foreign_links(text, OWN, SUFFIXES):
        assert 0 <= start < end <= len(text)
        assert host.isascii()


@given(NASTY)
def test_the_canonical_form_is_its_own(host: str) -> None:
    once = canonical_host(host.replace("%", ""))
    assert once.isascii()
    if "%" not in once:
        assert canonical_host(once) == once


@given(
    st.sampled_from(CLEAN), st.sampled_from(CLEAN), st.sampled_from(("evil.com", "www.evil.com/x", "http://evil.com"))
)
def test_a_planted_link_is_found(before: str, after: str, link: str) -> None:
    text = f"{before} {link} {after}"
    assert [text[start:end] for start, end, _ in foreign_links(text, OWN, SUFFIXES)] == [link]


@pytest.mark.parametrize(
    "text",
    ["a." * 2000, "http://" * 570, "://x@" * 800, "x.y" * 1300, "http://a/" + ")" * 3990, "a-" * 2000, "[.]" * 1300],
)
def test_no_text_is_expensive(text: str) -> None:
    """The bound is generous; what grew with the square of the length took longer."""
    assert cpu_s(lambda: foreign_links(text, OWN, SUFFIXES)) < 0.5
