from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.config import Auth, Settings, is_loopback, keys, parse_address, problems
from gochat.errors import ConfigError
from gochat.settings import MASK, env_name, load, shown

SECRET = "x" * 32


def write(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def refused(folder: Path, text: str = "", environ: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environ or {}, {})
    return caught.value


def test_every_default_is_allowed() -> None:
    loaded = load(None, {}, {})
    assert loaded.settings == Settings()
    assert list(problems(loaded.settings)) == []
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.warnings == []


def test_names_that_others_rely_on() -> None:
    expected = {
        "node.data": "data",
        "http.bind": "127.0.0.1:8080",
        "tcp.bind": "127.0.0.1:8081",
        "auth.secret": "",
        "limits.messages_per_s": 1.0,
        "limits.message_burst": 1,
    }
    assert {path: keys()[path].default for path in expected} == expected


def test_every_key_has_a_unit_and_a_reason() -> None:
    for key in keys().values():
        assert key.unit, key.path
        assert key.why.endswith("."), key.path
        assert key.allowed, key.path


def test_flag_before_environment_before_file_before_default(tmp_path: Path) -> None:
    file = write(tmp_path, '[http]\nbind = "127.0.0.1:1"\n[limits]\nwindow = 7\nsessions = 3\n')
    environ = {"GOCHAT_HTTP__BIND": "127.0.0.1:2", "GOCHAT_LIMITS__WINDOW": "8"}
    settings, origins, _ = load(file, environ, {"http.bind": "127.0.0.1:3"})
    assert (settings.http.bind, origins["http.bind"]) == ("127.0.0.1:3", "flag --http")
    assert (settings.limits.window, origins["limits.window"]) == (8, "environment GOCHAT_LIMITS__WINDOW")
    assert (settings.limits.sessions, origins["limits.sessions"]) == (3, str(file))
    assert (settings.tcp.bind, origins["tcp.bind"]) == ("127.0.0.1:8081", "default")


def test_environment_takes_every_type() -> None:
    environ = {
        "GOCHAT_HTTP__ORIGINS": "https://a.example, https://b.example:8443",
        "GOCHAT_AUTH__REQUIRE_JTI": "true",
        "GOCHAT_LIMITS__MESSAGES_PER_S": "0",
        "GOCHAT_LIMITS__WINDOW": "64",
        "GOCHAT_TCP__BIND": "",
        "GOCHAT_NODE__NAME": "7",
    }
    settings = load(None, environ, {}).settings
    assert settings.http.origins == ["https://a.example", "https://b.example:8443"]
    assert settings.auth.require_jti is True
    assert settings.limits.messages_per_s == 0
    assert settings.limits.window == 64
    assert settings.tcp.bind == ""
    assert settings.node.name == "7"


def test_unknown_name_in_the_environment_is_one_warning(tmp_path: Path) -> None:
    environ = {"GOCHAT_HTP__BIND": "secret-value", "GOCHAT_CONFIG": "x", "GOCHAT_TOKEN": "t", "PATH": "/bin"}
    settings, _, warnings = load(None, environ, {})
    assert settings == Settings()
    (warning,) = warnings
    assert "GOCHAT_HTP__BIND" in warning
    assert "GOCHAT_HTTP__BIND" in warning
    assert "secret-value" not in warning
    assert "\n" not in warning


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("[http]\nbnd = 1", "http.bnd", "did you mean http.bind?"),
        ("[tcp]\nwindow = 1", "tcp.window", "limits.window"),
        ("[tcp]\nnonsense = 1", "tcp.nonsense", "[tcp] has bind"),
        ("[htpp]\nbind = 1", "htpp", "did you mean [http]?"),
        ("bind = 1", "bind", "http.bind or tcp.bind"),
        ("nonsense = 1", "nonsense", "node, http, tcp"),
        ("http = 1", "http", "[http]"),
        ("[http.bind]\nx = 1", "http.bind", "allowed"),
        ("[[http]]\nbind = 1", "http", "[http]"),
    ],
)
def test_unknown_key_in_the_file_names_the_nearest(tmp_path: Path, text: str, key: str, said: str) -> None:
    error = refused(tmp_path, text)
    assert error.key == key
    assert error.source == str(tmp_path / "config.toml")
    assert said in error.problem


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[limits]\nwindow = 0", "limits.window"),
        ("[limits]\nwindow = 128.0", "limits.window"),
        ("[limits]\nwindow = true", "limits.window"),
        ('[limits]\nwindow = "128"', "limits.window"),
        ("[limits]\nmessages_per_s = nan", "limits.messages_per_s"),
        ("[limits]\nmessages_per_s = inf", "limits.messages_per_s"),
        ("[limits]\nmessages_per_s = -1", "limits.messages_per_s"),
        ("[http]\nbind = 8080", "http.bind"),
        ('[http]\nbind = "8080"', "http.bind"),
        ('[http]\nbind = ""', "http.bind"),
        ('[http]\nbind = "::1:8080"', "http.bind"),
        ('[http]\nbind = "[::1]:65536"', "http.bind"),
        ('[tcp]\nbind = "localhost:-1"', "tcp.bind"),
        ('[http]\norigins = ["https://a.example/"]', "http.origins"),
        ('[http]\norigins = ["a.example"]', "http.origins"),
        ('[http]\norigins = ["*"]', "http.origins"),
        ('[http]\ntrusted_proxies = ["10.0.0.0/33"]', "http.trusted_proxies"),
        ('[http]\ntls_cert = "a.pem"', "http.tls_cert"),
        ('[auth]\nalgorithm = "none"', "auth.algorithm"),
        ('[auth]\nalgorithm = "RS256"', "auth.algorithm"),
        (f'[auth]\nalgorithm = "RS256"\nsecret = "{SECRET}"', "auth.algorithm"),
        ('[auth]\nkey_file = "a.pem"', "auth.algorithm"),
        ('[auth]\nsecret = "short"', "auth.secret"),
        (f'[auth]\nsecret = "{SECRET}"\njwks_file = "b"', "auth.jwks_file"),
        ('[auth]\nalgorithm = "ES256"\njwks_url = "http://issuer.example/keys"', "auth.jwks_url"),
        ('[auth]\nalgorithm = "ES256"\njwks_url = "file:///etc/passwd"', "auth.jwks_url"),
        ('[auth]\ndev = "yes"', "auth.dev"),
        (f'[auth]\ndev = "on"\nsecret = "{SECRET}"', "auth.dev"),
        ('[auth]\ndev = "on"\n[http]\nbind = "0.0.0.0:80"', "auth.dev"),
        ("[limits]\nbody_chars = 20000", "limits.body_chars"),
        ("[limits]\nunauthenticated = 1", "limits.unauthenticated_per_address"),
        ("[http\n", "syntax"),
        ("[http]\nbind = \x00", "syntax"),
    ],
)
def test_what_is_not_allowed_names_its_key(tmp_path: Path, text: str, key: str) -> None:
    assert refused(tmp_path, text).key == key


