"""Texts that other pages have come to grief over: 500 of them, each base text in ten dresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: The worst of each kind come first, so that a short run sees them too.
BASES: Final = (
    "<script>document.title = 'taken'</script>",
    "Z" + "\u0301\u0316\u0489" * 300 + "algo",
    "\u202eesrever si siht",
    "<img src=x onerror=\"document.title='taken'\">",
    "W" * 1_500,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\u2067\u202a\u2066nested isolates",
    "<style>*{display:none}</style>",
    "javascript:document.title='taken'",
    "\ufdfd" * 30,
    "&lt;b&gt;&#60;i&#62;",
    "<svg onload=\"document.title='taken'\">",
    "'\"`--><!--",
    "{{7*7}} ${7*7} <%= 7*7 %>",
    "<iframe srcdoc='<script>parent.document.title=1</script>'>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "</bubble></div></article></main>",
    "\u05e9\u05dc\u05d5\u05dd hello \u0645\u0631\u062d\u0628\u0627 123",
    "\u0645\u0631\u062d\u0628\u0627" * 40,
    "a\u200b" * 200,
    "\u00ad" * 50 + "soft",
    "\u3000" * 50 + "wide",
    "\n" * 30 + "tall",
    "line\n" * 60,
    "\t" * 40 + "tabs",
    "|" * 500,
    "\u2588" * 400,
    "\u0e01\u0e34\u0e4c" * 80,
    "x" + "\u0bcd\u0d4d\u1039" * 40,
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "\U0001f1e6" * 21,
    "1\ufe0f\u20e3" * 20,
    "x" + "\u1160" * 60,
    "\u200f\u200e" * 60 + "marks",
    "@ann@ann@ann @",
    "@" + "a" * 64,
    "http://" + "a" * 900,
    "`" * 99,
    "```" + "x" * 900,
    "*" * 200 + "_" * 200,
    "# heading\n> quote\n- list\n1. one",
    "%s %n %x %d",
    "\\u003cscript\\u003e",
    "__proto__ constructor toString",
    "' OR 1=1 --",
    "../../../etc/passwd",
    "\ud7fb\uffef\U0010fffd",
    "\u2028line\u2029separators",
    "0" * 1_000,
)
DRESSES: Final[tuple[Callable[[str], str], ...]] = (
    lambda text: text,
    lambda text: f"`{text}`",
    lambda text: f"```\n{text}\n```",
    lambda text: f"@{text}",
    lambda text: f"\u202e{text}",
    lambda text: f"{text} " * 5,
    lambda text: f"https://h.example/{text}",
    lambda text: text.upper(),
    lambda text: "\u0336".join(text[:300]),
    lambda text: f"{text}\n{text}",
)
CORPUS: Final = tuple(dress(text)[:4_000] for dress in DRESSES for text in BASES)
assert len(CORPUS) == 500
