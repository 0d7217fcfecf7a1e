"""How far a database follows a cluster's log: by partition the last entry, the producers that were heard, the nodes.

Runs in the writing thread, on its connection. Changes of rooms are `replica.py`'s.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from zlib import crc32

import msgspec

from gochat.errors import Damaged
from gochat.replication import Answer, NodeIs, Piece, Place
from gochat.store.bulk import BulkInsert
from gochat.store.rows import Row
from gochat.store.write.write_buffer import wiping

#: Bits of the row id of an entry that hold its n; the partition stands above.
N_BITS: Final = 44
_N_MASK: Final = (1 << N_BITS) - 1
#: The latest entries of a partition that are kept whatever other nodes have: what a server lost is put back from them.
KEPT: Final = 10_000
#: The counters of a producer that said nothing for so many entries are dropped (cluster/certify.py, HORIZON).
HORIZON: Final = 100_000

#: The most bytes of entries in one row, unless one has more: one that the disk has changed takes its row with it.
RUN_BYTES: Final = 1 << 16

_ENTRIES = BulkInsert("INSERT INTO log_entry (id, term, data, crc, sizes)", 5)
_POSITIONS = BulkInsert("INSERT OR REPLACE INTO log_position", 6)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, tuple[int, int]]).decode
_decode_sizes = msgspec.json.Decoder(list[int]).decode


class PartitionState(msgspec.Struct):
    """One partition, after the last entry that is applied."""

    term: int = 0
    n: int = 0
    hash: bytes = b""
    rooms: int = 0
    """How many rooms were created in it."""
    producers: dict[str, tuple[int, int]] = {}
    """Of each instance and boot the greatest counter, and where it was read."""
    nodes: dict[str, str] = {}
    """The state of each node; see replication.NodeIs."""

    def copy(self) -> PartitionState:
        """Shares nothing that changes."""
        return msgspec.structs.replace(self, producers=dict(self.producers), nodes=dict(self.nodes))

    def heard(self, instance: str, boot: str, counter: int) -> None:
        """The entry at `n` is the producer's."""
        self.producers[f"{instance} {boot}"] = (counter, self.n)

    def counter(self, instance: str, boot: str) -> int:
        return self.producers.get(f"{instance} {boot}", (0, 0))[0]


def load(connection: sqlite3.Connection) -> dict[int, PartitionState]:
    """The partitions that have entries."""
    found = {}
    for partition, term, n, hash_, rooms, producers in connection.execute(
        "SELECT partition, term, n, hash, rooms, producers FROM log_position"
    ):
        found[partition] = PartitionState(term, n, hash_, rooms, _decode(producers))
    for partition, instance, state in connection.execute("SELECT partition, instance, state FROM log_node"):
        found.setdefault(partition, PartitionState()).nodes[instance] = state
    return found


def save(connection: sqlite3.Connection, states: Mapping[int, PartitionState]) -> None:
    """Keep where these partitions are now; their nodes are kept by `save_node`."""
    rows: list[Row] = []
    for partition, state in states.items():
        heard = {name: (counter, n) for name, (counter, n) in state.producers.items() if n > state.n - HORIZON}
        state.producers = heard
        rows.append((partition, state.term, state.n, state.hash, state.rooms, _encode(heard).decode()))
    _POSITIONS.run(connection, rows)


def save_node(connection: sqlite3.Connection, partition: int, node: NodeIs) -> None:
    connection.execute("INSERT OR REPLACE INTO log_node VALUES (?, ?, ?)", (partition, node.instance, node.state))


def save_epoch(connection: sqlite3.Connection, epoch: str) -> None:
    connection.execute("INSERT OR REPLACE INTO log_epoch VALUES (1, ?)", (epoch,))


def epoch(connection: sqlite3.Connection) -> str | None:
    """The cluster's; None until the log has told it."""
    row = connection.execute("SELECT epoch FROM log_epoch").fetchone()
    return None if row is None else str(row[0])


def answers(connection: sqlite3.Connection) -> dict[int, Answer]:
    """See ReplicaStore.keep_answers."""
    rows = connection.execute("SELECT partition, server, ballot FROM log_answer")
    return {partition: Answer(server, ballot) for partition, server, ballot in rows}


def save_answers(connection: sqlite3.Connection, given: Mapping[int, Answer]) -> None:
    connection.execute("DELETE FROM log_answer")
    rows = [(partition, *answer) for partition, answer in given.items()]
    connection.executemany("INSERT INTO log_answer VALUES (?, ?, ?)", rows)


def save_entries(connection: sqlite3.Connection, news: Mapping[int, Sequence[Piece]]) -> None:
    _ENTRIES.run(connection, [row for partition, pieces in news.items() if pieces for row in _rows(partition, pieces)])