def test_the_error_says_what_is_allowed(tmp_path: Path) -> None:
    error = refused(tmp_path, "", {"GOCHAT_LIMITS__WINDOW": "many"})
    assert str(error) == (
        "environment GOCHAT_LIMITS__WINDOW: limits.window: 'many' is not allowed; "
        "allowed: whole number, 1 to 10,000 requests"
    )


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "absent.toml", {}, {})


def test_a_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b'[node]\nname = "\xff"')
    with pytest.raises(ConfigError):
        load(tmp_path / "config.toml", {}, {})


def test_secrets_are_masked_and_never_repeated(tmp_path: Path) -> None:
    settings = load(None, {"GOCHAT_AUTH__SECRET": SECRET}, {}).settings
    assert shown(settings, "auth.secret") == MASK
    assert shown(Settings(), "auth.secret") == ""
    assert shown(settings, "http.bind") == "127.0.0.1:8080"
    assert SECRET not in repr(settings)
    assert "hush" not in str(refused(tmp_path, "", {"GOCHAT_AUTH__SECRET": "hush"}))
    assert "4242" not in str(refused(tmp_path, "[auth]\nsecret = 4242"))


@pytest.mark.parametrize("value", ["auto", "off"])
def test_development_sign_in_of_an_old_file_is_passed_over_and_told(tmp_path: Path, value: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[auth]\ndev = "{value}"\n')
    loaded = load(file, {}, {})
    assert loaded.settings == Settings()
    assert set(loaded.origins) == set(keys())
    (warning,) = loaded.warnings
    assert warning.startswith(f"{file}: auth.dev = '{value}': remove it")
    (warning,) = load(None, {"GOCHAT_AUTH__DEV": value}, {}).warnings
    assert warning.startswith("environment GOCHAT_AUTH__DEV: auth.dev")


def test_development_sign_in_that_is_asked_for_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    for error in (
        refused(tmp_path, '[auth]\ndev = "on"'),
        refused(tmp_path, "", {"GOCHAT_AUTH__DEV": "on"}),
        refused(tmp_path, "[auth]\ndev = true"),
    ):
        assert error.key == "auth.dev"
        assert "--as USER" in error.problem and "gochat token issue USER" in error.problem


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "127.9.9.9", "::1"])
def test_loopback_hosts(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "localhost.example", "127.0.0.1.example", "mylocalhost"])
def test_other_hosts(host: str) -> None:
    assert not is_loopback(host)


HOSTS = st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True) | st.ip_addresses().map(str)


@given(host=HOSTS, port=st.integers(0, 65_535))
def test_an_address_reads_what_it_writes(host: str, port: int) -> None:
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert str(parse_address(text)) == text
    assert parse_address(text) == (host, port)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert ":" in str(parse_address(text))


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=60))
def test_any_text_in_the_environment_is_a_setting_or_a_config_error(text: str) -> None:
    for path in keys():
        with contextlib.suppress(ConfigError):
            load(None, {env_name(path): text}, {})


def test_auth_says_whether_a_key_is_configured() -> None:
    assert not Auth().configured
    for name in "secret", "key_file", "jwks_file", "jwks_url":
        assert Auth(**{name: "x"}).configured


def test_metrics_for_loopback_of_an_old_file_are_for_tokens_and_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[http]\nmetrics = "loopback"\n')
    loaded = load(file, {}, {})
    assert loaded.settings.http.metrics == "token"
    (warning,) = loaded.warnings
    assert warning.startswith(f"{file}: http.metrics = 'loopback': read as \"token\"")
    assert "--scope metrics" in warning
    assert refused(tmp_path, '[http]\nmetrics_bind = "nowhere"').key == "http.metrics_bind"
