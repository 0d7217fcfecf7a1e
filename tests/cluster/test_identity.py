"""The names of a node stand beside its database, whole or not at all."""

from __future__ import annotations

import os
import shutil
from binascii import crc_hqx
from collections import Counter
from pathlib import Path

import pytest

from gochat.cluster import identity
from gochat.errors import StoreError
from gochat.store import folder

WHOLE = b"0123456789abcdef\n0123456789abcdef\nchat\n"


@pytest.mark.parametrize("joined", [True, False])
def test_a_folder_is_one_instance_for_life(tmp_path: Path, *, joined: bool) -> None:
    assert identity.read(tmp_path) is None
    made = identity.write(tmp_path, identity.new_cluster_id(), "chat", joined=joined)
    assert made.joined is joined
    assert identity.read(tmp_path) == made
    assert folder.cluster(tmp_path) == made.cluster


def test_the_secret_is_not_told() -> None:
    node = identity.Identity(cluster="c", secret="hunter2", instance="i", boot=identity.new_id())
    assert "hunter2" not in repr(node)


def test_a_folder_that_joins_again_is_another_instance(tmp_path: Path) -> None:
    cluster = identity.new_cluster_id()
    one, other = (identity.write(tmp_path, cluster, "chat", joined=True) for _ in range(2))
    assert one.instance != other.instance


def test_no_copy_of_the_database_takes_the_names_along(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    identity.write(tmp_path / "a", identity.new_cluster_id(), "chat", joined=True)
    (tmp_path / "a" / "gochat.db").touch()
    for file in (tmp_path / "a").glob("gochat.db*"):
        shutil.copy(file, tmp_path / "b")
    assert identity.read(tmp_path / "b") is None


def test_the_folder_is_synced_too_and_only_its_owner_reads_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    identity.write(tmp_path, identity.new_cluster_id(), "chat", joined=False)
    assert synced == [str(tmp_path / ".gochat.cluster.part"), str(tmp_path)]
    assert (tmp_path / identity.FILE_NAME).stat().st_mode & 0o777 == 0o600
    identity.remove(tmp_path)
    assert synced[2:] == [str(tmp_path)]
    assert identity.read(tmp_path) is None


@pytest.mark.parametrize(
    "content", [b"", b"c1\n", b"0123456789abcdef\n0123\nchat\n", b"0123456789abcdef\n", b"\xff", WHOLE + b"more\n"]
)
def test_a_damaged_file_is_no_folder_without_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / identity.FILE_NAME).write_bytes(content)
    with pytest.raises(StoreError, match=r"gochat\.cluster (is damaged|can't be read)"):
        identity.read(tmp_path)


def test_partitions_are_spread_over_the_primaries_of_a_redis_cluster() -> None:
    for _ in range(3):
        tag = identity.new_cluster_id()
        slots = [crc_hqx(f"{tag}.{partition}".encode(), 0) % 16_384 for partition in range(16)]
        for primaries, most in ((2, 8), (3, 6), (6, 3)):
            each = Counter(slot * primaries // 16_384 for slot in slots)
            assert max(each.values()) <= most


def test_the_slot_of_a_key_is_the_one_that_redis_computes() -> None:
    """By CLUSTER KEYSLOT of Redis 7.0: foo is in slot 12182, and 123456789 in 12739."""
    assert (identity.slot_of("foo"), identity.slot_of("123456789")) == (12_182, 12_739)
