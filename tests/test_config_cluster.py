"""The section of the cluster: each mistake names its key and the way out, and no secret is repeated."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gochat import cli
from gochat.commands.exposed import exposed
from gochat.config import (
    Address,
    Auth,
    Cluster,
    Http,
    Node,
    Retention,
    Servers,
    Settings,
    parse_servers,
    problems,
    unencrypted,
)
from gochat.settings import MASK, load, shown

SECRET = "s" * 32
URL = "redis://127.0.0.1:6379"


def settings(**changed: object) -> Settings:
    section = Cluster(**{"url": URL, "secret": SECRET, **changed})  # type: ignore[arg-type]
    return Settings(cluster=section, auth=Auth(secret=SECRET))


def test_without_an_address_the_section_says_nothing() -> None:
    assert list(problems(Settings(cluster=Cluster(name="NO", copies=3)))) == []
    assert list(problems(settings())) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://redis.example", Servers("server", (Address("redis.example", 6379),), False)),
        ("rediss://user@[::1]:7/2", Servers("server", (Address("::1", 7),), True)),
        ("unix:///run/redis.sock", Servers("server", (), False)),
        ("redis+sentinel://a,b:5/chat", Servers("sentinels", (Address("a", 26379), Address("b", 5)), False)),
        ("rediss+sentinel://[::1]/chat", Servers("sentinels", (Address("::1", 26379),), True)),
        ("redis+cluster://a,b", Servers("cluster", (Address("a", 6379), Address("b", 6379)), False)),
        ("rediss://a?ssl_ca_certs=/etc/ca.pem", Servers("server", (Address("a", 6379),), True)),
    ],
)
def test_addresses(url: str, expected: Servers) -> None:
    assert parse_servers(url) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:6379", "must be redis://HOST:PORT"),
        ("http://localhost", "must be redis://HOST:PORT"),
        ("redis://", "must be redis://HOST:PORT"),
        ("redis://a:port", "must be redis://HOST:PORT"),
        ("redis://[::1", "must be redis://HOST:PORT"),
        ("redis://a,b", "names several servers"),
        ("redis://a/name", "the number of a database"),
        ("redis+cluster://a/1", "number 0 alone"),
        ("redis+sentinel://a", "ends in the name of the primary"),
        ("unix://host/socket", "written as unix:///"),
        ("redis://a?ssl_cert_reqs=none", "ssl_cert_reqs is no option"),
        ("redis://:hunter2@a", "cluster.password_file"),
        ("redis://a?password=hunter2", "GOCHAT_CLUSTER__PASSWORD"),
    ],
)
def test_addresses_that_are_none(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_servers(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "key", "said"),
    [
        ({"url": "redis://u:hunter2@a"}, "cluster.url", "must not hold a password"),
        ({"url": "redis+cluster://a/1"}, "cluster.url", "number 0 alone"),
        ({"name": "Chat"}, "cluster.name", "small letters"),
        ({"name": "a\nb"}, "cluster.name", "small letters"),
        ({"secret": ""}, "cluster.secret", "openssl rand -hex 32"),
        ({"secret": "hunter2"}, "cluster.secret", "at least 32 bytes"),
        ({"secret_file": "s"}, "cluster.secret_file", "one of the two"),
        ({"password": "a", "password_file": "b"}, "cluster.password_file", "one of the two"),
        ({"advertise": "10.0.0.5:8080"}, "cluster.advertise", "http://HOST:PORT"),
        ({"advertise": "http://u:p@h"}, "cluster.advertise", "http://HOST:PORT"),
        ({"advertise": "http://h:1/path"}, "cluster.advertise", "without a path"),
        ({"advertise": "http://h:1#part"}, "cluster.advertise", "without a path"),
        ({"advertise": "http://chät.example:8080"}, "cluster.advertise", "write it as xn--cht-rla.example"),
        ({"advertise": "http://a..b:80"}, "cluster.advertise", "the host a..b is no name"),
        ({"advertise": f"http://{'a' * 64}:80"}, "cluster.advertise", "1 to 63"),
        ({"advertise": f"http://{'ä' * 64}:80"}, "cluster.advertise", "1 to 63"),
        ({"advertise": "http://a b:80"}, "cluster.advertise", "the host a b is no name"),
        ({"copies": 2}, "cluster.copies", "set it to 1"),
    ],
)
def test_mistakes_name_the_key_and_the_way_out(changed: dict[str, object], key: str, said: str) -> None:
    ((found, problem),) = problems(settings(**changed))
    assert found == key
    assert said in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1:8080/", "https://[::1]:8080", "http://[fe80::1%eth0]:1", "http://node_1.internal.:80"]
)
def test_addresses_that_other_nodes_can_ask_at(url: str) -> None:
    assert list(problems(settings(advertise=url))) == []


def test_the_address_to_listen_at_is_one_that_other_nodes_can_ask_at() -> None:
    unsaid = Settings(cluster=Cluster(url=URL, secret=SECRET), auth=Auth(secret=SECRET), http=Http(bind="chät:8080"))
    ((key, problem),) = problems(unsaid)
    assert key == "cluster.advertise" and "http.bind = chät:8080" in problem and "xn--cht-rla" in problem


def test_all_mistakes_are_found_at_once() -> None:
    found = [key for key, _ in problems(Settings(cluster=Cluster(url="x", name="", copies=2)))]
    assert found == ["cluster.url", "cluster.name", "cluster.secret", "cluster.copies", "auth.secret"]


def test_nodes_must_share_a_key_and_be_reachable() -> None:
    for bind in ("0.0.0.0:8080", "[::]:8080", "127.0.0.1:0"):
        unsaid = Settings(cluster=Cluster(url=URL, secret=SECRET), auth=Auth(secret=SECRET), http=Http(bind=bind))
        assert [key for key, _ in problems(unsaid)] == ["cluster.advertise"]
    ((key, problem),) = problems(Settings(cluster=Cluster(url=URL, secret=SECRET)))
    assert key == "auth.secret" and "one key that all have" in problem


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("redis://10.0.0.1", True),
        ("redis+sentinel://127.0.0.1,10.0.0.1/chat", True),
        ("redis://localhost", False),
        ("rediss://10.0.0.1", False),
        ("unix:///run/redis.sock", False),
    ],
)
def test_text_that_travels_in_the_open_is_warned_of(url: str, warns: bool) -> None:
    assert any("cluster.url is without TLS" in line for line in unencrypted(settings(url=url))) == warns
    ((line),) = unencrypted(settings(advertise="http://10.0.0.1:8080"))
    assert "cluster.advertise" in line


@pytest.mark.parametrize(
    ("url", "bind", "advertise", "warns"),
    [
        ("rediss://10.0.0.1", "127.0.0.1:8080", "", True),
        ("rediss://10.0.0.1", "127.0.0.1:8080", "http://127.0.0.1:8080", False),
        ("rediss://10.0.0.1", "10.0.0.2:8080", "", False),
        ("unix:///run/redis.sock", "127.0.0.1:8080", "", False),
        ("", "127.0.0.1:8080", "", False),
        ("nonsense", "127.0.0.1:8080", "", False),
    ],
)
def test_an_address_that_other_machines_do_not_reach_is_warned_of(
    tmp_path: Path, url: str, bind: str, advertise: str, warns: bool
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    found = msgspec.structs.replace(
        settings(url=url, advertise=advertise, secret=""), http=Http(bind=bind), node=Node(data=str(data)), auth=Auth()
    )
    told = [line for line in exposed(found, {}) if "cluster.advertise is not set" in line]
    assert len(told) == warns


def test_texts_do_not_expire_in_a_cluster_yet() -> None:
    keeping = msgspec.structs.replace(settings(), retention=Retention(group_days=30, private_days=1))
    assert [key for key, _ in problems(keeping)] == ["retention.group_days", "retention.private_days"]
    assert list(problems(Settings(retention=Retention(group_days=30)))) == []


def test_secrets_come_by_the_environment_and_are_masked() -> None:
    environ = {"GOCHAT_CLUSTER__SECRET": SECRET, "GOCHAT_CLUSTER__PASSWORD": "hunter2", "GOCHAT_AUTH__SECRET": SECRET}
    loaded = load(None, environ, {"cluster.url": URL})
    assert loaded.origins["cluster.url"] == "flag --cluster"
    assert shown(loaded.settings, "cluster.password") == shown(loaded.settings, "cluster.secret") == MASK
    assert "hunter2" not in repr(loaded.settings) and SECRET not in repr(loaded.settings)


def test_config_check_finds_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[cluster]\nurl = "redis://u:hunter2@a"\nname = "No"\nsecret = "short"\n')
    assert cli.run(["config", "check", str(file), "--data", str(tmp_path / "data")]) == 3
    said = capsys.readouterr().err
    for key in ("cluster.url", "cluster.name", "cluster.secret", "auth.secret"):
        assert f"{file}: {key}: " in said or f"default: {key}: " in said
    assert "hunter2" not in said and "short" not in said
