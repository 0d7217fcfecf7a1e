"""One setting: its type with bounds, its unit, its reason, and how people are told of them."""

from __future__ import annotations

import typing
from typing import Any, Literal, NamedTuple

from msgspec import Meta

#: The unit of the keys that say where to listen.
ADDRESS = "HOST:PORT"
NNG_ADDRESS = "tcp://HOST:PORT or tls+tcp://HOST:PORT"


def key(unit: str, *, flag: str = "", does: str = "", secret: bool = False, **bounds: Any) -> Meta:
    """A key's unit and bounds, for its annotation, where its reason follows as a text. `does`: the help of its flag."""
    return Meta(extra={"unit": unit, "flag": flag, "does": does, "secret": secret}, **bounds)


class Key(NamedTuple):
    """One setting as the reference, config.toml and the loader see it."""

    path: str
    type: Any
    """With its bounds, as msgspec takes it."""
    default: Any
    unit: str
    why: str
    flag: str
    does: str
    """The help of the flag."""
    secret: bool

    @property
    def allowed(self) -> str:
        """The allowed values, with their unit, for people."""
        return _allowed(self.type, self.unit)


def _allowed(hint: Any, unit: str) -> str:
    meta, _ = hint.__metadata__
    kind = hint.__origin__
    if typing.get_origin(kind) is Literal:
        *others, last = (f'"{choice}"' for choice in typing.get_args(kind))
        return f"{', '.join(others)} or {last}"
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        low = f"{meta.ge:,.0f}" if meta.ge is not None else f"above {meta.gt:,.0f}"
        return f"{'whole number' if kind is int else 'number'}, {low} to {meta.le:,.0f} {unit}"
    if kind is str:
        return f"{unit}, up to {meta.max_length} characters" if meta.max_length else unit
    return f"list of {unit}"
