"""The bytes of entries, pinned: nodes of two releases read one log. Extend them, never alter them.

`python -m tests.cluster.test_entry` writes the files anew, for samples that were added, and that of a new version.
"""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gochat.cluster import entry as entries
from gochat.cluster.entry import NEWS, SIDE_RECORDS, EntryCodec, Forged, Kind, TooNew, Unfit, partition_of
from gochat.cluster.ports import PARTITIONS
from gochat.domain import facts
from gochat.domain.facts import AnyFact, Hidden, RecordedFact
from gochat.domain.side_records import AnySideRecord
from gochat.replication import AnyNews
from tests.cluster.samples import CODEC, DM, ELSEWHERE, ENTRIES, TEA, entry, fields

GOLDEN = Path(__file__).parent / "golden"
ROOMS = (TEA, DM, "dm:ann:ann", "group:coffee", "dm:bob:cat", "group:a", "group:b", "")
ENTRY_FILE, ROOM_FILE = GOLDEN / "entries.tsv", GOLDEN / "partitions.tsv"


def entry_lines() -> str:
    lines = [f"{name}\t{CODEC.encode(sample).hex()}\n" for name, sample in ENTRIES.items()]
    lines += [f"{name}\t{CODEC.encode(sample, partition).hex()}\n" for name, (partition, sample) in ELSEWHERE.items()]
    return "".join(lines)


def room_lines() -> str:
    return "".join(f"{room}\t{partition_of(room)}\n" for room in ROOMS)


def version_lines() -> str:
    """The fields of an entry, then all kinds of facts and records that it may have, each with its fields."""
    known: dict[str, Any] = {
        "entry": {name: _type(kind) for name, kind in typing.get_type_hints(entries.Entry).items()}
    }
    for kind in typing.get_args(RecordedFact):
        known[f"fact {kind.__struct_config__.tag}"] = _shape(kind)
    for name, kind in (SIDE_RECORDS | NEWS).items():
        known[f"record {name}"] = _shape(kind)
    return "".join(f"{name}\t{json.dumps(fields)}\n" for name, fields in known.items())


def _type(kind: Any) -> str:
    """A field's, as the files name it."""
    names = {Kind: "Kind", list[RecordedFact]: "list[RecordedFact]"}
    return names.get(kind) or (kind.__name__ if kind in (str, int) else repr(kind))


def _shape(kind: type[Any]) -> Any:
    """The JSON Schema of the fields, without what classes are called and what is said of them: that may change."""
    schema = msgspec.json.schema(kind)

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return plain(schema["$defs"][value["$ref"].rpartition("/")[2]])
        words = [name for name in ("title", "description") if isinstance(value.get(name), str)]
        return {name: plain(each) for name, each in value.items() if name not in ("$defs", "discriminator", *words)}

    return plain(schema)


def test_no_kind_and_no_field_changes_within_a_version() -> None:
    """Nodes of two releases may read one log, and have to make the same of it. So raise VERSION with every change, and
    write the file of the new one; those of older versions stay."""
    assert version_file().read_text(encoding="utf-8") == version_lines()
    assert len(list(GOLDEN.glob("version*.tsv"))) == entries.VERSION


def version_file() -> Path:
    return GOLDEN / f"version{entries.VERSION}.tsv"


def test_every_entry_has_its_bytes() -> None:
    assert ENTRY_FILE.read_text(encoding="utf-8") == entry_lines()


def test_every_room_has_its_partition() -> None:
    assert ROOM_FILE.read_text(encoding="utf-8") == room_lines()
    assert {partition_of(f"group:{n}") for n in range(500)} == set(range(PARTITIONS))


@pytest.mark.parametrize(
    "line", ENTRY_FILE.read_text(encoding="utf-8").splitlines(), ids=lambda line: line.partition(chr(9))[0]
)
def test_what_was_written_is_read(line: str) -> None:
    name, data = line.split("\t")
    partition, sample = ELSEWHERE.get(name) or (partition_of(ENTRIES[name].room), ENTRIES[name])
    assert CODEC.decode(bytes.fromhex(data), partition) == sample


def test_there_is_a_sample_of_all_that_is_recorded() -> None:
    sampled = {type(fact) for sample in ENTRIES.values() for fact in sample.facts}
    assert sampled == set(typing.get_args(AnyFact)) - {Hidden} == set(typing.get_args(RecordedFact))
    samples = [*ENTRIES.values(), *(sample for _, sample in ELSEWHERE.values())]
    sampled = {type(record) for sample in samples for record in sample.side_records}
    assert sampled == set(typing.get_args(AnyNews)) == {*SIDE_RECORDS.values(), *NEWS.values()}
    assert set(typing.get_args(AnySideRecord)) == set(SIDE_RECORDS.values())


# ---------------------------------------------------------------------------------------------- forged


