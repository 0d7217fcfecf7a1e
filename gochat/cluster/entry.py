"""The entry: one room's decided batch, as it stands in the log.

An entry is `mac + version + body`. The MAC covers all that follows it, the cluster and the partition, by a key that the
nodes share: whoever else may write to Redis can neither make an entry nor move one to another partition. It is checked
before anything is believed, the version included.

The bytes of an entry are frozen by golden files: nodes of two releases read one log.
"""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Sequence
from functools import lru_cache
from hmac import compare_digest
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from gochat.cluster.ports import MOST_BYTES, PARTITIONS
from gochat.domain.facts import AnyFact, RecordedFact
from gochat.domain.ids import KEPT, MAX_SEQ, is_room
from gochat.domain.notices import (
    Addressed,
    MentionsWanted,
    NoticesFound,
    NoticesRevived,
    NoticesTried,
    QuietSet,
    Silenced,
    Subscribed,
    Unsubscribed,
)
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
from gochat.replication import AnyNews, EpochIs, GotUpTo, NodeIs, Noted, ReadUpTo, UserNoted

MAC_BYTES: Final = 16
#: Bounds of one entry, beside MOST_BYTES. A room's turn ends before them (actors/turn_bounds.py).
MOST_FACTS: Final = 4_096
MOST_SIDE_RECORDS: Final = 4_096
#: The partition of all that is about no room.
SITE: Final = 0
#: Times are below, by far: a database's integers end at twice as much.
_MOST_MS: Final = 1 << 62

Kind: TypeAlias = Literal["room", "site", "notes", "nodes"]
"""The subject of the entry: a room; the site; what was noted of a partition's rooms, or in SITE of users; or the nodes
of the cluster, of whom each partition keeps its own account."""

#: The names of side records in an entry. They stay, whatever becomes of the classes' names.
SIDE_RECORDS: Final[dict[str, type[Any]]] = {
    "related": Related,
    "sanctioned": Sanctioned,
    "added": Added,
    "reported": Reported,
    "audited": Audited,
    "report_closed": ReportClosed,
    "suspended": Suspended,
    "revoked": Revoked,
    "silenced": Silenced,
    "mentions_wanted": MentionsWanted,
    "quiet_set": QuietSet,
    "subscribed": Subscribed,
    "unsubscribed": Unsubscribed,
    "addressed": Addressed,
    "notices_found": NoticesFound,
    "notices_tried": NoticesTried,
    "notices_revived": NoticesRevived,
}
#: The same of what entries of the other kinds bring.
NEWS: Final[dict[str, type[Any]]] = {
    "read": ReadUpTo,
    "got": GotUpTo,
    "user": UserNoted,
    "node": NodeIs,
    "epoch": EpochIs,
}
#: The version that this release writes, and the highest that it reads. It rises with each kind of fact or record, and
#: each field, that a release adds: a node that does not know it stops before the entry, where skipping it would be to
#: differ. A golden file of each version has all kinds and fields (tests/cluster/test_entry.py).
VERSION: Final = 1
_NAMES: Final = {kind: name for name, kind in (SIDE_RECORDS | NEWS).items()}
#: The records that an entry of each kind may bring beside facts.
_OF_KIND: Final[dict[Kind, tuple[type[Any], ...]]] = {
    "room": tuple(SIDE_RECORDS.values()),
    "site": tuple(SIDE_RECORDS.values()),
    "notes": typing.get_args(Noted),
    "nodes": (NodeIs, EpochIs),
}


if TYPE_CHECKING:
    _Facts: TypeAlias = Sequence[AnyFact]
    _News: TypeAlias = Sequence[AnyNews]
else:
    # The form in the log. Side records are read by their names, and take their places there (EntryCodec.decode).
    _Facts = Annotated[list[RecordedFact], Meta(max_length=MOST_FACTS)]
    _News = Annotated[list[tuple[str, msgspec.Raw]], Meta(max_length=MOST_SIDE_RECORDS)]


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A batch as a node decided it, before its place in the log is known. Fields are added at the end, with defaults,
    and with a higher VERSION: the body of an entry is an array of them. Bounds are looked at where it is read."""

    instance: str
    boot: str
    counter: Annotated[int, Meta(ge=1)]
    """1, 2, 3, ... within (instance, boot). One that is not above the last that was read is a repeat."""
    kind: Kind = "room"
    room: str = ""
    base: Annotated[int, Meta(ge=0)]
    """The n of the partition whose results the deciding node knew. The record that it decided on may have been newer,
    never older."""
    head: Annotated[int, Meta(ge=0, le=MAX_SEQ)] = 0
    """The room's head that it decided on: facts are numbered from there, and numbered anew where they stand."""
    ts: int
    """The deciding node's clock."""
    facts: _Facts = ()
    side_records: _News = ()
    hidden: dict[int, str] = {}
    """Seqs of facts of a private room, each with the user who does not hear of it."""
    expected: dict[int, int] = {}
    """Conditions: the seq of an edit or a deletion that is decided here, and the seq of the fact that must have given
    its message the present body."""
    check: tuple[int, bytes] = (0, b"")
    """An n up to `base`, and the hash that the deciding node had there."""


