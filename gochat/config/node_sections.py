"""The sections of a node: where it is, where it listens, and whose tokens it takes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gochat.config.key import ADDRESS, NNG_ADDRESS, key


class Node(msgspec.Struct, frozen=True):
    """The process and its folder."""

    name: Annotated[
        str, key("text", max_length=64), "Names the node to clients and in logs; empty: the name of the host."
    ] = ""
    data: Annotated[
        str,
        key("folder", min_length=1, flag="--data"),
        "Holds the database, and the secret made when none is configured. Made when missing; for one node.",
    ] = "data"
    drain_s: Annotated[
        float,
        key("seconds", ge=0, le=600),
        "From SIGTERM to the end: sessions leave, rooms finish, the store closes. Some supervisors allow 10 s.",
    ] = 10.0


class Http(msgspec.Struct, frozen=True):
    """HTTP and WebSocket, on one port."""

    bind: Annotated[
        str,
        key(ADDRESS, flag="--http", does="Where HTTP and WebSocket listen"),
        "Where to listen; an IPv6 host stands in brackets, port 0 takes a free one.",
    ] = "127.0.0.1:8080"
    origins: Annotated[
        list[str],
        key("origins", max_length=100),
        "Web origins whose pages may connect, beside the page's own host, such as https://chat.example.",
    ] = []
    trusted_proxies: Annotated[
        list[str],
        key("networks", max_length=100),
        "Peers whose X-Forwarded-For is believed, such as 10.0.0.0/8; from others it would defeat the limits.",
    ] = []
    tls_cert: Annotated[
        str,
        key("file"),
        "Certificate chain, PEM, for TLS without a proxy in front; needs tls_key. Both are read again on SIGHUP.",
    ] = ""
    tls_key: Annotated[str, key("file"), "The certificate's private key, PEM, without a passphrase."] = ""
    metrics: Annotated[
        Literal["token", "all", "off"],
        key("choice"),
        "Who may read /metrics: tokens with the scope metrics or admin, everybody, or nobody.",
    ] = "token"
    metrics_bind: Annotated[
        str, key(ADDRESS), "An address of its own for /metrics, which http.bind then does not have; empty: none."
    ] = ""
    page: Annotated[bool, key("yes or no"), "Whether browsers get the page to chat in at /."] = True


class Tcp(msgspec.Struct, frozen=True):
    """Raw TCP: a frame a line. It has no TLS, so keep it on loopback or a private network."""

    bind: Annotated[
        str, key(ADDRESS, flag="--tcp", does="Where raw TCP listens; '' turns it off"), "Where to listen; empty: off."
    ] = "127.0.0.1:8081"


class Nng(msgspec.Struct, frozen=True):
    """nng: requests and replies in pairs (REQ/REP), a frame a line. With tcp:// keep it on loopback as raw TCP."""

    bind: Annotated[
        str,
        key(NNG_ADDRESS, flag="--nng", does="Where nng listens, as tcp://HOST:PORT; '' turns it off"),
        "Where to listen; empty: off.",
    ] = "tcp://127.0.0.1:8082"
    tls_cert: Annotated[
        str, key("file"), "Certificate chain, PEM, for tls+tcp://; needs tls_key. Both are read at the start alone."
    ] = ""
    tls_key: Annotated[str, key("file"), "The certificate's private key, PEM, without a passphrase."] = ""
    session_s: Annotated[
        float,
        key("seconds", ge=1, le=3_600),
        "A session without a request for so long ends: nng does not tell that a peer is gone.",
    ] = 60.0


class Auth(msgspec.Struct, frozen=True):
    """The tokens that users show. One key with one algorithm: `secret`, `key_file`, `jwks_file` or `jwks_url`."""

    algorithm: Annotated[
        Literal["HS256", "RS256", "ES256", "EdDSA"],
        key("choice"),
        "The only one accepted: a token may not choose. HS256 goes with secret, others with a public key.",
    ] = "HS256"
    secret: Annotated[
        str,
        key("text", secret=True),
        "Key for HS256, at least 32 bytes. With it anybody can be anyone: keep it out of files that others read.",
    ] = ""
    key_file: Annotated[str, key("file"), "Public key, PEM, of the issuer of the tokens."] = ""
    jwks_file: Annotated[str, key("file"), "Public keys as a JWK set; a token's kid picks one."] = ""
    jwks_url: Annotated[
        str,
        key("URL"),
        "Where to fetch the JWK set, https or loopback; fetched again after 5 minutes, kept while that fails.",
    ] = ""
    user_claim: Annotated[
        str,
        key("claim", min_length=1, max_length=64),
        "The claim that holds the user id, for issuers whose sub is not fit to be shown.",
    ] = "sub"
    user_map: Annotated[
        Literal["none", "escape"],
        key("choice"),
        "escape makes any id of an identity provider a user id, one to one: Ann@x.org is u__41nn_40x.org.",
    ] = "none"
    mail_claim: Annotated[
        str,
        key("claim", max_length=64),
        "The claim that holds a mail address for notifications (notify.smtp), such as email; empty: none.",
    ] = ""
    issuer: Annotated[
        str,
        key("text", max_length=512),
        "What iss must be; empty: not checked. Set it when the signer serves more than this site.",
    ] = ""
    audience: Annotated[
        str,
        key("text", min_length=1, max_length=512),
        "What aud must be or hold, so that a token for another service is of no use here.",
    ] = "gochat"
    require_jti: Annotated[
        bool, key("yes or no"), "Whether a token must carry an id; one is needed to revoke a single token."
    ] = False
    max_lifetime_s: Annotated[
        int,
        key("seconds", ge=60, le=366 * 86_400),
        "Longest time from iat to exp: a lost token is of use no longer than this.",
    ] = 30 * 86_400
    leeway_s: Annotated[int, key("seconds", ge=0, le=300), "How far the signer's clock may be off."] = 5

    def __repr__(self) -> str:
        return f"Auth(algorithm={self.algorithm!r}, configured={self.configured})"

    @property
    def configured(self) -> bool:
        """Whether a key is configured; if none is, the node makes a secret in its data folder."""
        return bool(self.secret or self.key_file or self.jwks_file or self.jwks_url)
