"""One entry of each kind, with all that can be in it. Their bytes are golden: samples are added, never changed."""

from __future__ import annotations

from gochat.cluster.entry import Entry, EntryCodec, partition_of
from gochat.domain import facts
from gochat.domain.notices import (
    Addressed,
    Attempt,
    Bounds,
    MentionsWanted,
    NewNotice,
    NoticesFound,
    NoticesRevived,
    NoticesTried,
    QuietHours,
    QuietSet,
    Route,
    Silenced,
    Subscribed,
    Subscription,
    Unsubscribed,
)
from gochat.domain.relationship import Relation, RelationChange, Side
from gochat.domain.side_records import (
    Added,
    Audited,
    Related,
    ReportClosed,
    Reported,
    Revoked,
    Sanctioned,
    Suspended,
)
from gochat.replication import EpochIs, GotUpTo, NodeIs, ReadUpTo, UserNoted

TEA, DM = "group:tea", "dm:ann:bob"
CODEC = EntryCodec("k3NcDmXUS5mR", "a secret of the cluster's nodes")


def fields(room: str, seq: int, sender: str = "ann") -> dict[str, object]:
    return {"room": room, "seq": seq, "ts": 1_700_000_000_000, "sender": sender}


def entry(**changed: object) -> Entry:
    given: dict[str, object] = {
        "instance": "n1",
        "boot": "b7",
        "counter": 5,
        "room": TEA,
        "base": 40,
        "head": 6,
        "ts": 1_700_000_000_000,
        "facts": [],
        "side_records": [],
        "check": (38, bytes(range(8))),
    }
    return Entry(**{**given, **changed})  # type: ignore[arg-type]


_SIDE = Side(True, 1, 2, 3, 4, 5, 6)

ENTRIES: dict[str, Entry] = {
    "message": entry(facts=[facts.Message(**fields(TEA, 7), body="tea?", key="k", reply_to=3)]),
    "on messages": entry(
        facts=[
            facts.Edit(**fields(TEA, 7), target=3, body="ü"),
            facts.Reaction(**fields(TEA, 8), target=3, emoji="👍", on=True),
            facts.Delete(**fields(TEA, 9), target=3),
        ],
        side_records=[
            Reported(3, 1, "bob", reason="spam"),
            Reported(7, 1, rule="words.listed"),
            Audited(1, "ann", "message.delete", "group:tea:3", '{"author":"bob"}'),
        ],
        expected={7: 3},
    ),
    "group": entry(
        base=0,
        head=0,
        facts=[
            facts.Member(**fields(TEA, 1), users=["ann"], change="added", role="owner", title="Tea"),
            facts.Group(**fields(TEA, 2), history="since_join", post="owner"),
            facts.Closed(**fields(TEA, 3)),
        ],
        side_records=[Added("ann", 1, 2), Sanctioned("bob", "mute", True, 1, 9), Audited(1, "ann", "x", room=DM)],
        check=(0, b""),
    ),
    "two users": entry(
        room=DM,
        head=0,
        facts=[facts.Message(**fields(DM, 1), body="hi")],
        side_records=[Related(RelationChange(1, 0, 5, "ann", "ask"), Relation(("ann", "bob"), Side(), _SIDE, 1))],
        hidden={1: "bob"},
    ),
    "site": entry(
        kind="site",
        room="",
        head=0,
        side_records=[
            Suspended("bob", True, 1, 2, "ann", "spam"),
            Revoked("jti", "t", 3),
            ReportClosed(99, 4, "ann"),
            Silenced("ann", TEA, None, 5),
            QuietSet("ann", QuietHours(1, 2, "Europe/Berlin")),
            Subscribed("ann", Subscription("https://push.example/x", "p", "a"), 6, "t"),
            Unsubscribed("ann", None),
            Addressed("ann", "ann@example.org"),
        ],
    ),
    "mentions": entry(
        facts=[
            facts.Message(**fields(TEA, 7), body="@bob and @cat", mentions=["bob", "cat"]),
            facts.Edit(**fields(TEA, 8), target=7, body="@cat", mentions=["cat"]),
        ],
        expected={8: 7},
    ),
    "mentions wanted": entry(kind="site", room="", head=0, side_records=[MentionsWanted("ann", True)]),
    "notes": entry(kind="notes", room="", head=0, side_records=[UserNoted("ann", "Ann", 7), UserNoted("bob", None, 8)]),
    "nodes": entry(
        kind="nodes",
        room="",
        head=0,
        side_records=[NodeIs("n1", "here"), NodeIs("n2", "forgotten"), EpochIs("e2", "e1")],
    ),
    "notices": entry(
        kind="site",
        room="",
        head=0,
        side_records=[
            NoticesFound(
                [NewNotice("33:bob:4", "bob", 33, 3, 5, 2, 1_700_000_000_000)],
                {33: 5},
                [Route("webhook", True), Route("push", False)],
                Bounds(1_000, 100, 10),
                1_700_000_300_000,
            ),
            NoticesTried(
                [
                    Attempt("33:bob:4", "webhook", 0, "delivered", 1_700_000_300_100, 1),
                    Attempt("33:bob:4", "push", 7, "retry", 1_700_000_300_100, 1, 1_700_000_360_000, "503"),
                ],
                Bounds(1_000, 100, 10),
            ),
            NoticesRevived("push", 1_700_000_400_000),
        ],
    ),
}
#: Entries about no room of another partition than 0: with the partition.
ELSEWHERE: dict[str, tuple[int, Entry]] = {
    "reads": (
        partition_of(TEA),
        entry(kind="notes", room="", head=0, side_records=[ReadUpTo(TEA, "ann", 5), GotUpTo(TEA, "bob", 6)]),
    ),
}
