"""Tokens for the users of tests, signed as `gochat token issue` signs them: with the secret of a node's settings, or
with that of its data folder."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from gochat.auth import tokens as auth
from gochat.auth.claims import DEFAULT_SCOPES
from gochat.auth.secret import own_secret
from gochat.config import Auth
from gochat.node import Node

#: Longer than any test takes.
TTL_S = 3_600


def issue(node: Node, user: str, scopes: Iterable[str] = DEFAULT_SCOPES, *, name: str | None = None) -> str:
    """A token that this node accepts."""
    return auth.issuer(node.settings).issue(user, now_s=int(time.time()), ttl_s=TTL_S, scopes=scopes, name=name)


def issue_in(
    data: Path, user: str, scopes: Iterable[str] = DEFAULT_SCOPES, *, name: str | None = None, ttl_s: int = TTL_S
) -> str:
    """A token that a node without a configured key accepts, whose data folder this is."""
    issuer = auth.Issuer(Auth(), own_secret(data))
    return issuer.issue(user, now_s=int(time.time()), ttl_s=ttl_s, scopes=scopes, name=name)
