"""The page's positions answer as the Python client's do, whatever the server says."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from gochat.client.positions import Ask, Positions
from gochat.client.wire import Page
from gochat.domain.facts import Closed, Member, Message
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import ContactEntry, GroupEntry, RoomEntry
from tests.browser.people import Person

ROOMS = ("group:tea", "group:den", "dm:ann:bob", "dm:ann:cat")
TRANSCRIPTS, STEPS = 150, 60

RUN = """async transcripts => {
    const { Positions } = await import('/js/positions.js');
    const known = question => question && JSON.stringify(question);
    return transcripts.map(steps => {
        const positions = new Positions();
        let asked = null;
        return steps.map(([name, value]) => {
            try { return run(name, value); } catch (error) { return String(error); }
        });
        function run(name, value) {
            switch (name) {
                case 'resume': return positions.resume(value);
                case 'welcomed': return positions.welcomed(value);
                case 'found': return positions.found(value) ?? null;
                case 'take': return positions.take(value);
                case 'lagging': return positions.lagging(value);
                case 'reset': return positions.reset(value);
                case 'opened': return positions.opened(value) ?? null;
                case 'next': return positions.nextBehind() ?? null;
                case 'ask': return asked = positions.ask(value);
                case 'answered': {
                    const { facts, reset } = positions.answered(asked, value);
                    return [facts.map(fact => fact.seq), reset];
                }
                case 'refused': return positions.refused(asked) ?? null;
            }
        }
    });
}"""


class Writer:
    """Drives the Python positions at random, and writes down what was said and what came of it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.positions = Positions()
        self.steps: list[tuple[str, Any]] = []
        self.results: list[Any] = []
        self.caught: list[str] = []

    def write(self, name: str, value: Any, result: Any) -> None:
        self.steps.append((name, msgspec.to_builtins(value)))
        self.results.append(msgspec.to_builtins(result))

    def place(self) -> dict[str, Any]:
        return {
            "room": self.rng.choice(ROOMS),
            "epoch": self.rng.choice("aaaab"),
            "head": self.rng.choice((self.rng.randint(0, 9), 400)),
        }

    def step(self) -> None:
        rng, positions = self.rng, self.positions
        match rng.choice(("hello", "take", "take", "take", "lag", "reset", "opened", "found", "catch up", "catch up")):
            case "hello":
                self.hello()
            case "take":
                fact = self.fact(rng.choice(ROOMS), rng.randint(1, 12))
                self.write("take", fact, positions.take(fact))
            case "lag":
                lag = replies.Lag(**self.place())
                self.write("lagging", lag, _reset(positions.lagging(lag)))
            case "reset":
                reset = replies.Reset(**self.place())
                self.write("reset", reset, _reset(positions.reset(reset)))
            case "opened":
                room = rng.choice(ROOMS)
                self.write("opened", room, positions.opened(room))
            case "found":
                place = self.place()
                entry = GroupEntry(
                    room=place["room"],
                    title="",
                    role="member",
                    members=1,
                    epoch=place["epoch"],
                    head=place["head"],
                    read=rng.randint(0, place["head"]),
                    unread=0,
                )
                self.write("found", entry, positions.found(entry))
            case "catch up":
                self.catch_up()

    def hello(self) -> None:
        frame_bytes = self.rng.choice((400, 65536))
        self.write("resume", frame_bytes, self.positions.resume(frame_bytes))
        rooms = {place["room"]: place for place in (self.place() for _ in range(self.rng.randint(0, 4)))}
        entries = [
            RoomEntry(title="", role="member", read=self.rng.randint(0, 9), unread=0, **place)
            for room, place in rooms.items()
            if room.startswith("group:")
        ]
        contacts = [
            ContactEntry(user="bob", name="bob", online=False, read=self.rng.randint(0, 9), unread=0, **place)
            for room, place in rooms.items()
            if room.startswith("dm:")
        ]
        welcome = replies.Welcome(
            user="ann",
            session="s",
            node="n",
            server="s",
            heartbeat_s=30,
            contacts=contacts,
            rooms=entries,
            requests=[],
            limits=replies.Limits(65536, 4000, 200, 100, 128, 20, 1, 1, 0),
            epoch=self.rng.choice(("a", "a", "b", None)),
        )
        self.caught.clear()
        self.write("welcomed", welcome, [_reset(reset) for reset in self.positions.welcomed(welcome)])

    def catch_up(self) -> None:
        if not self.caught or self.rng.random() < 0.3:
            room = self.positions.next_behind()
            self.write("next", None, room)
            self.caught += [room] if room is not None else []
            return
        room = self.rng.choice(self.caught)
        asked = self.positions.ask(room)
        self.write("ask", room, asked)
        if asked is None:
            self.caught.remove(room)
        elif self.rng.random() < 0.2:
            self.write("refused", None, self.positions.refused(asked))
        else:
            self.answer(asked)

    def answer(self, asked: Ask) -> None:
        place = self.place()
        reply: replies.Ok | Page
        if isinstance(asked, req.Resume):
            reply = replies.Ok(head=place["head"])
        else:
            first = asked.after + self.rng.choice((1, 1, 1, 2)) if asked.after is not None else 1
            entries = [self.fact(asked.room, seq) for seq in range(first, first + self.rng.randint(0, 5))]
            reply = Page(
                room=asked.room,
                epoch=place["epoch"],
                entries=entries,
                head=place["head"],
                complete=self.rng.random() < 0.8,
            )
        facts, reset = self.positions.answered(asked, reply)
        # Fields that the Python client's structs leave out, and every frame has.
        more = {"type": "page", "complete": reply.complete} if isinstance(reply, Page) else {"type": "ok"}
        wire = msgspec.to_builtins(reply) | more
        self.write("answered", wire, [[fact.seq for fact in facts], _reset(reset)])

    def fact(self, room: str, seq: int) -> Any:
        common = {"room": room, "seq": seq, "ts": seq, "sender": "bob"}
        kind = self.rng.random()
        if kind < 0.9 or room.startswith("dm:"):
            return Message(body="x", **common)
        if kind < 0.95:
            change = self.rng.choice(("removed", "left", "added"))
            return Member(users=[self.rng.choice(("ann", "bob"))], change=change, **common)
        return Closed(**common)


def _reset(reset: Any) -> Any:
    return None if reset is None else {"room": reset.room, "epoch": reset.epoch, "head": reset.head}


def test_the_page_asks_for_what_the_python_client_asks_for(person: Callable[..., Person]) -> None:
    writers = [Writer(seed) for seed in range(TRANSCRIPTS)]
    for writer in writers:
        for _ in range(STEPS):
            writer.step()
    answers = person("ann").page.evaluate(RUN, [writer.steps for writer in writers])
    for writer, answer in zip(writers, answers, strict=True):
        for number, (step, wanted, got) in enumerate(zip(writer.steps, writer.results, answer, strict=True)):
            assert _given(got) == _given(wanted), (number, step, writer.steps[: number + 1][-5:])


def _given(value: Any) -> Any:
    """Without what is absent on the wire."""
    if isinstance(value, dict):
        return {key: _given(each) for key, each in value.items() if each is not None and key != "id"}
    return value
