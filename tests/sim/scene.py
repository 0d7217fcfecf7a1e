"""A small chat with its evidence, in which tests break a promise."""

from __future__ import annotations

from typing import Any

from gochat.sim.checker import Asked, Evidence, Fact, Look, Name

OAK, DM = "group:oak", "dm:ann:bob"
Frame = dict[str, Any]


class Scene:
    """Ann makes a group with bob, both write; bob is removed and added again. In private ann blocks bob for a while.
    Each request takes a second, and is heard a tenth of a second later."""

    def __init__(self) -> None:
        self.found = Evidence(users={"ann": "ann", "bob": "bob"}, heard={"ann": {}, "bob": {}})
        self.now = 0.0
        self.found.history = {
            OAK: [Fact(1, "member", "ann", users=("ann",), change="added")],
            DM: [],
        }
        self.hear(OAK, "ann")
        self.change("added", "ann", "bob")
        self.send(OAK, "ann")
        self.send(OAK, "bob")
        self.change("removed", "ann", "bob")
        self.send(OAK, "ann", to=("ann",))
        self.send(OAK, "ann", to=("ann",))
        self.change("added", "ann", "bob")
        self.send(OAK, "bob")
        self.look("bob", OAK)
        self.send(DM, "bob")
        self.edit(DM, "bob", 1)
        self.contact("ann", "block")
        self.ask("bob", {"type": "send", "to": DM, "key": "k-refused"}, {"type": "error", "code": "blocked"})
        self.found.given_up.add(Name(DM, "bob", "k-refused"))
        self.found.sent[Name(DM, "bob", "k-refused")] = "refused"
        self.contact("ann", "unblock")
        self.send(DM, "bob")
        self.look("bob", DM)

    def ask(self, user: str, frame: Frame, reply: Frame) -> Asked:
        asked = Asked(user, user, frame, self.now, tries=1, connection=1, reply=reply)
        self.now += 1.0
        asked.answered_at = self.now
        self.found.asked.append(asked)
        return asked

    def record(self, room: str, fact: Fact, *to: str) -> int:
        seq = len(self.found.history[room]) + 1
        self.found.history[room].append(fact._replace(seq=seq))
        self.hear(room, *to)
        return seq

    def hear(self, room: str, *readers: str) -> None:
        for reader in readers:
            self.found.heard[reader].setdefault(room, []).append(self.found.history[room][-1])
            hearings = self.found.hearings.setdefault(reader, {}).setdefault(room, [])
            hearings.append((1, self.now + 0.1))

    def send(self, room: str, user: str, to: tuple[str, ...] = ("ann", "bob")) -> None:
        name = Name(room, user, f"k{len(self.found.sent)}")
        self.found.sent[name] = f"body of {name.key}"
        seq = self.record(room, Fact(0, "message", user, name.key, self.found.sent[name]), *to)
        self.found.acks.append((name, seq))
        self.ask(user, {"type": "send", "to": room, "key": name.key}, {"type": "ack", "room": room, "seq": seq})

    def change(self, change: str, by: str, user: str) -> None:
        seq = self.record(OAK, Fact(0, "member", by, users=(user,), change=change), "ann", "bob")
        self.ask(by, {"type": "group", "name": "oak"}, {"type": "ok", "room": OAK, "seq": seq})

    def edit(self, room: str, user: str, target: int) -> None:
        seq = self.record(room, Fact(0, "edit", user, target=target), "ann", "bob")
        frame = {"type": "edit", "room": room, "seq": target, "body": "edited"}
        self.ask(user, frame, {"type": "ack", "room": room, "seq": seq})
        facts = self.found.history[room]
        facts[target - 1] = facts[target - 1]._replace(body="edited", shown_late=True)

    def contact(self, user: str, action: str) -> None:
        frame = {"type": "contact", "user": "bob", "action": action}
        self.ask(user, frame, {"type": "ok", "room": DM, "head": len(self.found.history[DM])})

    def look(self, user: str, room: str) -> None:
        self.found.looks.append(Look(user, user, room, self.now, self.now + 0.5, len(self.found.history[room])))
        self.now += 1.0
