"""The entries of a cluster's log that a node keeps: how they share rows, which stay, and which the disk has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gochat.cluster.entry import partition_of
from gochat.errors import Damaged
from gochat.replication import Piece
from gochat.store.write import log_state
from tests.cluster.histories import TEA
from tests.store.write.test_replica import Follower, entry, message, placed


@pytest.mark.parametrize("together", [1, 3, 20])
def test_the_latest_entries_are_kept_as_they_were_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, together: int
) -> None:
    """Those that were read together are let go of together."""
    monkeypatch.setattr(log_state, "KEPT", 5)
    follower, partition = Follower(tmp_path / "a.db"), partition_of(TEA)
    pieces = placed([b"", *(entry(n, facts=[message(TEA, 1)]) for n in range(1, 20))])
    for begin in range(0, 20, together):
        follower.take(partition, pieces[begin : begin + together])
    for before, least in ((12, 12), (99, 15)):
        oldest = follower.committer.run(lambda c, before=before: log_state.trim(c, partition, before))  # type: ignore[misc]
        assert least - together < oldest <= least
        assert follower.read(lambda c: log_state.after(c, partition, None, 99)) == pieces[oldest - 1 :]
    for n in range(oldest, 20):
        assert follower.read(lambda c, n=n: log_state.after(c, partition, (1, n), 2)) == pieces[n : n + 2]
        assert follower.read(lambda c, n=n: log_state.term_at(c, partition, n)) == 1
    assert follower.read(
        lambda c: (log_state.term_at(c, partition, oldest - 1), log_state.term_at(c, partition, 21))
    ) == (
        None,
        None,
    )


def test_entries_share_a_row_within_their_term_and_up_to_a_size(tmp_path: Path) -> None:
    follower, partition = Follower(tmp_path / "a.db"), partition_of(TEA)
    large = b"x" * (log_state.RUN_BYTES // 3)
    pieces: list[Piece] = [
        *placed([b"", *(entry(n, facts=[message(TEA, 1)]) for n in range(1, 4))]),
        *(((2, n), b"" if n == 5 else large) for n in range(5, 10)),
        ((2, 10), 2 * log_state.RUN_BYTES * b"x"),
    ]
    follower.take(partition, pieces)
    rows = follower.read(lambda c: c.execute("SELECT id, term FROM log_entry ORDER BY id").fetchall())
    lasts = [(row_id & (1 << log_state.N_BITS) - 1, term) for row_id, term in rows]
    assert lasts == [(4, 1), (8, 2), (9, 2), (10, 2)]
    assert follower.read(lambda c: log_state.after(c, partition, None, 99)) == pieces
    assert [follower.read(lambda c, n=n: log_state.term_at(c, partition, n)) for n in (4, 5, 9)] == [1, 2, 2]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data", "x'00'"),
        ("data", "'text'"),
        ("sizes", "x'5b312c322c335d'"),
        ("sizes", "'[1,2,3]'"),
        ("sizes", "NULL"),
        ("crc", "NULL"),
        ("term", "7"),
        ("term", "'text'"),
    ],
)
def test_a_row_that_the_disk_has_changed_is_not_told(tmp_path: Path, column: str, value: str) -> None:
    follower, partition = Follower(tmp_path / "a.db"), partition_of(TEA)
    pieces = placed([b"", *(entry(n, facts=[message(TEA, 1)]) for n in range(1, 6))])
    follower.take(partition, pieces[:3])
    follower.take(partition, pieces[3:])
    follower.committer.run(lambda c: c.execute(f"UPDATE log_entry SET {column} = {value} WHERE id & 7 = 6").close())
    follower.committer.run(lambda c: log_state.trim(c, partition, 3))
    assert follower.read(lambda c: log_state.after(c, partition, None, 99)) == pieces[:3]
    with pytest.raises(Damaged, match="entry 6 "):
        follower.read(lambda c: log_state.after(c, partition, (1, 3), 99))
    assert follower.read(lambda c: log_state.term_at(c, partition, 2)) == 1
    with pytest.raises(Damaged, match="entry 6 "):
        follower.read(lambda c: log_state.term_at(c, partition, 4))
