"""Users who are away, and a node that is killed again and again around the times at which they are to be notified."""

from __future__ import annotations

import random
import time
from contextlib import AsyncExitStack
from datetime import datetime
from typing import NamedTuple

import trio
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from tests.durability.crowd import dm
from tests.durability.notified import Burst, Evidence, Notice, Return, missing
from tests.durability.process import Served
from tests.durability.wire import Closed, Frame
from tests.notify.receivers import HttpReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AFTER_S = 1.5
WRITERS = ("w0", "w1", "w2")
#: In each round: members of a new group, private messages, members of the group who come back in time, and users who
#: read what they were told of and are written to again.
MEMBERS, PRIVATE, BACK, READ = 100, 10, 8, 4
#: A kill comes so many seconds after the first message of the round is due.
KILL_S = (-0.3, 0.5)
#: The receiver takes it, refuses it, or takes it and hangs up before it answers.
ANSWERS, WEIGHTS = (200, 503, "close"), (90, 4, 6)
#: For all that must come: generous, since machines are shared.
WAIT_S = 60.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Plan(NamedTuple):
    users: int
    kills: int
    seed: int
    faults: bool = True
    """Whether the receiver fails now and then: what it does not take comes again some seconds later."""


class Outcome(NamedTuple):
    evidence: Evidence
    interrupted: int
    """Bursts that were due and not told when the node was killed, over all kills."""


