"""The face for scripts: called from threads that know no trio, on a real node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio

from gochat.client import BadUrl, Chat, Ended, Refused, Unreachable, facts
from gochat.client.sync import Timeout, connect
from gochat.node import Node
from tests.client.conftest import enter, url
from tests.client.peer import Peer
from tests.tokens import issue

T = TypeVar("T")


async def script(work: Callable[[], T]) -> T:
    """Run a script beside the node."""
    with trio.fail_after(60):
        return await trio.to_thread.run_sync(work)


async def test_a_script_writes_and_reads(node: Node) -> None:
    def work() -> None:
        with connect(url(node), token=issue(node, "ann")) as chat:
            assert chat.user == "ann"
            assert chat.welcome.contacts == []
            ack = chat.send("user:bob", "hello", key="one")
            assert chat.send("user:bob", "hello", key="one").duplicate
            chat.edit("user:bob", ack.seq, "hallo")
            chat.react("user:bob", ack.seq, "👍")
            chat.read("user:bob", ack.seq)
            kinds = [type(chat.next_event(60)) for _ in range(3)]
            assert kinds == [facts.Message, facts.Edit, facts.Reaction]
            (message,) = [each for each in chat.page("user:bob").entries if isinstance(each, facts.Message)]
            assert (message.body, message.reactions) == ("hallo", {"👍": 1})
            # Messages are found within a second.
            assert any([each.seq for each in chat.search("hallo")] == [1] for _ in range(5_000))
            chat.delete("user:bob", ack.seq)
            chat.call(Chat.create_group, "tea", users=["bob"])
            assert sorted(member.user for member in chat.members("group:tea")) == ["ann", "bob"]
            assert [group.room for group in chat.each(Chat.groups)] == ["group:tea"]
            with pytest.raises(Refused):
                chat.call(Chat.create_group, "tea")

    await script(work)


async def test_events_come_and_end_with_the_session(node: Node) -> None:
    def work() -> None:
        with connect(url(node), token=issue(node, "ann"), device="script") as chat:
            chat.send("user:bob", "one")
            for event in chat:
                assert isinstance(event, facts.Message)
                break
            with connect(url(node), token=issue(node, "ann"), device="script"), pytest.raises(Ended):
                list(chat)
        with pytest.raises(Ended):
            chat.send("user:bob", "too late")

    await script(work)


async def test_many_threads_share_a_session(node: Node) -> None:
    def work() -> None:
        with connect(url(node), token=issue(node, "ann")) as chat:
            threads = [threading.Thread(target=chat.send, args=("user:bob", f"{number}")) for number in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    await script(work)
    async with enter(node, "bob") as bob:
        assert bob.welcome.contacts[0].head == 5


async def test_what_keeps_a_session_from_beginning_is_raised(node: Node) -> None:
    def work(where: str, token: str) -> None:
        with connect(where, token=token, timeout_s=60):
            pass

    for where, token, error in (
        ("http://x", "t", BadUrl),
        ("ws://127.0.0.1:1/v1/ws", "t", Unreachable),
        (url(node), "nobody's", Refused),
    ):
        with pytest.raises(error):
            await script(lambda where=where, token=token: work(where, token))  # type: ignore[misc]


async def test_a_server_that_says_nothing(peer: Peer) -> None:
    def work() -> None:
        with connect(peer.url, token="t", timeout_s=0.01):
            pass

    with pytest.raises(Timeout):
        await script(work)


async def test_a_thread_in_which_trio_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no file can be opened any more: `connect` raises, instead of waiting for ever."""

    def work() -> None:
        with connect("ws://127.0.0.1:1/v1/ws", token="t"):
            pass

    def no_files(*_: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(trio, "run", no_files)
    with trio.fail_after(60), pytest.raises(OSError, match="too many"):
        await trio.to_thread.run_sync(work, abandon_on_cancel=True)


INTERRUPTED = """
import os, signal
from gochat.client.sync import connect

# Whoever started the tests in the background of a shell had SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
with connect(os.environ["GOCHAT_URL"], token=os.environ["GOCHAT_TOKEN"]) as chat:
    try:
        print("waits", flush=True)
        next(iter(chat))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print(next(iter(chat)).body, flush=True)
"""


async def line(stream: trio.abc.ReceiveStream) -> str:
    found = b""
    while not found.endswith(b"\n"):
        data = await stream.receive_some(1)
        assert data, found
        found += data
    return found.decode().strip()


async def test_an_interrupted_call_takes_no_event_with_it(node: Node) -> None:
    """Ctrl-C reaches the main thread alone, so the script is a process."""
    env = os.environ | {"GOCHAT_URL": url(node), "GOCHAT_TOKEN": issue(node, "ann"), "PYTHONPATH": os.curdir}
    with trio.fail_after(60):
        script = await trio.lowlevel.open_process([sys.executable, "-c", INTERRUPTED], env=env, stdout=subprocess.PIPE)
        assert script.stdout is not None
        async with script.stdout:
            try:
                assert await line(script.stdout) == "waits"
                script.send_signal(signal.SIGINT)
                assert await line(script.stdout) == "interrupted"
                async with enter(node, "bob") as bob:
                    await bob.send("user:ann", "one")
                    await bob.send("user:ann", "two")
                assert await line(script.stdout) == "one"
            finally:
                script.kill()
                await script.wait()


async def test_no_event_in_time_is_none(node: Node) -> None:
    def work() -> None:
        with connect(url(node), token=issue(node, "ann")) as chat:
            assert chat.next_event(0.01) is None

    await script(work)
