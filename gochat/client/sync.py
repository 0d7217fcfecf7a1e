"""The client for scripts that are not asynchronous: the same session, kept in a thread of its own.

with gochat.client.sync.connect("ws://127.0.0.1:8080/v1/ws", token=os.environ["GOCHAT_TOKEN"]) as chat:
    chat.send("user:bob", "hello")
    for event in chat:
        ...
"""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import trio

from gochat.client import chat as asynchronous
from gochat.client.credential import TokenSource
from gochat.client.errors import Ended
from gochat.client.events import Event
from gochat.client.replica import Replica
from gochat.client.wire import Page
from gochat.domain.facts import AnyFact
from gochat.protocol import replies
from gochat.protocol.entries import MemberEntry

#: For so long, in seconds, a call waits for its reply, over reconnects.
TIMEOUT_S = 30.0

P = ParamSpec("P")
T = TypeVar("T")


class Timeout(TimeoutError):
    """No reply came in time. The request may have been carried out; a `send` is repeated safely with the same key."""


@contextmanager
def connect(
    url: str,
    *,
    token: TokenSource,
    device: str | None = None,
    timeout_s: float = TIMEOUT_S,
    replica: Replica | str | Path | None = None,
) -> Iterator[Chat]:
    """Sign in and stay signed in, as `gochat.client.connect` does; a function `token` is called in the other thread.
    Raises BadUrl, BadToken, Unreachable, Refused, or Timeout if there is no session within `timeout_s`.

    All methods may be called from any thread. Ctrl-C ends a call that waits.
    """
    thread = _Thread(url, token, device, replica)
    thread.start()
    try:
        chat = Chat(thread, timeout_s)
        thread.wait_ready(timeout_s)
        yield chat
    finally:
        thread.stop()


