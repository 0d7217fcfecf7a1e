"""A node accepts the tokens that docs/howto/tokens.md signs, in every language that this machine has."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from gochat.auth.tokens import tokens
from gochat.config import Auth, Settings
from gochat.errors import AuthError
from gochat.node import running
from gochat.ports.tokens import Identity
from gochat.settings import load
from tests.auth.test_fetched import running as running_site
from tests.docs.pages import HOWTO, blocks, file
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer
from tests.programs import wants

PAGE = HOWTO / "tokens.md"
SECRET = "f0e1d2c3" * 8
EVERYTHING = {"chat:read", "chat:write", "groups:write"}

#: The command that starts each file of the page.
RUN = {
    "sign.py": [sys.executable],
    "sign.mjs": ["node"],
    "sign.go": ["go", "run"],
    "sign.php": ["php"],
    "sign.sh": ["sh"],
}


def test_every_program_of_the_page_is_run() -> None:
    assert [block.note.strip().removeprefix("file=") for block in blocks(PAGE) if "file=" in block.note] == list(RUN)


async def printed(name: str, folder: Path) -> str:
    """The token of ann, as the program prints it. Skips where its language is not installed."""
    program, *arguments = RUN[name]
    wants(program)
    (folder / name).write_text(file(PAGE, name))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GOCHAT_SECRET": SECRET}
    done = await trio.run_process([program, *arguments, name, "ann"], cwd=folder, env=environment, capture_stdout=True)
    return done.stdout.decode().strip()


async def signs_in(settings: Settings, token: str) -> str:
    """Sign in and write with this token; the user that it names."""
    async with running(settings) as node, trio.open_nursery() as nursery:
        peer = await Peer.open(node, "tcp", nursery)
        welcome = await peer.ask("hello", token=token)
        assert welcome["type"] == "welcome", welcome
        assert (await peer.ask("group", name="tea", action="create"))["type"] == "ok"
        assert (await peer.ask("send", to="group:tea", body="hello"))["type"] == "ack"
        nursery.cancel_scope.cancel()
    return str(welcome["user"])


@pytest.mark.parametrize("name", [name for name in RUN if name != "sign.sh"])
async def test_a_token_signed_with_the_secret_is_accepted(name: str, tmp_path: Path) -> None:
    with trio.fail_after(180):  # Go compiles its library the first time
        token = await printed(name, tmp_path)
        assert await signs_in(make_settings(tmp_path / "data", auth={"secret": SECRET}), token) == "ann"


async def test_a_token_signed_with_the_key_of_the_page_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (keys,) = [block.text for block in blocks(PAGE) if "genpkey" in block.text]
    (settings,) = [block.text for block in blocks(PAGE) if "EdDSA" in block.text and block.language == "toml"]
    (tmp_path / "my.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    with trio.fail_after(60):
        await trio.run_process(["sh", "-ec", keys], cwd=tmp_path, capture_stderr=True)
        token = await printed("sign.sh", tmp_path)
        auth = load(tmp_path / "my.toml", {}, {}).settings.auth
        assert await signs_in(make_settings(tmp_path / "data", auth=fields(auth)), token) == "ann"
        claims = {"sub": "ann", "aud": "gochat", "iat": int(time.time()), "exp": int(time.time()) + 60}
        (line,) = re.findall(r"jwt\.encode\(claims, Path[^`]*", PAGE.read_text())
        signed = eval(line, {"jwt": jwt, "claims": claims, "Path": Path})
        identity = await tokens(Settings(auth=auth)).verify(signed)
        assert identity.user == "ann"


def fields(auth: Auth) -> dict[str, Any]:
    return {name: getattr(auth, name) for name in auth.__struct_fields__}


class Provider:
    """An OpenID Connect provider, as far as gochat sees one: its keys behind a URL, and what it signs."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)

    def jwks(self) -> bytes:
        key = {**RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": "k1", "use": "sig", "alg": "RS256"}
        return json.dumps({"keys": [key]}).encode()

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        base = {
            "iss": "https://accounts.example",
            "sub": "auth0|123",
            "aud": ["gochat", "other"],
            "azp": "app",
            "iat": now,
            "exp": now + 300,
        }
        return jwt.encode(base | claims, self.key, "RS256", {"kid": "k1", "typ": "at+jwt"})


async def seen(token: str, **changed: str) -> Identity:
    """The identity that a node with the page's settings for a provider reads in the token."""
    (settings,) = [block.text for block in blocks(PAGE) if "jwks_url" in block.text]
    file = trio.Path(changed.pop("folder")) / "my.toml"
    await file.write_text(settings)
    auth = msgspec.structs.replace(load(Path(file), {}, {}).settings.auth, **changed)
    return await tokens(Settings(auth=auth)).verify(token)


async def test_a_provider_signs_users_in(tmp_path: Path) -> None:
    provider = Provider()
    with trio.fail_after(60), running_site() as site:
        site.body = provider.jwks()
        here = {"folder": str(tmp_path), "jwks_url": site.url}
        scope = "openid chat:read chat:write groups:write"
        ann = await seen(provider.token(preferred_username="Ann@example.org", scope=scope), **here)
        assert (ann.user, ann.scopes) == ("u__41nn_40example.org", EVERYTHING)
        assert ann.user in PAGE.read_text()
        other = await seen(provider.token(scope=scope), **here, user_claim="sub")
        assert other.user == "auth0_7c123"
        assert other.user in PAGE.read_text()
        nobody = await seen(provider.token(preferred_username="ann", scope="openid profile"), **here)
        assert nobody.scopes == set()
        assert (await seen(provider.token(preferred_username="ann", scp=scope), **here)).scopes == set()
        for refused in ({"scope": scope.split()}, {"iss": "https://else.example"}, {"aud": "other"}):
            with pytest.raises(AuthError):
                await seen(provider.token(**{"preferred_username": "ann", **refused}), **here)
        with pytest.raises(AuthError):
            await seen(provider.token(preferred_username="Ann", scope=scope), **here, user_map="none")
