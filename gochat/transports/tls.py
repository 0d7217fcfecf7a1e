"""The certificate that listeners show."""

from __future__ import annotations

import ssl

from gochat.config import Settings
from gochat.errors import GochatError


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Of http.tls_cert and http.tls_key; None without them. Raises GochatError if they can't be used."""
    if not settings.http.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.http.tls_cert, settings.http.tls_key, _no_password)
    except (OSError, ValueError) as error:
        files = f"http.tls_cert = {settings.http.tls_cert}, http.tls_key = {settings.http.tls_key}"
        # OpenSSL gives no reason where it finds neither: its text then, `[SSL] PEM lib`, helps nobody.
        nothing = isinstance(error, ssl.SSLError) and error.reason is None
        why = "no certificate and key in PEM are in them" if nothing else str(error)
        raise GochatError(f"{files}: can't be used ({why})") from error
    return context


def _no_password() -> str:
    """Without this OpenSSL would ask at the terminal, where nobody sits."""
    raise ValueError("the key is encrypted; gochat needs one without a password")
