"""Mistakes between settings, though each value alone is allowed."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from gochat.config.address import Address, is_loopback, parse_address
from gochat.config.chat_sections import Notify
from gochat.config.cluster import cluster_problems
from gochat.config.key import NNG_ADDRESS
from gochat.config.node_sections import Nng
from gochat.config.sections import Settings, binds

#: RFC 7518 section 3.2: a key for HS256 has at least as many bits as its hash.
MIN_SECRET_BYTES = 32
NNG_SCHEMES = ("tcp", "tls+tcp")


def problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """Mistakes though each value alone is allowed: (path of the key, the way out), the first first."""
    yield from _network_problems(settings)
    yield from _auth_problems(settings)
    yield from _notify_problems(settings.notify)
    yield from _mail_problems(settings.notify, settings.auth.mail_claim)
    yield from _cluster_problems(settings)
    limits = settings.limits
    if limits.body_chars * 4 > limits.frame_bytes:
        yield "limits.body_chars", "four times this many bytes must fit into limits.frame_bytes"
    if limits.unauthenticated_per_address > limits.unauthenticated:
        yield "limits.unauthenticated_per_address", "must not be above limits.unauthenticated"


def _network_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    taken: dict[Address, str] = {}
    for path, text in binds(settings):
        try:
            address = parse_address(text)
        except ValueError as error:
            yield path, f"{error}, such as 127.0.0.1:8080 or [::1]:8080"
            continue
        if address.port and address in taken:
            yield path, f"{taken[address]} listens at {text} already"
        taken.setdefault(address, path)
    for origin in settings.http.origins:
        if not _is_origin(origin):
            yield "http.origins", f"{origin!r} must be scheme://host[:port], such as https://chat.example"
    for network in settings.http.trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield "http.trusted_proxies", f"{network!r} must be an address or a network, such as 10.0.0.0/8"
    if bool(settings.http.tls_cert) != bool(settings.http.tls_key):
        yield "http.tls_cert", "http.tls_cert and http.tls_key go together"
    yield from _nng_problems(settings.nng)


def _nng_problems(nng: Nng) -> Iterator[tuple[str, str]]:
    scheme, separator, _ = nng.bind.partition("://")
    if nng.bind and (not separator or scheme not in NNG_SCHEMES):
        yield "nng.bind", f"must be {NNG_ADDRESS}, such as tcp://127.0.0.1:8082"
    if bool(nng.tls_cert) != bool(nng.tls_key):
        yield "nng.tls_cert", "nng.tls_cert and nng.tls_key go together"
    elif scheme == "tls+tcp" and not nng.tls_cert:
        yield "nng.bind", "tls+tcp:// needs nng.tls_cert and nng.tls_key"


def _auth_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    auth = settings.auth
    sources = [name for name in ("secret", "key_file", "jwks_file", "jwks_url") if getattr(auth, name)]
    if len(sources) > 1:
        yield f"auth.{sources[1]}", f"auth.{sources[0]} is set already: one key, one algorithm"
    elif auth.algorithm == "HS256" and sources and sources != ["secret"]:
        yield "auth.algorithm", f"HS256 takes auth.secret; for auth.{sources[0]} say RS256, ES256 or EdDSA"
    elif auth.algorithm != "HS256" and (not sources or sources == ["secret"]):
        yield "auth.algorithm", f"{auth.algorithm} needs auth.key_file, auth.jwks_file or auth.jwks_url"
    if auth.secret and len(auth.secret.encode("utf-8", "replace")) < MIN_SECRET_BYTES:
        yield "auth.secret", f"must have at least {MIN_SECRET_BYTES} bytes; `openssl rand -hex 32` makes one"
    if auth.jwks_url and not _is_safe_url(auth.jwks_url):
        yield "auth.jwks_url", "must be an https URL, or an http URL of a loopback host"


#: The names that a template may use (notify/notification.py).
TEMPLATE_FIELDS = ("from", "user", "room", "count", "body")
_TEMPLATE_FIELD = re.compile(r"\{([^{}]*)\}")


def _notify_problems(notify: Notify) -> Iterator[tuple[str, str]]:
    for name in ("title", "text"):
        unknown = [field for field in _TEMPLATE_FIELD.findall(getattr(notify, name)) if field not in TEMPLATE_FIELDS]
        if unknown:
            yield f"notify.{name}", f"{{{unknown[0]}}}: there are {{{'}, {'.join(TEMPLATE_FIELDS)}}}"
    signs = bool(notify.webhook_url or notify.mail_lookup_url)
    for name in ("webhook_url", "mail_lookup_url"):
        url = getattr(notify, name)
        if url and not _is_receiver(url, private=notify.allow_private):
            yield f"notify.{name}", "must be an https URL without a password in it; http with notify.allow_private"
    for name in ("webhook_secret", "webhook_old_secret"):
        secret = getattr(notify, name)
        if secret or (signs and name == "webhook_secret"):
            try:
                webhook_key(secret)
            except ValueError as error:
                yield f"notify.{name}", str(error)
    if notify.push and not notify.push_contact.startswith(("mailto:", "https://")):
        yield "notify.push_contact", "notify.push needs a mailto: or https: URL here"


def _mail_problems(notify: Notify, claim: str) -> Iterator[tuple[str, str]]:
    if not notify.smtp:
        return
    try:
        parse_address(notify.smtp)
    except ValueError as error:
        yield "notify.smtp", f"{error}, such as mail.example:587"
    if "@" not in notify.mail_from:
        yield "notify.mail_from", "notify.smtp needs an address here"
    if notify.smtp_user and notify.smtp_security == "none":
        yield "notify.smtp_security", "a password is sent over TLS alone: take starttls or tls"
    if not (claim or notify.mail_lookup_url):
        yield "notify.smtp", "needs auth.mail_claim or notify.mail_lookup_url, to know where users get mail"


def _cluster_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.cluster.url:
        for name in ("shared_http", "shared_tcp"):
            if getattr(settings.cluster, name):
                yield f"cluster.{name}", "is for nodes of a cluster: set cluster.url too"
        return
    yield from cluster_problems(settings.cluster, settings.http.bind)
    for name in ("group_days", "private_days"):
        if getattr(settings.retention, name):
            yield f"retention.{name}", "texts can't expire in a cluster yet: set it to 0"
    if not settings.auth.configured:
        yield (
            "auth.secret",
            "the nodes of a cluster need one key that all have, or a token that one signs is refused by another; set"
            " auth.secret or a public key for all of them (`openssl rand -hex 32` makes a secret)",
        )


def webhook_key(text: str) -> bytes:
    """A secret as Standard Webhooks writes it: `whsec_` and base64. Raises ValueError; its text does not repeat it."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not 24 <= len(key) <= 64:
        hint = "`echo whsec_$(openssl rand -base64 32)` makes one"
        raise ValueError(f"must be whsec_ and 24 to 64 bytes in base64; {hint}")
    return key


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port_part = "" if port is None else f":{port}"
    return bool(parts.scheme and host) and text.lower() == f"{parts.scheme}://{host}{port_part}"


def _is_safe_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def _is_receiver(text: str, *, private: bool) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.hostname) and parts.username is None and parts.scheme in (("https", "http")[: 1 + private])