class Away:
    """A campaign under way."""

    def __init__(self, plan: Plan, served: Served, receiver: HttpReceiver) -> None:
        self.evidence = Evidence(after_ms=int(AFTER_S * 1000))
        self.interrupted = 0
        self._plan = plan
        self._rng = random.Random(plan.seed)
        self._served = served
        self._receiver = receiver
        self._verifier = Webhook(SECRET)
        self._users = [f"u{number:04}" for number in range(plan.users)]
        self._pairs = [(writer, user) for writer in WRITERS for user in self._users]
        self._rng.shuffle(self._pairs)
        self._talked: list[tuple[str, str]] = []
        """Pairs whose message was sent in an earlier round, and who have not been written to since."""
        self._keys = 0
        self._taken = 0

    async def round(self, number: int) -> None:
        """Messages are sent, some of their receivers come back, and the node is killed as they become due."""
        if self._plan.faults:
            self._receiver.answers.extend(self._rng.choices(ANSWERS, WEIGHTS, k=MEMBERS))
        again = await self._readers()
        members = self._rng.sample(self._users, min(MEMBERS, len(self._users)))
        first_ms = now_ms()
        await self._group(f"g{number}", members)
        for pair in [*again, *(self._pairs.pop() for _ in range(min(PRIVATE, len(self._pairs))))]:
            await self._private(*pair)
        async with trio.open_nursery() as nursery:
            for user in self._rng.sample(members, min(BACK, len(members))):
                nursery.start_soon(self._comes_back, user)
            await trio.sleep(max(0.0, (first_ms - now_ms()) / 1000 + AFTER_S + self._rng.uniform(*KILL_S)))
            await self._served.kill()
            nursery.cancel_scope.cancel()
        self.take()
        due_ms = now_ms() - self.evidence.after_ms
        self.interrupted += sum(burst.acked_ms < due_ms for burst in missing(self.evidence))

    def take(self) -> None:
        """Verify what has arrived, as a receiver does."""
        for received in self._receiver.received[self._taken :]:
            self._taken += 1
            try:
                told = self._verifier.verify(received.body, received.headers)
            except WebhookVerificationError as error:
                self.evidence.complaints.append(f"{error}: {received}")
                continue
            data = told["data"]
            if received.headers["webhook-id"] != data["id"]:
                self.evidence.complaints.append(f"the header and the body name it differently: {received}")
            at_ms = round(datetime.fromisoformat(told["timestamp"]).timestamp() * 1000)
            self.evidence.notices.append(Notice(data["id"], data["user"], data["room"], data["seq"], at_ms))

    async def told_all(self) -> None:
        """Give what waits for a retry its time. Those that have not come by then are missing."""
        with trio.move_on_after(WAIT_S):
            while missing(self.evidence):
                await trio.sleep(0.1)
                self.take()
        await trio.sleep(AFTER_S)  # A second notification of a burst would come by now.
        self.take()

    # ------------------------------------------------------------------------------------------ the users

    async def _readers(self) -> list[tuple[str, str]]:
        """Some who were told of a private message read it, and go away again; they can be written to once more."""
        told = {(notice.user, notice.room) for notice in self.evidence.notices}
        ready = [pair for pair in self._talked if (pair[1], dm(*pair)) in told][:READ]
        for pair in ready:
            self._talked.remove(pair)
            await self._reads(pair[1], dm(*pair))
        return ready

    async def _reads(self, user: str, room: str) -> None:
        """A second sign-in shows that the read is durable: what is noted is flushed before each welcome."""
        seq = max(burst.last for burst in self.evidence.bursts if (burst.user, burst.room) == (user, room))
        begun_ms = now_ms()
        async with await self._served.sign_in(user) as link:
            self._came(user, begun_ms)
            reply = await link.ask({"type": "read", "id": 1, "room": room, "seq": seq})
            assert reply["type"] == "ok", reply
        begun_ms = now_ms()
        async with await self._served.sign_in(user):
            self._came(user, begun_ms)

    async def _comes_back(self, user: str) -> None:
        await trio.sleep(self._rng.uniform(0, AFTER_S))
        begun_ms = now_ms()
        try:
            async with await self._served.sign_in(user):
                self._came(user, begun_ms)
        except (Closed, trio.Cancelled) as error:
            # The node was killed: nobody knows whether it knew of the user.
            self._came(user, begun_ms, welcomed=False)
            if isinstance(error, trio.Cancelled):
                raise

    def _came(self, user: str, begun_ms: int, *, welcomed: bool = True) -> None:
        self.evidence.returns.setdefault(user, []).append(Return(begun_ms, now_ms(), welcomed))

    # ------------------------------------------------------------------------------------------ the writers

    async def _group(self, name: str, members: list[str]) -> None:
        async with await self._served.sign_in(WRITERS[0]) as link:
            made = {"type": "group", "id": name, "name": name, "action": "create", "users": members}
            reply = await link.ask(made)
            assert reply["type"] == "ok", reply
        seq, sent_ms = await self._send(WRITERS[0], f"group:{name}")
        self.evidence.bursts += [Burst(user, f"group:{name}", seq, seq, sent_ms, now_ms()) for user in members]

    async def _private(self, writer: str, user: str) -> None:
        seq, sent_ms = await self._send(writer, f"user:{user}")
        self.evidence.bursts.append(Burst(user, dm(writer, user), seq, seq, sent_ms, now_ms()))
        self._talked.append((writer, user))

    async def _send(self, writer: str, to: str) -> tuple[int, int]:
        """The message's seq, and when it was sent."""
        self._keys += 1
        frame: Frame = {"type": "send", "id": 1, "to": to, "key": f"k{self._keys}", "body": "hello"}
        async with await self._served.sign_in(writer) as link:
            sent_ms = now_ms()
            reply = await link.ask(frame)
            assert reply["type"] == "ack", reply
            return reply["seq"], sent_ms


async def campaign(served: Served, receiver: HttpReceiver, plan: Plan) -> Outcome:
    """Kill `served`, which is not started yet, once a round; then let it tell everything."""
    served.env |= {
        "GOCHAT_NOTIFY__AFTER_MINUTES": str(AFTER_S / 60),
        "GOCHAT_NOTIFY__WEBHOOK_URL": f"http://127.0.0.1:{receiver.port}/hook",
        "GOCHAT_NOTIFY__WEBHOOK_SECRET": SECRET,
        "GOCHAT_NOTIFY__ALLOW_PRIVATE": "true",
        "GOCHAT_POLICY__ADD_BUDGET": "0",
    }
    away = Away(plan, served, receiver)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(served.aclose)
        await served.start()
        for number in range(plan.kills):
            with trio.fail_after(WAIT_S):
                await away.round(number)
            await served.start()
        receiver.answers.clear()
        await away.told_all()
        assert await served.stop() == 0
    return Outcome(away.evidence, away.interrupted)
