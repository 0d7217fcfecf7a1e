"""Messages that the server has not acked yet: in order, and kept until they are sent or dropped.

An application that awaits `Chat.send` for each line stands still while it is offline or limited. This queue takes the
line at once and sends it when that is possible, one after the other, so that they are recorded in the order of writing.
A message that the server refuses for good is set aside with the reason; those behind it go on.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import trio

from gochat.client.chat import Chat
from gochat.client.errors import ClientError, Ended, Refused
from gochat.protocol.replies import Ack

#: Messages that may wait, refused ones included; more than a person types, few enough to be shown.
MAX_MESSAGES: Final = 200
#: A refusal that asks for more patience than this is for the person to decide on: no rate limit of messages asks for
#: as much, and the budget of requests to strangers asks for hours.
MAX_WAIT_S: Final = 60.0


class Unsendable(ClientError):
    """There is no room for another message until one is sent or dropped."""


class Draft:
    """One message, or the new text of one (`edits` is its seq). `refused` says why it was set aside, if it was."""

    __slots__ = ("body", "edits", "key", "number", "refused", "reply_to", "to")

    def __init__(self, number: int, to: str, body: str, reply_to: int | None, edits: int | None) -> None:
        self.number = number
        self.to = to
        self.body = body
        self.reply_to = reply_to
        self.edits = edits
        self.key = secrets.token_urlsafe(12)
        self.refused: ClientError | None = None


class Unsent:
    """See the module. `run` sends; it must be running for anything to leave.

    `on_ack` is called with each message that was recorded, `on_refused` with each that was set aside, and `on_wait`
    when the server asks for patience: with its refusal, and with the seconds for which this message will have waited
    when it is tried again.
    """

    def __init__(
        self,
        chat: Chat,
        *,
        on_ack: Callable[[Draft, Ack], None],
        on_refused: Callable[[Draft], None],
        on_wait: Callable[[Refused, float], None],
    ) -> None:
        self._chat = chat
        self._on_ack = on_ack
        self._on_refused = on_refused
        self._on_wait = on_wait
        self._waiting: deque[Draft] = deque()
        self._refused: dict[int, Draft] = {}
        self._sending: trio.CancelScope | None = None
        self._last = 0
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._refused)

    def __iter__(self) -> Iterator[Draft]:
        """In the order in which they were written."""
        return iter(sorted((*self._refused.values(), *self._waiting), key=lambda draft: draft.number))

    @property
    def waiting(self) -> int:
        """Messages that will still be tried."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no further message is taken until one is sent or dropped."""
        return len(self) >= MAX_MESSAGES

    def write(self, to: str, body: str, *, reply_to: int | None = None, edits: int | None = None) -> Draft:
        """Take a message. Raises Unsendable with MAX_MESSAGES of them unsent."""
        if self.full:
            raise Unsendable(f"{MAX_MESSAGES} messages are not sent yet: wait, or drop some")
        self._last += 1
        draft = Draft(self._last, to, body, reply_to, edits)
        self._waiting.append(draft)
        self._change()
        return draft

    def drop(self, number: int) -> Draft | None:
        """Forget a message, and give it back. One that is on its way may be recorded all the same."""
        draft = self._refused.pop(number, None) or next((one for one in self._waiting if one.number == number), None)
        if draft is not None and draft.refused is None:
            if draft is self._waiting[0] and self._sending is not None:
                self._sending.cancel()
            self._waiting.remove(draft)
        self._change()
        return draft

    def retry(self, number: int) -> Draft | None:
        """Try a refused message again, behind those that wait."""
        draft = self._refused.pop(number, None)
        if draft is not None:
            draft.refused = None
            self._waiting.append(draft)
            self._change()
        return draft

    async def space(self) -> None:
        """Return when another message would be taken."""
        while self.full:
            await self._changed.wait()

    async def settled(self) -> None:
        """Return when nothing waits: every message is recorded, refused or dropped."""
        while self._waiting:
            await self._changed.wait()

    async def run(self) -> None:
        """Send the messages that wait, for ever. Raises Ended when the session is over; they are kept."""
        while True:
            while not self._waiting:
                await self._changed.wait()
            with trio.CancelScope() as self._sending:
                await self._send(self._waiting[0])
            self._sending = None

    async def _send(self, draft: Draft) -> None:
        waited_s = 0.0
        while True:
            try:
                ack = await self._ask(draft)
            except Ended:
                raise
            except ClientError as error:
                if not isinstance(error, Refused) or not error.temporary or error.wait_s > MAX_WAIT_S:
                    self._set_aside(draft, error)
                    return
                refused = error
            else:
                self._take_out(draft)
                self._change()
                self._on_ack(draft, ack)
                return
            waited_s += refused.wait_s
            self._on_wait(refused, waited_s)
            await trio.sleep(refused.wait_s)

    async def _ask(self, draft: Draft) -> Ack:
        if draft.edits is not None:
            return await self._chat.edit(draft.to, draft.edits, draft.body)
        return await self._chat.send(draft.to, draft.body, key=draft.key, reply_to=draft.reply_to)

    def _set_aside(self, draft: Draft, error: ClientError) -> None:
        if not self._take_out(draft):
            return  # Nobody wants to send it any more.
        draft.refused = error
        self._refused[draft.number] = draft
        self._change()
        self._on_refused(draft)

    def _take_out(self, draft: Draft) -> bool:
        """Whether a message whose reply has come still waited: it may have been dropped just before."""
        if draft not in self._waiting:
            return False
        self._waiting.remove(draft)
        return True

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
