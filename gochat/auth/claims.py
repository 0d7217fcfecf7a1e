"""The rules for a token's claims, once its signature holds. Pure: claims in, an identity out.

Every field has one type, where others take times as strings, fractions and booleans. A claim that is named here and has
another form refuses the token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gochat.auth.user_ids import escape
from gochat.config import Auth
from gochat.domain.display_text import clean_line
from gochat.domain.ids import is_name
from gochat.domain.notices import is_address
from gochat.domain.side_records import TICKET
from gochat.errors import AuthError
from gochat.ports.tokens import Identity
from gochat.protocol.catalogue import ADMIN, GROUPS, METRICS, READ, WRITE

#: Every scope there is, and those that a token gets when none are asked for.
SCOPES = frozenset({READ, WRITE, GROUPS, ADMIN, METRICS})
DEFAULT_SCOPES = frozenset({READ, WRITE, GROUPS})

#: Seconds since the epoch; beyond 2**53 a JSON number is not exact everywhere.
_Time = Annotated[int, Meta(ge=0, le=2**53)]
_REQUIRED = ("sub", "iat", "exp", "aud")


class _Claims(msgspec.Struct, gc=False):
    sub: str
    iat: _Time
    exp: _Time
    aud: str | list[str]
    nbf: _Time | UnsetType = UNSET
    iss: str | None = None
    jti: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    scope: str = ""
    name: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


def identity(claims: Mapping[str, Any], rules: Auth, now_s: float | None = None) -> Identity:
    """The identity that the claims speak of; with `now_s` (Unix time) they must hold at that time. Raises AuthError
    with a reason that repeats nothing of them.

    Unknown scopes are ignored: a token may serve other services too.
    """
    for name in _REQUIRED:
        if claims.get(name) is None:
            raise AuthError(f"claim {name} is missing")
    try:
        known = msgspec.convert(claims, _Claims)
    except msgspec.ValidationError as error:
        # msgspec ends with the place, as in "at `$.exp`"; the text before it is for programmers.
        raise AuthError(f"claim {str(error).rpartition('$.')[2].strip('`') or 'of it'} has the wrong form") from None
    if now_s is not None:
        _check_times(known, now_s, rules.leeway_s)
    if not 0 < known.exp - known.iat <= rules.max_lifetime_s:
        raise AuthError(f"the token is made for longer than {rules.max_lifetime_s} seconds, or for no time")
    if rules.audience not in ([known.aud] if isinstance(known.aud, str) else known.aud):
        raise AuthError("the token is for another audience")
    if rules.issuer and known.iss != rules.issuer:
        raise AuthError("the token is from another issuer" if known.iss is not None else "claim iss is missing")
    token_id = known.jti if isinstance(known.jti, str) else None
    if rules.require_jti and token_id is None:
        raise AuthError("claim jti is missing")
    if token_id is not None and token_id.startswith(TICKET):
        # To revoke it would be taken for the use of a ticket, which ends no session.
        raise AuthError(f"claim jti begins with {TICKET}, as the ids of used tickets do: another id is needed")
    if known.name is not None and not _is_printable(known.name):
        raise AuthError("claim name has characters that can't be shown")
    return Identity(
        user=_user(claims.get(rules.user_claim), rules),
        scopes=SCOPES.intersection(known.scope.split(" ")),
        name=(clean_line(known.name) or None) if known.name is not None else None,
        expires_s=float(known.exp),
        token_id=token_id,
        issued_s=float(known.iat),
        mail=_mail(claims.get(rules.mail_claim)) if rules.mail_claim else None,
    )


def _check_times(claims: _Claims, now_s: float, leeway_s: float) -> None:
    """Clocks may differ by the leeway."""
    if claims.exp <= now_s - leeway_s:
        raise AuthError("the token is over")
    if claims.iat > now_s + leeway_s or (isinstance(claims.nbf, int) and claims.nbf > now_s + leeway_s):
        raise AuthError("the token is not valid yet")


def _user(value: Any, rules: Auth) -> str:
    if isinstance(value, str) and rules.user_map == "escape":
        value = escape(value)
    if not isinstance(value, str) or not is_name(value):
        raise AuthError(
            f"{rules.user_claim} is not a user id: up to 64 of a-z 0-9 _ . - that start with a letter or digit"
        )
    return value


def _mail(value: Any) -> str | None:
    """An issuer may leave it out, and may write there what is no address: then there is none."""
    return value if isinstance(value, str) and is_address(value) else None


def _is_printable(text: str) -> bool:
    """Whether `text` has no controls, lone surrogates or line separators, and is more than blanks."""
    return bool(text.strip()) and not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)