#: The first byte of an array with all of the fields, of which there are less than 16.
_ARRAY: Final = 0x90 | len(Entry.__struct_fields__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode
_side_decoders: Final = {name: msgspec.msgpack.Decoder(kind).decode for name, kind in (SIDE_RECORDS | NEWS).items()}


@lru_cache(KEPT)
def partition_of(room: str) -> int:
    """The partition of a room's entries, for ever."""
    if not room:
        return SITE
    return hashlib.blake2b(room.encode(), digest_size=1).digest()[0] % PARTITIONS


@lru_cache(KEPT)
def _is_room_of(partition: int, room: str) -> bool:
    """Whether it is a room, and the partition's."""
    return is_room(room) and partition_of(room) == partition


class Forged(ValueError):
    """Nobody who knows the cluster's secret wrote these bytes for this partition."""


class TooNew(ValueError):
    """A later release wrote the entry, in a form that this one can't read."""


class Unfit(ValueError):
    """The entry was written by a node of the cluster, and is none: only a fault in gochat does that."""


class EntryCodec:
    """Writes and reads the entries of one cluster. May be used from several threads."""

    def __init__(self, cluster: str, secret: str) -> None:
        """`cluster`: the cluster's id. `secret`: what its nodes share, of any length."""
        key = hashlib.blake2b(secret.encode(), digest_size=64, person=b"gochat secret").digest()
        self._keyed = [
            hashlib.blake2b(_encode([cluster, partition]), key=key, digest_size=MAC_BYTES, person=b"gochat entry")
            for partition in range(PARTITIONS)
        ]

    def encode(self, entry: Entry, partition: int | None = None) -> bytes:
        """The entry's bytes, for the partition of its room; for the given one, where it names no room. Raises Unfit for
        an entry that nobody could read, or that the log would not take."""
        try:
            if entry.side_records:
                named = [(_NAMES[type(record)], msgspec.Raw(_encode(record))) for record in entry.side_records]
                written = msgspec.structs.replace(entry, side_records=named)
            else:
                written = entry
            signed = bytes((VERSION,)) + _encode(written)
        except (ValueError, OverflowError) as error:  # Surrogates, and numbers beyond 64 bits.
            raise Unfit(str(error)) from None
        if partition is None:
            partition = partition_of(entry.room)
        data = self._mac(partition, signed) + signed
        if len(data) > MOST_BYTES:
            raise Unfit(f"an entry of {len(data)} bytes: at most {MOST_BYTES}")
        self.decode(data, partition)
        return data

    def decode(self, data: bytes, partition: int) -> Entry:
        """Raises Forged, TooNew or Unfit, in this order."""
        signed = data[MAC_BYTES:]  # A copy, and no view: making one takes longer than some hundred bytes.
        if not signed or not compare_digest(data[:MAC_BYTES], self._mac(partition, signed)):
            raise Forged(f"an entry of partition {partition} is not signed with the cluster's secret")
        if signed[0] > VERSION:
            raise TooNew(f"an entry of partition {partition} is of version {signed[0]}, later than {VERSION}")
        news: list[AnyNews] = []
        try:
            if signed[1] != _ARRAY:
                raise ValueError("the body is no array of its fields")
            entry = _decode(signed[1:])
            if entry.side_records:
                named: Sequence[tuple[str, msgspec.Raw]] = entry.side_records  # type: ignore[assignment]
                news = [_side_decoders[name](raw) for name, raw in named]
        except (msgspec.MsgspecError, LookupError, ValueError) as error:
            raise Unfit(f"an entry of partition {partition}: {error}") from None
        _check(entry, partition)
        if not news:
            return entry
        _check_news(entry.kind, news, partition)
        return msgspec.structs.replace(entry, side_records=news)

    def _mac(self, partition: int, signed: bytes) -> bytes:
        keyed = self._keyed[partition].copy()
        keyed.update(signed)
        return keyed.digest()


def _check(entry: Entry, partition: int) -> None:
    """Raises Unfit."""
    room, seq, facts = entry.room, entry.head, entry.facts
    if entry.kind == "room":
        if not _is_room_of(partition, room):
            raise Unfit(f"{room!r} is no room of partition {partition}")
    elif room or facts or entry.hidden:
        raise Unfit("an entry about no room names one, or has facts")
    elif entry.kind == "site" and partition != SITE:
        raise Unfit(f"an entry of the site does not belong to partition {partition}")
    if seq + len(facts) > MAX_SEQ:
        raise Unfit(f"{len(facts)} facts above {seq}")
    for fact in facts:
        seq += 1
        if fact.seq != seq or fact.room != room:
            raise Unfit(f"{room}: fact {fact.seq} stands where {seq} should")
        if not 0 <= fact.ts <= _MOST_MS:
            raise Unfit(f"{room}: fact {seq} is of no time")


def _check_news(kind: Kind, news: Sequence[AnyNews], partition: int) -> None:
    """Raises Unfit."""
    for each in news:
        if not isinstance(each, _OF_KIND[kind]):
            raise Unfit(f"{_NAMES[type(each)]} in an entry of the kind {kind}")
        if isinstance(each, ReadUpTo | GotUpTo) and (not is_room(each.room) or partition_of(each.room) != partition):
            raise Unfit(f"{each.room!r} does not belong to partition {partition}")
        if isinstance(each, UserNoted | EpochIs) and partition != SITE:
            raise Unfit(f"{_NAMES[type(each)]} in partition {partition}")
