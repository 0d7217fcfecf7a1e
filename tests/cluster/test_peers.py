"""A node asks another one: signed both ways, and with a bound for everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import h11
import pytest
import trio

from gochat.cluster import peers as asking
from gochat.cluster.peers import PeerAway, Peers, Refused
from gochat.cluster.signing import ANSWER, MAC, MOST_OFF_MS, Signer
from gochat.errors import GochatError, Lives, UnderWay

NOW = 1_000_000_000_000
PATH = "/internal/state"
Answer = Callable[[h11.Request, bytes], tuple[int, Mapping[str, str], bytes]]


def signer(secret: str = "s" * 32) -> Signer:
    return Signer(secret, lambda: NOW)


async def serve(stream: trio.SocketStream, answer: Answer) -> None:
    """One request, and its answer."""
    connection = h11.Connection(h11.SERVER)
    body, request = b"", None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(1 << 16))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            break
    assert request is not None
    status, headers, content = answer(request, body)
    fields = [("content-length", str(len(content))), ("connection", "close"), *headers.items()]
    for part in (h11.Response(status_code=status, headers=fields), h11.Data(data=content), h11.EndOfMessage()):
        await stream.send_all(connection.send(part) or b"")


async def asked(answer: Answer, by: Signer | None = None) -> bytes:
    """The answer that is heard by a node. Raises PeerAway."""
    peers = Peers(by or signer(), timeout_s=60)
    problem: GochatError | None = None
    heard = b""
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, _handler(answer), [listener])
            try:
                heard = await peers.ask(f"http://127.0.0.1:{port}/", PATH, b"question")
            except GochatError as error:
                problem = error
            await peers.aclose()
            nursery.cancel_scope.cancel()
    if problem is not None:
        raise problem
    return heard


def _handler(answer: Answer) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def handle(stream: trio.SocketStream) -> None:
        await serve(stream, answer)

    return handle


def signed(content: bytes, secret: str = "s" * 32) -> dict[str, str]:
    return {MAC: signer(secret).sign(ANSWER, PATH, NOW, content)}


async def test_both_are_sure_of_the_other() -> None:
    def answer(request: h11.Request, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        assert request.target == PATH.encode()
        assert signer().is_signed("POST", PATH, headers["x-gochat-time"], body, headers[MAC])
        return 200, signed(b"answer"), b"answer"

    assert await asked(answer) == b"answer"


async def test_an_answer_counts_however_long_its_node_has_worked_at_it() -> None:
    now = [NOW]

    def answer(request: h11.Request, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        now[0] += 2 * MOST_OFF_MS
        return 200, signed(b"answer"), b"answer"

    assert await asked(answer, Signer("s" * 32, lambda: now[0])) == b"answer"


async def test_the_answer_to_an_earlier_question_is_none() -> None:
    """Questions of the same moment included: they may ask for different things."""
    heard: list[bytes] = []

    def answer(request: h11.Request, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        return 200, signed(b"first"), b"first"

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, _handler(answer), [listener])
        peers = Peers(signer(), timeout_s=60)
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        heard.append(await peers.ask(url, PATH, b"one"))
        with pytest.raises(PeerAway, match="without the cluster's secret"):
            await peers.ask(url, PATH, b"other")
        await peers.aclose()
        nursery.cancel_scope.cancel()
    assert heard == [b"first"]


@pytest.mark.parametrize(
    ("status", "headers", "content", "said"),
    [
        (200, {}, b"answer", "without the cluster's secret"),
        (200, signed(b"answer", "t" * 32), b"answer", "without the cluster's secret"),
        (200, signed(b"other"), b"answer", "without the cluster's secret"),
        (403, {}, b"no", "refuses /internal/state .403.: no"),
        (403, {}, b'{"detail": "\xff"}', "403"),
        (403, {}, b'{"a":' + b"[" * 100_000, "403"),
        (302, {"location": "http://example.invalid/"}, b"", "refuses"),
    ],
)
async def test_anything_else_is_no_answer(status: int, headers: dict[str, str], content: bytes, said: str) -> None:
    with pytest.raises(PeerAway, match=said):
        await asked(lambda request, body: (status, headers, content))


async def test_a_node_may_say_that_it_goes_on_with_it() -> None:
    with pytest.raises(UnderWay, match=r"http://127.0.0.1:\d+/: tomorrow"):
        await asked(lambda request, body: (202, signed(b"tomorrow"), b"tomorrow"))
    with pytest.raises(PeerAway, match="without the cluster's secret"):
        await asked(lambda request, body: (202, {}, b"tomorrow"))


@pytest.mark.parametrize(
    ("status", "headers", "has_refused"),
    [
        (403, {}, True),
        (404, {}, True),
        (503, signed(b"no"), True),
        (503, {}, False),
        (409, {}, False),
        (500, {}, False),
        (302, {}, False),
    ],
)
async def test_whether_a_node_has_done_nothing_is_known_where_it_refuses(
    status: int, headers: dict[str, str], has_refused: bool
) -> None:
    """A proxy says 503 as well, when its node breaks off."""
    with pytest.raises(PeerAway) as caught:
        await asked(lambda request, body: (status, headers, b"no"))
    assert isinstance(caught.value, Refused) == has_refused


async def test_a_node_may_say_that_the_other_one_lives() -> None:
    with pytest.raises(Lives, match="west lives"):
        await asked(lambda request, body: (409, signed(b"west lives"), b"west lives"))


async def test_an_answer_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_BYTES", 10)
    with pytest.raises(PeerAway, match="more than 10 bytes"):
        await asked(lambda request, body: (200, signed(b"x" * 11), b"x" * 11))


async def test_nobody_there() -> None:
    peers = Peers(signer(), timeout_s=60)
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with trio.fail_after(60), pytest.raises(Refused, match="can't be reached"):
        await peers.ask(f"http://127.0.0.1:{port}", PATH)
    await peers.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "node2",
        "ftp://127.0.0.1:1",
        "http://[::1",
        "http://127.0.0.1:99999",
        "http://chät.example:8080",
        "http://a..b:80",
        f"http://{'a' * 64}:80",
        f"https://{'a' * 64}:80",
    ],
)
async def test_an_address_that_is_none(url: str) -> None:
    """An older release let a node advertise it."""
    peers = Peers(signer(), timeout_s=60)
    with trio.fail_after(60), pytest.raises(PeerAway):
        await peers.ask(url, PATH)
    await peers.aclose()