def test_any_flipped_bit_is_found() -> None:
    data = CODEC.encode(ENTRIES["message"])
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << place % 8
        with pytest.raises(Forged):
            CODEC.decode(bytes(broken), partition_of(TEA))


@pytest.mark.parametrize("data", [b"x", b"x" * 16, b"x" * 17, b"\0" * 1000])
def test_bytes_of_strangers_are_no_entry(data: bytes) -> None:
    with pytest.raises(Forged):
        CODEC.decode(data, 0)


def test_an_entry_counts_in_its_own_cluster_and_partition_alone() -> None:
    data, partition = CODEC.encode(ENTRIES["message"]), partition_of(TEA)
    for other in range(PARTITIONS):
        if other != partition:
            with pytest.raises(Forged):
                CODEC.decode(data, other)
    for codec in (EntryCodec("another", "a secret of the cluster's nodes"), EntryCodec("k3NcDmXUS5mR", "a guess")):
        with pytest.raises(Forged):
            codec.decode(data, partition)


# ---------------------------------------------------------------------------------------------- signed, and no entry


def signed(body: bytes, partition: int, version: int = entries.VERSION) -> bytes:
    """Bytes that a node of the cluster wrote, whatever they are."""
    data = bytes((version,)) + body
    return CODEC._mac(partition, data) + data


def test_a_later_version_is_not_guessed_at() -> None:
    with pytest.raises(TooNew, match="version 2"):
        CODEC.decode(signed(b"anything", 3, version=2), 3)
    with pytest.raises(Forged):
        CODEC.decode(b"\0" * 16 + b"\x02anything", 3)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", b"\x80", msgspec.msgpack.encode([1] * 13)])
def test_signed_nonsense_is_unfit(body: bytes) -> None:
    with pytest.raises(Unfit):
        CODEC.decode(signed(body, 3), 3)


@pytest.mark.parametrize("count", [8, 12, 14])
def test_an_entry_has_all_of_its_fields_and_no_others(count: int) -> None:
    data = CODEC.encode(ENTRIES["message"])
    values = [*msgspec.msgpack.decode(data[entries.MAC_BYTES + 1 :]), "x"]
    with pytest.raises(Unfit):
        CODEC.decode(signed(msgspec.msgpack.encode(values[:count]), partition_of(TEA)), partition_of(TEA))
    assert CODEC.decode(signed(msgspec.msgpack.encode(values[:13]), partition_of(TEA)), partition_of(TEA))


MESSAGE = facts.Message(**fields(TEA, 7), body="x")


@pytest.mark.parametrize(
    "changed",
    [
        {"room": "tea"},
        {"room": "dm:bob:ann"},
        {"room": ""},
        {"counter": 0},
        {"base": -1},
        {"head": -1, "facts": []},
        {"head": 5, "facts": [MESSAGE]},
        {"room": DM, "facts": [MESSAGE]},
        {"head": 2**34 - 1, "facts": []},
        {"facts": [facts.Message(**fields(TEA, 8), body="x")]},
        {"facts": [MESSAGE, MESSAGE]},
        {"facts": [facts.Message(**fields(TEA, 7), body="\ud800")]},
        {"ts": 1 << 64},
        {"kind": "site"},
        {"kind": "site", "room": "", "facts": [MESSAGE]},
        {"kind": "site", "room": "", "hidden": {1: "ann"}},
        {"side_records": [ENTRIES["group"].side_records[0]] * (entries.MOST_SIDE_RECORDS + 1)},
        {"facts": [facts.Message(**{**fields(TEA, 7), "ts": -1}, body="x")]},
        {"side_records": ENTRIES["nodes"].side_records},
        {"kind": "site", "room": "", "side_records": ENTRIES["notes"].side_records},
        {"kind": "notes", "room": "", "side_records": ENTRIES["nodes"].side_records},
        {"kind": "notes", "room": "", "side_records": ELSEWHERE["reads"][1].side_records},
        {"kind": "nodes", "room": "", "side_records": ENTRIES["notes"].side_records},
    ],
    ids=str,
)
def test_what_nobody_could_read_is_not_sent(changed: dict[str, object]) -> None:
    if changed.get("head") == 2**34 - 1:
        changed = {**changed, "facts": [facts.Message(**fields(TEA, 2**34), body="x")]}
    with pytest.raises(Unfit):
        CODEC.encode(entry(**changed))


@pytest.mark.parametrize("name", ["notes", "nodes"])
def test_what_concerns_users_or_the_epoch_stands_in_one_partition(name: str) -> None:
    with pytest.raises(Unfit):
        CODEC.encode(ENTRIES[name], 3)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    ENTRY_FILE.write_text(entry_lines(), encoding="utf-8")
    ROOM_FILE.write_text(room_lines(), encoding="utf-8")
    if not version_file().exists():
        version_file().write_text(version_lines(), encoding="utf-8")
