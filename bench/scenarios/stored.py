"""A room that holds many messages: made through the server, filled while it does not run."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench import prefill
from bench.faults import Fault
from bench.load.client import signed_in
from bench.load.frames import Seen, describe, read_page, read_results
from bench.scenarios.fanout import make_group
from bench.scenarios.stage import Server, Stage
from bench.server import Gochat, Running

_SENT_BODY = 100


class Filled(NamedTuple):
    """The room, its members, the seq of its first message, its head, and what its messages say."""

    running: Running
    server: Server
    room: str
    users: Sequence[str]
    first: int
    head: int
    texts: Sequence[str]

    def check(self, entry: Seen, who: str) -> None:
        """Raises Fault unless the message is what was stored."""
        if (
            entry.room != self.room
            or entry.body != prefill.body(self.texts, entry.seq)
            or entry.sender not in self.users
        ):
            raise Fault(f"{who}: not what was stored at {entry.seq}: {describe(entry)}")


@contextmanager
def filled(stage: Stage, rules: str, users: int, messages: int, *, index: bool) -> Iterator[Filled]:
    """A server with such a room. Where it runs already, the messages are sent, and `messages` had better be few."""
    texts = prefill.sentences(_SENT_BODY)
    with stage.server(rules) as server:
        names, group = server.names("u", users), server.group("stored")
        room = f"group:{group}"
        with server.run() as running, signed_in(running.address, server.issuer, names[:1]) as [(owner, _)]:
            base = make_group(owner, group, names[1:])
            if not isinstance(server, Gochat):
                for start in range(0, messages, 50):
                    seqs = range(base + start + 1, base + min(start + 50, messages) + 1)
                    for seq in seqs:
                        owner.write(type="send", id=seq, to=room, body=prefill.body(texts, seq))
                    owner.replies(len(seqs))
        if isinstance(server, Gochat):
            prefill.fill(server.database, room, messages, texts, index=index)
        with server.run() as running:
            yield Filled(running, server, room, names, base + 1, base + messages, texts)


class Pages:
    """History at random places of the room (a Query). Each page must hold what is stored, dense."""

    def __init__(self, stored: Filled, limit: int) -> None:
        self._stored = stored
        self._limit = limit

    def ask(self, rng: random.Random) -> dict[str, object]:
        before = rng.randint(self._stored.first + self._limit, self._stored.head + 1)
        return {"type": "history", "room": self._stored.room, "before": before, "limit": self._limit}

    def check(self, asked: Mapping[str, object], payload: bytes, who: str) -> int:
        page, before = read_page(payload, who), int(str(asked["before"]))
        seqs = [entry.seq for entry in page.entries]
        if page.type != "page" or seqs != list(range(before - self._limit, before)) or page.head != self._stored.head:
            raise Fault(
                f"{who}: {self._limit} entries before {before} expected, got {page.type} of {seqs[:1]}..{seqs[-1:]}"
            )
        for entry in page.entries:
            self._stored.check(entry, who)
        return len(seqs)


class Searches:
    """A word of the room's messages (a Query), common ones and rare ones alike. Each hit must hold the word."""

    def __init__(self, stored: Filled, limit: int) -> None:
        self._stored = stored
        self._limit = limit

    def ask(self, rng: random.Random) -> dict[str, object]:
        text = rng.choice(self._stored.texts)
        return {"type": "search", "in": "messages", "q": rng.choice(text.split()[:-1]), "limit": self._limit}

    def check(self, asked: Mapping[str, object], payload: bytes, who: str) -> int:
        found = read_results(payload, who)
        if found.type != "results" or not found.entries:
            raise Fault(f"{who}: {asked['q']!r} is in the room, and was not found: {payload[:120]!r}")
        for entry in found.entries:
            self._stored.check(entry, who)
            if str(asked["q"]) not in entry.body:
                raise Fault(f"{who}: {asked['q']!r} is not in {describe(entry)}")
        return len(found.entries)
