"""The state, the input and the queue of messages, put together: each key, event and command changes them here.

Nothing here waits. The tasks of `gochat.client.screen.tasks` do all that needs the server; `signal` wakes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Final, NamedTuple

import trio

from gochat.client.chat import Chat
from gochat.client.errors import Refused
from gochat.client.events import Event, Listed
from gochat.client.positions import Reset
from gochat.client.screen.commands import COMMANDS, HINTS, NUMBERED
from gochat.client.screen.completion import Completion, Words
from gochat.client.screen.composer import Composer
from gochat.client.screen.front import RoomFront
from gochat.client.screen.picture import Scene
from gochat.client.screen.signals import Signal
from gochat.client.screen.state import STATUS, State
from gochat.client.screen.viewport import Viewport
from gochat.client.terminal import text
from gochat.client.terminal.command import Command, Misused, Quit
from gochat.client.unsent import Draft, Unsent
from gochat.client.wire import FACTS, Page
from gochat.domain import ids
from gochat.domain.plurals import counted
from gochat.protocol import replies
from gochat.protocol.entries import PresenceEntry

#: At most so often, in seconds, does the terminal make a sound: no stranger shall make it ring without end.
BELL_S: Final = 3.0
#: For so long, in seconds, a second Ctrl-C leaves.
_AGAIN_S: Final = 3.0
#: From here on a pause that the server asks for is told; shorter ones nobody notices.
_SLOW_S: Final = 2.0
#: Commands that may wait for the server.
_MAX_WAITING: Final = 20


class WaitingCommand(NamedTuple):
    """A command that needs the server, and the room in which it was typed."""

    command: Command
    front: RoomFront
    arguments: str
    typed: str


class Desk:
    def __init__(self, chat: Chat, *, to: str | None, ring: Callable[[], None]) -> None:
        self.chat = chat
        self.state = State(chat.welcome, to)
        self.viewport = Viewport(self.state)
        self.composer = Composer()
        self.unsent = Unsent(chat, on_ack=self._sent, on_refused=self._refused, on_wait=self._slowed)
        self.signal = Signal()
        self.commands: deque[WaitingCommand] = deque()
        self.focused = True
        """Whether the terminal is looked at, as far as it tells."""
        self.leaving = trio.Event()
        self.leaving_at_once = trio.Event()
        self.interrupted = False
        """Whether the user did not want to wait for what is unsent."""
        self.typing_in: str | None = None
        """The room whose members are to be told that this user types."""
        self._ring = ring
        self._rang = float("-inf")
        self._completion: Completion | None = None
        self._mistake = ""
        """The command that stayed in the input because it can't be done: to be mended, unless another one is typed."""
        self._interrupted = float("-inf")
        self._recorded: dict[tuple[str, int], Draft] = {}
        """Messages that are recorded and whose facts are still to come: they stay on the screen until then."""
        self._greet()

    def _greet(self) -> None:
        self.state.note(f"signed in as {self.state.me}. /help lists keys and commands, Tab completes", STATUS)
        if len(self.state.order) == 1:
            self.state.note(
                "no rooms yet: /msg USER TEXT writes to somebody, /group create NAME founds a group", STATUS
            )
        for line in text.unreadable_lines(self.state.rooms.unreadable, self.state.me):
            self.state.note(line.removeprefix("* "), STATUS, "error")

    def scene(self) -> Scene:
        """Everything that a picture is made of."""
        recorded = self._recorded.values()
        drafts = [*recorded, *(draft for draft in self.unsent if draft not in recorded)]
        return Scene(self.state, self.viewport, self.composer, drafts, self._completion, trio.current_time())

    # ------------------------------------------------------------------------------------------ rooms

    def open(self, room: str) -> None:
        """Go to a room: its newest messages, and what was being typed there."""
        self._completion = None
        if room != self.state.current:
            self.composer.switch(self.state.current, room)
            self.viewport.selected = None
        self.state.open(room)
        self.viewport.follow()
        self.signal.set()

    def close(self, room: str) -> None:
        """Take a room off the list until something is said there."""
        if room == self.state.current:
            self.open(self.state.last if self.state.last != room else STATUS)
            # Its unfinished text goes with it.
            self.composer.forget(room)
        self.state.close(room)

    def seen(self) -> tuple[str, int] | None:
        """The room whose end is on the screen, and its latest fact, where that is not marked as read yet."""
        room = self.state.current
        entry = self.state.rooms.entry(room)
        if entry is None or not (self.focused and self.viewport.follows) or self.state.asks(room):
            return None
        timeline = self.state.timeline(room)
        return (room, timeline.head) if timeline.loaded and entry.unread and timeline.head > entry.read else None

    async def presence_of(self, user: str) -> str:
        """A line that says whether a user is online."""
        entries = await self.watch([user, *self.state.to_watch(14)])
        for entry in entries:
            if entry.user == user:
                return text.presence_line(entry).removeprefix("* ")
        return f"whether {user} is online is not for you to see"

    async def watch(self, users: list[str]) -> list[PresenceEntry]:
        """Follow the presence of these users, and of no others."""
        entries = await self.chat.watch(list(dict.fromkeys(users))[:15])
        self.state.watched = frozenset(entry.user for entry in entries)
        self.state.rooms.take(replies.Presence(users=entries))
        self.signal.set()
        return entries

    # ------------------------------------------------------------------------------------------ what comes

    def take(self, event: Event) -> None:
        """Follow an event, and make a sound if it is worth one."""
        now = trio.current_time()
        loud = self.state.take(event, now)
        if isinstance(event, FACTS):
            self._recorded.pop((event.room, event.seq), None)
        if isinstance(event, Reset):
            self._drop_recorded(event.room)
            self.viewport.forget(event.room)
            self._drop_commands(event.room)
        if isinstance(event, replies.Request):
            user = text.inert(event.user)
            self.state.note(f"{user} wants to write to you, in window {self.state.number(event.room)}", STATUS)
        if isinstance(event, Listed):
            for line in text.unreadable_lines(event.unreadable, self.state.me):
                self.state.note(line.removeprefix("* "), STATUS, "error")
        if isinstance(event, replies.Contact):
            self.state.note(text.state_notice(event.user, event.state).removeprefix("* "), STATUS)
        if loud and now >= self._rang + BELL_S:
            self._rang = now
            self._ring()
        if self.viewport.follows and self.state.current != STATUS:
            self.state.timeline(self.state.current).trim()
        self.signal.set()

    def newest_page(self, page: Page) -> None:
        """The newest page of a room. Messages that it reaches past stand in it: their facts may have come before."""
        self.state.timeline(page.room).newest_page(page)
        self.state.want_names(page.entries)
        self.state.receipts(page.room, page.reads, page.got, page.joined)
        self._drop_recorded(page.room, page.head)

    def _drop_recorded(self, room: str, upto: float = float("inf")) -> None:
        for each in [each for each in self._recorded if each[0] == room and each[1] <= upto]:
            del self._recorded[each]

    def _drop_commands(self, room: str) -> None:
        """Commands that wait mean messages of the log that is gone: their numbers are those of others now."""
        for each in [each for each in self.commands if each.front.window == room]:
            self.commands.remove(each)
            self.state.note(f"not done, for the room was put back to an older state: {text.inert(each.typed)}", room)

    # ------------------------------------------------------------------------------------------ what is typed

    def insert(self, typed: str) -> None:
        """Put typed or pasted text into the input."""
        self._completion = None
        composer = self.composer
        if typed.startswith("/") and composer.text and composer.text == self._mistake and composer.at_end:
            composer.take()  # Nobody goes on so; hands that know IRC take the line for empty.
        if not composer.insert(typed):
            self.state.note("not taken: the text is too long", style="error")
        current = self.state.current
        if current in self.state.rooms and not self.composer.text.startswith("/"):
            self.typing_in = current
        self.signal.set()

    def complete(self, by: int = 1) -> None:
        """Put the next word that fits in the place of the one before the cursor."""
        if self._completion is None:
            users, groups = self.state.users(), self.state.groups()
            words = Words(COMMANDS, users, groups, self.state.here(), self.state.shown.beginning)
            self._completion = Completion(self.composer, words)
        if not self._completion.step(by):
            self._completion = None

    def complete_no_more(self) -> None:
        """The word is as it should be: the next Tab is about another one."""
        self._completion = None

    def submit(self) -> None:
        """Enter: send the text, or carry out the command. Text that can't be taken stays in the input."""
        self._completion = None
        typed = self.composer.text
        if not typed.strip():
            self.viewport.follow()
            return
        try:
            if typed.startswith("/") and not typed.startswith("//"):
                self._obey(typed)
            else:
                self._write(typed.strip().removeprefix("/") if typed.startswith("//") else typed.strip())
        except Misused as misused:
            self._mistake = typed if typed.startswith("/") else ""
            self.state.note(str(misused), style="error")

    def _write(self, body: str) -> None:
        if len(body) > self.state.body_chars:
            raise Misused(
                f"{len(body):,} characters, and a message has at most {self.state.body_chars:,}: send it in parts"
            )
        front = RoomFront(self, self.state.current)
        front.put(front.to(), body, reply_to=self.viewport.selected)
        self.composer.take()
        self.typing_in = self.viewport.selected = None
        self.viewport.follow()

    def _obey(self, typed: str) -> None:
        name, _, rest = typed[1:].partition(" ")
        command = COMMANDS.get(name.strip().lower()) or NUMBERED.get(name.strip())
        if command is None:
            if (hint := HINTS.get(name.strip().lower())) is not None:
                raise Misused(f"there is no /{name.strip().lower()} here: {hint}")
            raise Misused(f"there is no /{text.inert(name)}; /help lists the commands, // begins a line with a slash")
        front = RoomFront(self, self.state.current)
        if len(self.commands) >= _MAX_WAITING:
            raise Misused("too many commands wait for the server")
        kept = self.composer.take()
        if iscoroutinefunction(command.action):
            self.commands.append(WaitingCommand(command, front, rest.strip(), kept))
            return
        try:
            command.action(front, rest.strip())
        except Misused:
            self.composer.set(kept)
            raise
        except Quit:
            self.leave()

    # ------------------------------------------------------------------------------------------ leaving

    def leave(self) -> None:
        """Leave when everything is sent; again, at once."""
        if self.leaving.is_set():
            self.leaving_at_once.set()
        elif self.unsent.waiting:
            count = counted(self.unsent.waiting, "message")
            self.state.note(f"{count} not sent yet: gochat waits for the server. Ctrl-C leaves without")
        self.leaving.set()

    def interrupt(self) -> None:
        """Ctrl-C: empty the input; on an empty one, leave the second time."""
        self._completion = None
        now = trio.current_time()
        if self.leaving.is_set() or now < self._interrupted + _AGAIN_S:
            self.leaving_at_once.set()
        elif self.composer.text:
            self.composer.take()
            self.viewport.selected = None
        else:
            self._interrupted = now
            self.state.note("Ctrl-C again, Ctrl-D or /quit leaves")
        if self.leaving_at_once.is_set():
            self.interrupted = True
            self.leaving.set()

    def unfinished(self) -> list[str]:
        """A line for each text that was typed and is neither sent nor kept in `unsent`: commands that still wait, then
        the input and the drafts of other windows. At the end nothing else tells of them."""
        texts = [(waiting.front.window, waiting.typed) for waiting in self.commands]
        texts += self.composer.unfinished(self.state.current)
        return [
            text.unfinished_line("" if room == STATUS else self.state.address(room), typed)
            for room, typed in texts
            if typed.strip()
        ]

    # ------------------------------------------------------------------------------------------ what becomes of it

    def _sent(self, draft: Draft, ack: replies.Ack) -> None:
        self.state.held = None
        # Facts and acks come by two tasks, so that either may be first.
        if draft.edits is None and not ack.duplicate and ack.seq > self.state.head(ack.room):
            self._recorded[ack.room, ack.seq] = draft
        if ack.request:
            peer = text.inert(ids.peer(ack.room, self.state.me))
            self.state.note(f"{peer} gets this as a request: they must accept you before you can go on")
        self.signal.set()

    def _refused(self, draft: Draft) -> None:
        self.state.held = None
        self.signal.set()

    def _slowed(self, refused: Refused, waited_s: float) -> None:
        if refused.wait_s >= _SLOW_S or waited_s >= _SLOW_S:
            self.state.held = f"the server asks for {refused.wait_s:.0f} s of patience"
            self.signal.set()
