"""Ids of identity providers (`auth0|123`, `Ann@example.org`) as user ids, one to one.

A byte of UTF-8 that is no small letter, digit, point or hyphen is written `_xx`, in hexadecimal; `_` too. So `_` is
always followed by two digits, but for one case: a first byte that may not begin a user id is written `_xx` in any case,
with `u_` in front.
"""

from __future__ import annotations

import re
from typing import Final

_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789.-")
_FIRST: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")
_PREFIX: Final = "u_"
_ESCAPED: Final = re.compile("_([0-9a-f]{2})")


def escape(given: str) -> str:
    """The user id for an identity provider's id; it may be longer than user ids may be."""
    data = given.encode("utf-8", "surrogatepass")
    if not data:
        return ""
    head = "" if data[0] in _FIRST else f"{_PREFIX}_{data[0]:02x}"
    rest = data[1:] if head else data
    return head + "".join(chr(byte) if byte in _PLAIN else f"_{byte:02x}" for byte in rest)


def unescape(user: str) -> str | None:
    """The provider's id for this user; None where no id leads to it."""
    text = user.removeprefix(_PREFIX) if user.startswith(f"{_PREFIX}_") else user
    try:
        data = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1")
        given = data.decode("utf-8", "surrogatepass")
    except UnicodeError:
        return None
    return given if escape(given) == user else None
