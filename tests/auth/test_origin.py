from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.auth.origin import OriginRules

LISTED = ["https://chat.example", "https://other.example:8443", "http://[2001:db8::1]:8080"]
SITE = OriginRules(LISTED)


@pytest.mark.parametrize("hosts", [[], ["anything.example"], ["127.0.0.1:8080"]])
def test_what_is_no_browser_may_connect(hosts: list[str]) -> None:
    assert SITE.refusal([], hosts) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://chat.example", "api.example"),
        ("https://CHAT.example", "api.example"),
        ("https://chat.example:443", "api.example"),
        ("https://other.example:8443", "api.example"),
        ("http://[2001:db8::1]:8080", "api.example"),
        ("https://api.example", "api.example"),
        ("https://api.example", "API.example:443"),
        ("http://api.example", "api.example:80"),
        ("http://api.example:8080", "api.example:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_listed_origins_and_the_own_host_may(origin: str, host: str) -> None:
    assert SITE.refusal([origin], [host]) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", "api.example"),
        ("http://chat.example", "api.example"),
        ("https://chat.example:8443", "api.example"),
        ("https://chat.example.evil.example", "api.example"),
        ("https://evil.example#chat.example", "api.example"),
        ("https://evil.example?chat.example", "chat.example"),
        ("https://chat.example/", "api.example"),
        ("https://chat.example@evil.example", "api.example"),
        ("https://evil@chat.example", "api.example"),
        ("https://api.example@evil.example", "api.example"),
        ("https://api.example:8080", "api.example"),
        ("http://api.example", "api.example:8080"),
        ("null", "api.example"),
        ("", "api.example"),
        ("", ""),
        ("chat.example", "chat.example"),
        ("//chat.example", "chat.example"),
        ("file://", "api.example"),
        ("https://api.example:x", "api.example"),
        ("https://[::1", "[::1"),
        ("https://api.example", "api.example/x"),
        ("https://api.example", "evil@api.example"),
        ("https://api.example", ""),
    ],
)
def test_other_origins_may_not(origin: str, host: str) -> None:
    assert SITE.refusal([origin], [host])


def test_repeated_headers_are_refused() -> None:
    assert SITE.refusal(["https://chat.example", "https://chat.example"], ["api.example"])
    assert SITE.refusal(["https://chat.example"], ["api.example", "chat.example"])


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_headers_are_judged(origin: str, host: str) -> None:
    assert SITE.refusal([origin], [host]) is None or isinstance(SITE.refusal([origin], [host]), str)
