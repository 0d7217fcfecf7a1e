"""The tasks beside the screen: they ask the server while somebody types. Each waits for the desk's signal.

A refusal costs what it was about and no more: the tasks go on. `Ended` ends them all, and the screen with them.
"""

from __future__ import annotations

from typing import Final

import trio

from gochat.client.chat import NAMES
from gochat.client.errors import ClientError, Ended, Refused
from gochat.client.screen.desk import Desk, WaitingCommand
from gochat.client.screen.state import STATUS
from gochat.client.screen.timeline import Timeline
from gochat.client.terminal import text
from gochat.client.terminal.command import Misused, Quit
from gochat.domain import ids

#: Facts in a page: some screens of them.
PAGE: Final = 100
#: Users whose presence a server follows for one session.
WATCHED: Final = 15
#: Members that are listed for completion and for the count in the title.
MEMBERS: Final = 500
#: A server passes on so often, in seconds, that somebody types.
TYPING_S: Final = 3.0
#: How long a command waits for messages that were typed before it.
_IN_TURN_S: Final = 1.0
#: The pause after a request that failed, and between two lists of users to watch, in seconds.
_PAUSE_S: Final = 1.0


async def follow_events(desk: Desk) -> None:
    async for event in desk.chat:
        desk.take(event)


async def fetch_pages(desk: Desk) -> None:
    """Fetch the pages that the current room lacks: its newest one first, then earlier ones as somebody scrolls up."""
    seen = -1
    while True:
        seen = await desk.signal.wait(seen)
        room = desk.state.current
        timeline = desk.state.timeline(room)
        if room == STATUS or (timeline.loaded and (timeline.begins or not desk.viewport.wants_older)):
            continue
        try:
            await _fetch(desk, room, timeline)
        except Ended:
            raise
        except ClientError as error:
            if isinstance(error, Refused) and error.temporary:
                await trio.sleep(max(_PAUSE_S, error.wait_s))
            else:
                timeline.loaded = timeline.begins = True
                desk.state.note(f"no messages to show: {text.inert(text.refusal(error))}", room, "error")
        desk.signal.set()


async def _fetch(desk: Desk, room: str, timeline: Timeline) -> None:
    if not timeline.loaded:
        desk.newest_page(await desk.chat.page(room, limit=PAGE))
        return
    before = timeline.lowest
    page = await desk.chat.page(room, before=before, limit=PAGE)
    desk.state.want_names(page.entries)
    if not timeline.older_page(page, before):
        return  # Another one is asked for.
    # The next picture says whether that is enough.
    desk.viewport.wants_older = False
    if not page.complete:
        timeline.begins = True
        desk.state.note("earlier messages can't be reached now", room, "error")


async def mark_read(desk: Desk) -> None:
    """Tell the server which messages were on the screen."""
    seen = -1
    told: tuple[str, int] | None = None
    while True:
        seen = await desk.signal.wait(seen)
        found = desk.seen()
        if found is None:
            told = None
        if found is None or found == told:
            continue
        told = found
        try:
            await desk.chat.read(*found)
        except Ended:
            raise
        except ClientError as error:
            await trio.sleep(_PAUSE_S)
            if not isinstance(error, Refused) or error.temporary:
                told = None
                desk.signal.set()


async def tell_typing(desk: Desk) -> None:
    """Tell the others of a room that this user types, as often as they are told."""
    seen = -1
    while True:
        seen = await desk.signal.wait(seen)
        room, desk.typing_in = desk.typing_in, None
        if room is None or desk.state.offline is not None:
            continue
        try:
            await desk.chat.typing(room)
        except Ended:
            raise
        except ClientError:
            continue  # Nobody misses a hint that somebody types; the next key gives it again.
        finally:
            desk.typing_in = None
        await trio.sleep(TYPING_S)


async def follow_people(desk: Desk) -> None:
    """Watch the users who are on the list, and list the members of the current group."""
    seen = -1
    watched: tuple[int, frozenset[str]] = (-1, frozenset())
    while True:
        seen = await desk.signal.wait(seen)
        wanted = desk.state.to_watch(WATCHED)
        room = desk.state.current
        try:
            if (wanted or watched[1]) and watched != (now := (desk.state.relations, frozenset(wanted))):
                watched = now
                await desk.watch(wanted)
            if room.startswith("group:") and room in desk.state.rooms and room not in desk.state.names:
                await _list_members(desk, room)
            if ids.is_dm(room) and room not in desk.state.rooms and not desk.state.asks(room):
                await _look_up(desk, room)
        except Ended:
            raise
        except ClientError:
            pass  # The connection is down, or the server refused for now: asked again after the pause.
        else:
            continue
        await trio.sleep(_PAUSE_S)


async def ask_names(desk: Desk) -> None:
    """Ask for the names of users who are to be shown, many at a time."""
    seen = -1
    while True:
        seen = await desk.signal.wait(seen)
        while users := desk.state.shown.wanted(NAMES):
            try:
                desk.state.shown.learn(await desk.chat.names(users))
            except Ended:
                raise
            except ClientError:
                break  # Their ids are shown until the next connection.
            desk.signal.set()


async def _list_members(desk: Desk, room: str) -> None:
    names: list[str] = []
    async for member in desk.chat.members(room):
        names.append(member.user)
        desk.state.shown.learn({member.user: member.name})
        if len(names) == MEMBERS:
            break
    desk.state.names[room] = names
    desk.signal.set()


async def _look_up(desk: Desk, room: str) -> None:
    """Say that nobody has that id yet, before a slip of the finger is waited on for days."""
    user = ids.peer(room, desk.state.me)
    if user in desk.state.met:
        return
    desk.state.met.add(user)
    if not await desk.chat.is_known(user):
        desk.state.note(
            f"nobody has signed in as {text.inert(user)} yet; they will see what you write when they do", room
        )
        desk.signal.set()


async def obey(desk: Desk) -> None:
    """Carry out the commands that need the server, one after the other."""
    seen = -1
    while True:
        seen = await desk.signal.wait(seen)
        while desk.commands:
            await _obey_one(desk, desk.commands[0])
            desk.commands.popleft()
            desk.signal.set()


async def _obey_one(desk: Desk, waiting: WaitingCommand) -> None:
    front = waiting.front
    with trio.move_on_after(_IN_TURN_S):
        await desk.unsent.settled()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_give_up_offline, desk, nursery.cancel_scope)
            result = waiting.command.action(front, waiting.arguments)
            if result is not None:
                await result
            nursery.cancel_scope.cancel()
    except* Misused as group:
        front.desk.state.note(str(group.exceptions[0]), style="error")
    except* Quit:
        desk.leave()
    except* ClientError as group:
        _explain(desk, group)


def _explain(desk: Desk, group: BaseExceptionGroup[ClientError]) -> None:
    error = group.exceptions[0]
    if isinstance(error, Ended):
        raise error
    if isinstance(error, ClientError):
        desk.state.note(text.failure(error), style="error")


async def _give_up_offline(desk: Desk, scope: trio.CancelScope) -> None:
    """Cancel a command when there is no connection, rather than have it done at some later time."""
    seen = -1
    may_leave = desk.state.offline is None
    while desk.state.offline is None:
        seen = await desk.signal.wait(seen)
    desk.state.note(text.ANSWER_LOST if may_leave else text.NOT_SENT, style="error")
    scope.cancel()