class Chat:
    """One user's session. The requests that scripts need have methods; `call` and `each` carry out all others."""

    def __init__(self, thread: _Thread, timeout_s: float) -> None:
        self._thread = thread
        self.timeout_s = timeout_s
        """How long a call may take; may be changed at any time. `math.inf` is for ever."""

    @property
    def user(self) -> str:
        """The user's id, as the server took it from the token."""
        return self._thread.chat.user

    @property
    def welcome(self) -> replies.Welcome:
        """The rooms, contacts and limits, as the latest connection was told of them."""
        return self._thread.chat.welcome

    @property
    def replica(self) -> Replica | None:
        """The file that the session keeps, if it was given one."""
        return self._thread.chat.replica

    def call(
        self, method: Callable[Concatenate[asynchronous.Chat, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Carry out a method of `gochat.client.Chat` and return its result: `chat.call(Chat.set_role, "tea", "bob",
        "moderator")`. Raises Timeout after `timeout_s`, else what the method raises."""
        return self._thread.run(lambda: method(self._thread.chat, *args, **kwargs), self.timeout_s)

    def each(
        self, method: Callable[Concatenate[asynchronous.Chat, P], AsyncIterator[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T]:
        """The items of a method that gives many: `chat.each(Chat.members, "group:tea")`. They are fetched page by page
        while they are taken; each page may take `timeout_s`."""
        items = self._thread.run_plain(lambda: aiter(method(self._thread.chat, *args, **kwargs)))
        end = object()
        while (item := self._thread.run(lambda: anext(items, end), self.timeout_s)) is not end:
            yield item  # type: ignore[misc]  # it is not `end`

    def __iter__(self) -> Iterator[Event]:
        """The events, as `async for event in chat` gives them, without a limit of time. Raises Ended."""
        while True:
            yield self._thread.run(self._thread.chat.__anext__, math.inf)

    def next_event(self, timeout_s: float) -> Event | None:
        """The next event, or None if none comes in time. Raises Ended."""
        try:
            return self._thread.run(self._thread.chat.__anext__, timeout_s)
        except Timeout:
            return None

    # ------------------------------------------------------------------------------------------ what scripts do

    def send(self, to: str, body: str, *, key: str | None = None, reply_to: int | None = None) -> replies.Ack:
        """Send a message; returns when it is durable. A rate limit is waited out, as long as `timeout_s` allows."""
        patience_s = self.timeout_s
        return self.call(asynchronous.Chat.send, to, body, key=key, reply_to=reply_to, patience_s=patience_s)

    def edit(self, room: str, seq: int, body: str) -> replies.Ack:
        """Change the text of one's own message. A rate limit is waited out, as long as `timeout_s` allows."""
        return self.call(asynchronous.Chat.edit, room, seq, body, patience_s=self.timeout_s)

    def delete(self, room: str, seq: int) -> replies.Ack:
        """Take a message's text away for good. Its author may, and in a group its moderators."""
        return self.call(asynchronous.Chat.delete, room, seq)

    def react(self, room: str, seq: int, emoji: str, on: bool = True) -> replies.Ack:
        """Add one's reaction to a message, or take it back."""
        return self.call(asynchronous.Chat.react, room, seq, emoji, on)

    def read(self, room: str, seq: int) -> None:
        """Mark everything up to `seq` as read; a lower seq than before changes nothing."""
        self.call(asynchronous.Chat.read, room, seq)

    def page(self, room: str, *, before: int | None = None, after: int | None = None, limit: int = 50) -> Page:
        """Facts above `after`, or the nearest below `before`, or the newest; ascending. Fewer than `limit` may come."""
        return self.call(asynchronous.Chat.page, room, before=before, after=after, limit=limit)

    def search(self, q: str, *, room: str | None = None) -> Iterator[AnyFact]:
        """Messages with these words in the user's rooms, or in one of them, newest first."""
        return self.each(asynchronous.Chat.search, q, room=room)

    def members(self, room: str) -> Iterator[MemberEntry]:
        """The members of a group with their roles, by id."""
        return self.each(asynchronous.Chat.members, room)


class _Thread:
    """The session's thread. Its errors are raised in the caller's."""

    def __init__(self, url: str, token: TokenSource, device: str | None, replica: Replica | str | Path | None) -> None:
        self._connection = (url, token, device, replica)
        self._thread = threading.Thread(target=self._main, name="gochat client", daemon=True)
        self._running = threading.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        """None until trio runs in the thread, and for good where it can't."""
        self._scope = trio.CancelScope()
        self.chat: asynchronous.Chat

    def start(self) -> None:
        """Return once calls can be made, or never will be: `wait_ready` says why."""
        self._thread.start()
        self._running.wait()

    def wait_ready(self, timeout_s: float) -> None:
        if not self._ready.wait(None if timeout_s == math.inf else timeout_s):
            raise Timeout(f"no session in {timeout_s:g} s")
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Say goodbye and end the thread."""
        self._cancel(self._scope)
        self._thread.join()

    def _cancel(self, scope: trio.CancelScope) -> None:
        if self._token is None:
            return
        try:
            trio.from_thread.run_sync(scope.cancel, trio_token=self._token)
        except trio.RunFinishedError:
            pass  # It has ended by itself, which is all that was wanted.

    def run(self, work: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Raises Timeout, Ended, and the errors of `work`, which is cancelled when its caller is interrupted: otherwise
        it would go on for nobody, and take the next event with it."""
        scope = trio.CancelScope()

        async def limited() -> T:
            with scope, trio.fail_after(timeout_s):
                return await work()
            raise Ended("this call was interrupted")  # nobody waits for it

        try:
            return trio.from_thread.run(limited, trio_token=self._token)
        except trio.TooSlowError:
            raise Timeout(f"no reply in {timeout_s:g} s") from None
        except (trio.Cancelled, trio.RunFinishedError):
            # The other thread was cancelled; this one has no scope that could be.
            raise Ended("this session has been closed") from None  # noqa: ASYNC104
        except BaseException:
            # An exception of `work` itself ended it. Ctrl-C ended no more than the waiting.
            self._cancel(scope)
            raise

    def run_plain(self, work: Callable[[], T]) -> T:
        try:
            return trio.from_thread.run_sync(work, trio_token=self._token)
        except trio.RunFinishedError:
            raise Ended("this session has been closed") from None

    def _main(self) -> None:
        try:
            trio.run(self._session)
        except BaseException as error:  # noqa: ASYNC103, BLE001  # it is raised in the caller's thread
            self._error = error
        finally:
            self._running.set()
            self._ready.set()

    async def _session(self) -> None:
        url, token, device, replica = self._connection
        self._token = trio.lowlevel.current_trio_token()
        self._running.set()
        with self._scope:
            async with asynchronous.connect(url, token=token, device=device, replica=replica) as self.chat:
                self._ready.set()
                await trio.sleep_forever()
