from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import trio
from trio.testing import MockClock

from gochat.http.problems import CutShort
from gochat.http.rest import exports
from gochat.http.rest.refused import Refused
from gochat.node import Node
from gochat.ports.archive import Viewer
from tests.e2e.peer import WAIT_S, address
from tests.http.rest.client import Rest, issue
from tests.http.rest.conftest import As
from tests.http.wiring import Client

PATH = "/v1/groups/tea/export"


async def tea(as_: As, **fields: Any) -> None:
    ann = as_("ann")
    assert (await ann.post("/v1/groups", {"name": "tea", "users": ["bob", "cat"], **fields})).status == 201
    for body in "green", "black":
        assert (await ann.post("/v1/messages", {"to": "group:tea", "body": body})).status == 201


async def test_an_owner_downloads_the_group(as_: As, tmp_path: Path) -> None:
    await tea(as_, title="Tea")
    answer = await as_("ann").get(PATH)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.sqlite3"
    assert answer.headers["content-disposition"] == 'attachment; filename="tea.sqlite"'
    assert answer.headers["cache-control"] == "no-store"
    (tmp_path / "tea.sqlite").write_bytes(answer.body)
    with closing(sqlite3.connect(tmp_path / "tea.sqlite")) as db:
        assert db.execute("SELECT body FROM messages").fetchall() == [("green",), ("black",)]
        assert db.execute("SELECT user, role FROM members").fetchall() == [
            ("ann", "owner"),
            ("bob", "member"),
            ("cat", "member"),
        ]
        assert db.execute("SELECT count(read) FROM member").fetchall() == [(0,)], "how far others read is not told"
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not list((tmp_path / "data").glob(".export*"))
    again = await as_("ann")("HEAD", PATH)
    assert (again.status, again.headers["content-length"]) == (200, str(len(answer.body)))
    assert (await as_("root", ["admin"]).get(PATH)).status == 200


async def test_nobody_else_does(as_: As) -> None:
    assert (await as_("ann").get(PATH)).refusal == (404, "not_found")
    await tea(as_)
    assert (await as_("bob").get(PATH)).refusal == (403, "forbidden")
    assert (await as_("zoe").get(PATH)).refusal == (404, "not_found")
    assert (await as_("ann").delete("/v1/groups/tea/users/cat")).status == 204
    assert (await as_("cat").get(PATH)).refusal[0] in (403, 404)
    assert (await as_("ann", ["chat:write"]).get(PATH)).refusal == (403, "forbidden")
    assert (await as_(None).get(PATH)).refusal == (401, "unauthorized")
    assert (await as_("ann").get("/v1/groups/Tea%20x/export")).refusal == (400, "bad_request")


async def test_an_owner_gets_no_history_that_is_hidden_from_them(as_: As) -> None:
    await tea(as_, history="since_join")
    ann = as_("ann")
    assert (await ann("PUT", "/v1/groups/tea/users/bob", {"role": "owner"})).status == 200
    assert (await as_("bob").get(PATH)).refusal == (403, "forbidden")
    assert (await ann.patch("/v1/groups/tea", {"history": "all"})).status == 200
    assert (await as_("bob").get(PATH)).status == 200


