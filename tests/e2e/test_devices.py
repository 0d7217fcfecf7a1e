"""One's own devices: told to their user alone, and signed out from another one."""

from __future__ import annotations

import trio

from gochat.node import Node
from tests.e2e.peer import Peer
from tests.e2e.test_moderation import Connect, token
from tests.http.rest.client import Rest


async def test_they_are_told_to_their_user_alone(node: Node, nursery: trio.Nursery, connect: Connect) -> None:
    await connect("ann")
    bobs = []
    for device, transport in (("desk", "ws"), ("phone", "tcp")):
        peer = await Peer.open(node, transport, nursery)
        await peer.ask("hello", token=token(node, "bob"), device=device)
        bobs.append(peer)
    desk, phone = (await bobs[1].ask("devices"))["devices"]
    assert (desk["device"], desk["transport"], desk["address"], "current" in desk) == ("desk", "ws", "127.0.0.1", False)
    assert (phone["device"], phone["transport"], phone["current"]) == ("phone", "tcp", True)
    rest = Rest(node, token(node, "bob"))
    assert [each["device"] for each in (await rest.get("/v1/devices")).json["devices"]] == ["desk", "phone"]
    await rest.aclose()


async def devices(node: Node, nursery: trio.Nursery, user: str, *tokens: str) -> list[Peer]:
    """Sessions of a user, one for each token."""
    peers = [await Peer.open(node, "ws", nursery) for _ in tokens]
    for number, (peer, given) in enumerate(zip(peers, tokens, strict=True)):
        await peer.ask("hello", token=given, device=f"{user}{number}")
    return peers


async def test_a_device_is_signed_out_from_another_one_and_stays_out(node: Node, nursery: trio.Nursery) -> None:
    tokens = [token(node, "bob"), token(node, "bob")]
    lost, kept = await devices(node, nursery, "bob", *tokens)
    ids = {each["device"]: each.get("handle") for each in (await kept.ask("devices"))["devices"]}
    assert ids["bob1"] is None, "the one that asks has no need of it"
    assert (await kept.ask("sign_out", handle=ids["bob0"]))["state"] == "revoked"
    assert await lost.closed() == 4503
    assert [each["device"] for each in (await kept.ask("devices"))["devices"]] == ["bob1"]
    again = await Peer.open(node, "ws", nursery)
    assert (await again.ask("hello", token=tokens[0]))["code"] == "unauthorized"
    assert (await kept.ask("sign_out", handle=ids["bob0"]))["code"] == "not_found"


async def test_a_sign_out_waits_for_no_suspension_and_none_for_it(node: Node, nursery: trio.Nursery) -> None:
    lost, kept = await devices(node, nursery, "bob", token(node, "bob"), token(node, "bob"))
    (handle,) = [each["handle"] for each in (await kept.ask("devices"))["devices"] if "handle" in each]
    with trio.fail_after(60):
        async with node.gateway.standing.changing:  # As while the suspension of somebody else is on its way.
            assert (await kept.ask("sign_out", handle=handle))["state"] == "revoked"
        assert await lost.closed() == 4503


async def test_a_device_with_the_same_token_is_only_closed(node: Node, nursery: trio.Nursery) -> None:
    """Else whoever asks would be signed out too."""
    same = token(node, "bob")
    lost, kept = await devices(node, nursery, "bob", same, same)
    (handle,) = [each["handle"] for each in (await kept.ask("devices"))["devices"] if "handle" in each]
    assert (await kept.ask("sign_out", handle=handle))["state"] == "closed"
    assert await lost.closed() == 4503
    assert len((await kept.ask("devices"))["devices"]) == 1


async def test_nobody_signs_out_others_nor_the_session_that_asks(node: Node, nursery: trio.Nursery) -> None:
    ann, bob = (
        *await devices(node, nursery, "ann", token(node, "ann")),
        *await devices(node, nursery, "bob", token(node, "bob")),
    )
    rest, root = Rest(node, token(node, "bob")), Rest(node, token(node, "root", admin=True))
    (handle,) = [each["handle"] for each in (await rest.get("/v1/devices")).json["devices"]]
    assert (await ann.ask("sign_out", handle=handle))["code"] == "not_found"
    assert (await root.delete(f"/v1/devices/{handle}")).status == 404
    assert (await bob.ask("sign_out", handle=handle))["code"] == "conflict"
    assert (await bob.ask("ping"))["type"] == "pong"
    assert (await rest.delete(f"/v1/devices/{handle}")).status == 204
    assert await bob.closed() == 4503
    await rest.aclose()
    await root.aclose()
