from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.auth.claims import identity
from gochat.auth.tokens import Issuer, unverified
from gochat.auth.user_ids import escape, unescape
from gochat.config import Auth
from gochat.domain.ids import is_name
from gochat.errors import AuthError

RULES = Auth(secret="s" * 32, user_map="escape")


@pytest.mark.parametrize(
    ("given_id", "user"),
    [
        ("ann", "ann"),
        ("a.b-c", "a.b-c"),
        ("auth0|123", "auth0_7c123"),
        ("ann_b", "ann_5fb"),
        ("7", "7"),
        ("Ann@example.org", "u__41nn_40example.org"),
        ("_x", "u__5fx"),
        (".x", "u__2ex"),
        ("-", "u__2d"),
        ("u__41nn", "u_5f_5f41nn"),
        ("jos\u00e9", "jos_c3_a9"),
    ],
)
def test_ids_of_providers(given_id: str, user: str) -> None:
    assert escape(given_id) == user
    assert unescape(user) == given_id


@given(st.text(min_size=1, max_size=15))
def test_any_id_is_well_formed_and_comes_back(given_id: str) -> None:
    user = escape(given_id)
    assert is_name(user) or len(user) > 64
    assert unescape(user) == given_id


@given(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,20}", fullmatch=True))
def test_of_two_ids_never_one_is_made(user: str) -> None:
    given_id = unescape(user)
    assert given_id is None or escape(given_id) == user


def test_tokens_are_read_and_signed_so() -> None:
    now = int(time.time())
    claims = {"sub": "Ann@example.org", "iat": now, "exp": now + 60, "aud": "gochat"}
    assert identity(claims, RULES, now).user == "u__41nn_40example.org"
    issuer = Issuer(RULES, RULES.secret)
    text = issuer.issue("u__41nn_40example.org", now_s=now, ttl_s=60)
    assert unverified(text)[1]["sub"] == "Ann@example.org"
    with pytest.raises(AuthError, match="is ann_5fb here"):
        issuer.issue("ann_b", now_s=now, ttl_s=60)
    for sub in "", "x" * 65, "\u00e9" * 30:
        with pytest.raises(AuthError, match="not a user id"):
            identity(claims | {"sub": sub}, RULES, now)
    with pytest.raises(AuthError, match="not a user id"):
        identity(claims, Auth(secret="s" * 32), now)
