"""Pieces of HTML. A parameter that is not called markup is text, and is escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any, Final

#: An example that is shorter stands on one line.
_LINE: Final = 90


def element(name: str, *content: str, **attributes: str) -> str:
    """`content` is markup; `class_` and `aria_label` are spelled as HTML has them."""
    told = "".join(f' {_name(key)}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{told}>{''.join(content)}</{name}>"


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def code(text: str) -> str:
    return element("code", escape(text))


def link(target: str, content: str) -> str:
    return element("a", content, href=target)


def prose(text: str) -> str:
    """Text in which backticks mark code, as in the documents' descriptions."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def paragraph(text: str, **attributes: str) -> str:
    return element("p", prose(text), **attributes) if text else ""


def definitions(entries: Iterable[tuple[str, str]], **attributes: str) -> str:
    """A list of terms and their descriptions, both markup. "" for an empty list."""
    told = "".join(element("div", element("dt", term), element("dd", text) if text else "") for term, text in entries)
    return element("dl", told, **attributes) if told else ""


def sample(value: Any) -> str:
    """An example as JSON."""
    short = json.dumps(value, ensure_ascii=False)
    text = short if len(short) <= _LINE else json.dumps(value, ensure_ascii=False, indent=2)
    return element("pre", code(text))