def _rows(partition: int, pieces: Sequence[Piece]) -> Iterator[Row]:
    """The rows that keep these entries."""
    for run in _runs(pieces):
        (term, n), data = run[-1]
        row_id, sizes = partition << N_BITS | n, None
        if len(run) > 1:
            entries = [entry for _, entry in run]
            data, sizes = b"".join(entries), _encode(list(map(len, entries)))
        yield (row_id, term, data, _sum(row_id, term, data, sizes), sizes)


def _runs(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """The entries in runs of one term and RUN_BYTES each, at most."""
    if pieces[0][0][0] == pieces[-1][0][0] and sum([len(entry) for _, entry in pieces]) <= RUN_BYTES:
        yield pieces  # Nearly always.
        return
    begin, size = 0, 0
    for end, ((term, _), entry) in enumerate(pieces):
        if end > begin and (term != pieces[begin][0][0] or size + len(entry) > RUN_BYTES):
            yield pieces[begin:end]
            begin, size = end, 0
        size += len(entry)
    yield pieces[begin:]


def _sum(row_id: int, term: int, data: bytes, sizes: bytes | None) -> int:
    """Tells entries that the disk has changed. A signature would not: what somebody else wrote into the log has none,
    and is kept and put back all the same, since no n may be missing."""
    found = crc32(data, (row_id ^ term) & 0xFFFF_FFFF)
    return found if sizes is None else crc32(sizes, found)


def after(connection: sqlite3.Connection, partition: int, place: Place | None, limit: int) -> list[Piece]:
    """See ReplicaStore. Those before a row that was damaged; Damaged where that is the first."""
    base, least = partition << N_BITS, 0 if place is None else place[1]
    rows = connection.execute(
        "SELECT id, term, data, crc, sizes FROM log_entry WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (base | least, base | _N_MASK, limit),
    )
    found: list[Piece] = []
    for row in rows:
        try:
            last, term, data, sizes = _checked(row)
        except Damaged:
            if not found:
                raise
            break
        found += [((term, n), entry) for n, entry in _entries(last, data, sizes) if n > least]
        if len(found) >= limit:
            break
    return found[:limit]


def _checked(row: Row) -> tuple[int, int, bytes, bytes | None]:
    """The n of the row's last entry, their term, data and sizes. Raises Damaged."""
    row_id, term, data, crc, sizes = row
    # A value may be of another type by now. An earlier release wrote rows without a sum, of one entry each.
    fits = isinstance(term, int) and isinstance(data, bytes) and isinstance(sizes, bytes | None)
    if not fits or (crc != _sum(row_id, term, data, sizes) and (crc, sizes) != (None, None)):
        raise Damaged(f"entry {row_id & _N_MASK} of the log's partition {row_id >> N_BITS}")
    return row_id & _N_MASK, term, data, sizes


def _entries(last: int, data: bytes, sizes: bytes | None) -> Iterator[tuple[int, bytes]]:
    """The entries of a row, each with its n."""
    if sizes is None:
        yield last, data
        return
    lengths, begin = _decode_sizes(sizes), 0
    for n, length in enumerate(lengths, last - len(lengths) + 1):
        yield n, data[begin : begin + length]
        begin += length


def term_at(connection: sqlite3.Connection, partition: int, n: int) -> int | None:
    """See ReplicaStore."""
    base = partition << N_BITS
    row = connection.execute(
        "SELECT id, term, data, crc, sizes FROM log_entry WHERE id >= ? AND id <= ? ORDER BY id LIMIT 1",
        (base | n, base | _N_MASK),
    ).fetchone()
    if row is None:
        return None
    last, term, _, sizes = _checked(row)
    return None if n <= last - _count(sizes) else term


def _count(sizes: bytes | None) -> int:
    """How many entries a row has."""
    return 1 + sizes.count(b",") if isinstance(sizes, bytes) else 1


def trim(connection: sqlite3.Connection, partition: int, before: int) -> int:
    """See ReplicaStore; a row that has one of those that stay does, too. Texts that were deleted since are among them:
    no copy may stay in free pages."""
    row = connection.execute("SELECT n FROM log_position WHERE partition = ?", (partition,)).fetchone()
    upto = min(before, (row[0] if row else 0) - KEPT)
    base = partition << N_BITS
    if upto > 0:
        with wiping(connection):
            connection.execute("DELETE FROM log_entry WHERE id >= ? AND id < ?", (base, base | upto))
    row = connection.execute(
        "SELECT id, sizes FROM log_entry WHERE id >= ? AND id <= ? ORDER BY id LIMIT 1", (base, base | _N_MASK)
    ).fetchone()
    return 0 if row is None else (row[0] & _N_MASK) - _count(row[1]) + 1