class Paused:
    """A file that is read as far as its third piece, and further when `go_on` is set."""

    def __init__(self, file: BinaryIO, go_on: threading.Event) -> None:
        self._file = file
        self._go_on = go_on
        self._pieces = 0

    def read(self, size: int) -> bytes:
        self._pieces += 1
        if self._pieces == 3:
            self._go_on.wait(WAIT_S)
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.fixture
def go_on(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Downloads pause until it is set, whatever the sockets' buffers take."""
    make, event = exports.Exports._make, threading.Event()
    monkeypatch.setattr(exports, "PIECE", 16)
    monkeypatch.setattr(exports.Exports, "_make", lambda *given: Paused(make(*given), event))
    return event


async def reading(node: Node, user: str) -> trio.SocketStream:
    """A download that is under way, and goes no further until `go_on` is set."""
    head = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {issue(node, user)}\r\n\r\n"
    stream = await trio.open_tcp_stream(*address(node, "http"))
    await stream.send_all(head.encode())
    assert (await stream.receive_some(12)).startswith(b"HTTP/1.1 200")
    return stream


async def test_nobody_waits_for_the_slow_downloads_of_another(
    as_: As, node: Node, monkeypatch: Any, go_on: threading.Event
) -> None:
    await tea(as_)
    ann = as_("ann")
    assert (await ann("PUT", "/v1/groups/tea/users/bob", {"role": "owner"})).status == 200
    with trio.fail_after(WAIT_S):
        slow = [await reading(node, "ann") for _ in range(exports.MOST_OF_USER)]
        refused = await ann.get(PATH)
        assert refused.refusal == (503, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        monkeypatch.setattr(exports, "PIECE", 65_536)
        assert (await as_("bob").get(PATH)).status == 200
        for stream in slow:
            await stream.aclose()
        go_on.set()
        while (answer := await ann.get(PATH)).status == 503:
            pass  # The server hears of the end a moment later.
    assert answer.status == 200


async def test_one_is_made_at_a_time(as_: As, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> None:
    await tea(as_)
    make, begun, go_on = exports.Exports._make, threading.Event(), threading.Event()

    def slowly(self: exports.Exports, viewer: Viewer, room: str) -> BinaryIO:
        begun.set()
        go_on.wait(WAIT_S)
        return make(self, viewer, room)

    monkeypatch.setattr(exports.Exports, "_make", slowly)
    answered: list[int] = []

    async def ask() -> None:
        answered.append((await as_("ann").get(PATH)).status)

    with trio.fail_after(WAIT_S):
        nursery.start_soon(ask)
        await trio.to_thread.run_sync(begun.wait, WAIT_S)
        assert (await as_("root", ["admin"]).get(PATH)).refusal == (503, "busy")
        go_on.set()
        while not answered:
            await trio.lowlevel.checkpoint()
    assert answered == [200]


@pytest.mark.parametrize("bound", ["MOST", "MOST_BYTES"])
async def test_all_downloads_together_have_a_bound(
    as_: As, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    await tea(as_)
    monkeypatch.setattr(exports, bound, 1)
    made = exports.Exports(tmp_path / "data")
    download = await made.make(Viewer("ann"), "group:tea", lambda: None)
    with pytest.raises(Refused, match="too many"):
        await made.make(Viewer("bob"), "group:tea", lambda: None)
    download.close()
    download.close()
    (await made.make(Viewer("bob"), "group:tea", lambda: None)).close()


@pytest.mark.parametrize("pace", [exports.LEAST_PACE / 2, exports.LEAST_PACE * 2])
async def test_a_download_keeps_a_pace(mock_clock: MockClock, tmp_path: Path, pace: float) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100 * exports.PIECE))
    released: list[exports.Download] = []
    download = exports.Download(path.open("rb"), lambda: None, released.append)
    taken = 0

    async def send(piece: bytes) -> None:
        nonlocal taken
        await trio.lowlevel.checkpoint()
        taken += len(piece)
        mock_clock.jump(len(piece) / pace)

    if pace > exports.LEAST_PACE:
        await download.send_body(send)
        assert taken == download.size
    else:
        with pytest.raises(CutShort, match=r"took \d+ bytes in \d+ s"):
            await download.send_body(send)
        assert taken / pace < 2 * exports.GRACE_S + exports.PIECE / pace
    download.close()
    assert released == [download]


@pytest.mark.parametrize("change", [{"action": "suspend", "user": "ann"}, {"action": "revoke", "user": "ann"}])
async def test_who_is_shut_out_gets_no_more_of_it(
    as_: As,
    node: Node,
    peer: Any,
    monkeypatch: Any,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, str],
    go_on: threading.Event,
) -> None:
    await tea(as_)
    root = await peer("root", token=issue(node, "root", ["admin"]))
    ann = as_("ann")  # With a token of now: one of a later second is none of those that are revoked.
    reader = Client(await trio.open_tcp_stream(*address(node, "http")))
    await reader.send(
        f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {issue(node, 'ann')}\r\n\r\n".encode()
    )
    with trio.fail_after(WAIT_S), caplog.at_level("INFO"):
        answer = await reader.response(body=False)
        assert answer.status == 200
        assert (await root.ask("admin", **change))["type"] == "ok"
        go_on.set()
        assert 0 < len(await reader.rest()) < int(answer.headers[b"content-length"])
        await reader.stream.aclose()
        monkeypatch.setattr(exports, "PIECE", 65_536)
        assert (await as_("root", ["admin"]).get(PATH)).status == 200
    assert (await ann.get(PATH)).refusal == (401, "unauthorized")
    [cut] = [record for record in caplog.records if "cut short" in record.message]
    assert f"GET {PATH} was cut short: the " in cut.message
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_who_is_shut_out_while_it_is_made_gets_nothing_of_it(as_: As, tmp_path: Path) -> None:
    await tea(as_)
    made = exports.Exports(tmp_path / "data")
    with pytest.raises(Refused, match="suspended") as refused:
        await made.make(Viewer("ann"), "group:tea", lambda: "the user is suspended")
    assert refused.value.status == 401
    with pytest.raises(Refused, match="suspended"):  # and not "busy"
        await made.make(Viewer("ann"), "group:tea", lambda: "the user is suspended")


async def test_what_a_killed_node_left_is_cleared_away(as_: As, tmp_path: Path) -> None:
    await tea(as_)
    left = tmp_path / "data" / ".export-left"
    left.write_text(json.dumps("x"))
    assert (await as_("ann").get(PATH)).status == 200
    assert not left.exists()


async def test_names_of_users_who_have_blocked_the_owner_are_not_in_it(
    as_: As, node: Node, peer: Any, tmp_path: Path
) -> None:
    """A name that they took since would be told to somebody who finds it nowhere else."""
    await tea(as_)
    for user in ("bob", "cat"):
        assert (await as_(user).delete(f"/v1/groups/tea/users/{user}")).status == 204
        await peer(user, token=issue(node, user, name=f"The {user}"))
    assert (await as_("bob")("PUT", "/v1/blocks/ann")).status == 200

    async def named(reader: Rest) -> dict[str, str | None]:
        path = tmp_path / "tea.sqlite"
        path.write_bytes((await reader.get(PATH)).body)
        with closing(sqlite3.connect(path)) as connection:
            return dict(connection.execute("SELECT user, name FROM member"))

    assert await named(as_("root", ["admin"])) == {"ann": None, "bob": "The bob", "cat": "The cat"}
    assert await named(as_("ann")) == {"ann": None, "bob": None, "cat": "The cat"}
