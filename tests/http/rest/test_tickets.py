"""Signing in by a link: a ticket is good once, for a token, and neither is taken for the other."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gochat.auth import tokens as auth
from gochat.auth.secret import own_secret
from gochat.auth.tickets import TTL_S
from gochat.errors import StoreError
from gochat.node import Node, running
from gochat.store.write.committer import Committer
from tests.e2e.conftest import make_settings
from tests.http.rest.client import Rest, issue
from tests.http.rest.conftest import As

TICKETS = "/v1/tickets"
REFUSED = (401, "unauthorized")


def ticket(node: Node, user: str = "ann", *, issued_s: int = 0, ttl_s: int = TTL_S, **options: Any) -> str:
    options.setdefault("token_ttl_s", 43_200)
    now_s = int(time.time()) + issued_s
    return auth.issuer(node.settings).ticket(user, now_s=now_s, ttl_s=ttl_s, **options)


async def redeem(rest: Rest, text: str) -> Any:
    return await rest.post(TICKETS, {"ticket": text})


async def test_a_ticket_gives_a_token_once(as_: As, node: Node, peer: Any) -> None:
    text = ticket(node, name="Ann A.", scopes=["chat:read"], token_ttl_s=3_600)
    answer = await redeem(as_(None), text)
    assert (answer.status, answer.json["user"]) == (200, "ann")
    assert answer.headers["cache-control"] == "no-store"
    assert abs(answer.json["expires"] / 1000 - time.time() - 3_600) < 5
    me = (await as_(None, token=answer.json["token"]).get("/v1/me")).json
    assert (me["user"], me["name"], me["scopes"]) == ("ann", "Ann A.", ["chat:read"])
    again = await redeem(as_(None), text)
    assert again.refusal == REFUSED
    assert "used already" in again.json["detail"]
    assert (await peer("ann", token=answer.json["token"])).welcome["user"] == "ann", "the token is good all the same"


async def test_of_requests_at_once_one_has_it(as_: As, node: Node) -> None:
    text = ticket(node)
    statuses = Counter[int]()

    async def ask() -> None:
        statuses[(await redeem(as_(None), text)).status] += 1

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(ask)
    assert statuses == {200: 1, 401: 11}


async def test_where_it_can_not_be_told_whether_it_is_used_up_the_answer_says_so(
    as_: As, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ticket(node)
    for unknown in (False, True):

        def fail(self: Committer, batches: Any, notes: Any, unknown: bool = unknown) -> Any:
            raise StoreError("no answer came", unknown=unknown)

        with monkeypatch.context() as patched:
            patched.setattr(Committer, "commit", fail)
            answer = await redeem(as_(None), text)
        assert answer.refusal == (503, "unavailable")
        assert answer.json.get("unknown", False) == unknown
        assert ("may be used up" in answer.json["detail"]) == unknown
    assert (await redeem(as_(None), text)).status == 200, "nobody got its token: on one node the user may try again"


async def test_a_used_one_stays_used_across_a_restart(tmp_path: Path) -> None:
    text = ""
    for used in (False, True):
        async with running(make_settings(tmp_path / "data")) as node:
            rest = Rest(node, None)
            text = text or ticket(node)
            assert (await redeem(rest, text)).status == (401 if used else 200)
            assert (await redeem(rest, ticket(node))).status == 200
            await rest.aclose()


async def test_neither_is_taken_for_the_other(as_: As, node: Node, peer: Any) -> None:
    text, token = ticket(node), issue(node, "ann")
    assert (await redeem(as_(None), token)).refusal == REFUSED
    assert (await as_(None, token=text).get("/v1/me")).refusal == REFUSED
    with pytest.raises(AssertionError, match="unauthorized"):
        await peer("ann", "tcp", token=text)
    live = await peer("ann", "tcp")
    assert (await live.ask("refresh", token=text))["code"] == "unauthorized"
    secret = own_secret(Path(node.settings.node.data))
    now = int(time.time())
    good = {"sub": "ann", "iat": now, "exp": now + 60, "aud": "gochat#ticket", "jti": "j", "scope": ""}
    for claims, header in (
        (good, {}),  # the type of a token
        (good | {"aud": "gochat"}, {"typ": "ticket+jwt"}),  # the audience of one
        (good | {"exp": now - 60, "iat": now - 600}, {"typ": "ticket+jwt"}),
        ({name: value for name, value in good.items() if name != "jti"}, {"typ": "ticket+jwt"}),
    ):
        assert (await redeem(as_(None), jwt.encode(claims, secret, "HS256", headers=header))).refusal == REFUSED
    forged = jwt.encode(good, "x" * 32, "HS256", headers={"typ": "ticket+jwt"})
    assert (await redeem(as_(None), forged)).refusal == REFUSED
    assert (await redeem(as_(None), jwt.encode(good, secret, "HS256", headers={"typ": "ticket+jwt"}))).status == 200


async def test_an_old_one_and_one_of_a_suspended_user_are_refused(as_: As, node: Node, peer: Any) -> None:
    assert (await redeem(as_(None), ticket(node, issued_s=-TTL_S - 60))).refusal == REFUSED
    text = ticket(node, "bob")
    root = await peer("root", token=issue(node, "root", ["admin"]))
    assert (await root.ask("admin", action="suspend", user="bob"))["type"] == "ok"
    refused = await redeem(as_(None), text)
    assert refused.refusal == REFUSED
    assert (await root.ask("admin", action="unsuspend", user="bob"))["type"] == "ok"
    assert (await redeem(as_(None), text)).status == 200, "it was not used up by that"


@pytest.mark.parametrize("body", [{}, {"ticket": ""}, {"ticket": 5}, {"ticket": "x" * 8_193}, [], "x"])
async def test_what_is_no_ticket_at_all(as_: As, body: Any) -> None:
    assert (await as_(None).post(TICKETS, body)).refusal == (400, "bad_request")


async def test_who_guesses_is_slowed_down(as_: As, node: Node) -> None:
    """It is asked without a credential: so one address may ask little, and costs the store nothing."""
    rest = as_(None)
    answers = [await redeem(rest, f"a.b.c{number}") for number in range(25)]
    assert [answer.status for answer in answers[:20]] == [401] * 20
    assert answers[-1].refusal == (429, "rate_limited")
    assert answers[-1].json["rule"] == "calls_per_s"
    assert (await as_("ann").get("/v1/me")).status == 200, "those who have a token are not concerned"


async def test_where_tokens_are_signed_elsewhere_there_are_no_tickets(tmp_path: Path, node: Node) -> None:
    text = ticket(node)
    key = _public_key(tmp_path)
    settings = make_settings(tmp_path / "other", auth={"algorithm": "ES256", "key_file": str(key)})
    async with running(settings) as other:
        rest = Rest(other, None)
        refused = await redeem(rest, text)
        assert refused.refusal == REFUSED
        assert "signs no tokens" in refused.json["detail"]
        await rest.aclose()


def _public_key(folder: Path) -> Path:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    file = folder / "public.pem"
    file.write_bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return file


class Watched:
    """A session in the node's table that counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def identity(self) -> None:
        self.looks += 1


async def test_one_that_is_used_costs_the_others_no_look_at_their_sessions(as_: As, node: Node) -> None:
    other: Any = Watched()
    node.gateway.sessions["other"] = other
    try:
        assert (await redeem(as_(None), ticket(node))).status == 200
        assert other.looks == 0
        answer = await as_("root", ["admin"])("PUT", "/v1/admin/suspensions/bob", {"reason": "spam"})
        assert answer.status < 300, answer.body
        assert other.looks, "a suspension does look"
    finally:
        del node.gateway.sessions["other"]
