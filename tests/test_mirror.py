"""Each module has its test: the one at its place in tests/, or one that is named here since it covers more than one."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
MIRRORED = ("domain", "protocol", "actors", "session", "store", "cluster")

#: Test files that cover modules other than the one at their place, each with those modules.
COVERS: dict[str, tuple[str, ...]] = {
    "tests/domain/test_turn.py": (
        "domain/commands",
        "domain/draft",
        "domain/facts",
        "domain/group_turn",
        "domain/record",
    ),
    "tests/domain/test_relationship.py": ("domain/side_records",),
    "tests/domain/test_links.py": ("domain/hosts", "domain/sites"),
    "tests/domain/test_words.py": ("domain/confusables", "domain/patterns", "domain/readings"),
    "tests/notify/test_due.py": ("domain/notices",),
    "tests/protocol/test_golden.py": ("protocol/codec", "protocol/entries", "protocol/replies", "protocol/requests"),
    "tests/protocol/test_catalogue.py": ("protocol/conversation",),
    "tests/protocol/test_websocket_frames.py": ("protocol/websocket",),
    "tests/actors/test_live.py": (
        "actors/fact_batch",
        "actors/messages",
        "actors/prefetched",
        "actors/subscriber",
        "session/listener",
    ),
    "tests/actors/test_foreign_events.py": ("actors/backlog",),
    "tests/cluster/test_contracts.py": (
        "cluster/ports",
        "cluster/redis_bulletin",
        "cluster/redis_log",
        "cluster/scripts",
    ),
    "tests/cluster/test_answers.py": ("cluster/counts",),
    "tests/cluster/test_clustering.py": ("cluster/secret",),
    "tests/cluster/test_strange_entries.py": ("cluster/forks",),
    "tests/cluster/test_far_behind.py": ("cluster/obstacles",),
    "tests/cluster/test_halting.py": ("cluster/cut_off", "cluster/teller"),
    "tests/cluster/test_up.py": ("cluster/shared",),
    "tests/cluster/test_journal.py": (
        "cluster/certifier",
        "cluster/inbox",
        "cluster/membership",
        "cluster/noting",
        "cluster/own",
        "cluster/sender",
        "store/replica_store",
    ),
    "tests/cluster/test_broadcast.py": ("cluster/pending",),
    "tests/cluster/test_memory.py": ("cluster/faults", "cluster/memory_server"),
    "tests/cluster/test_never_counted.py": ("cluster/awaited",),
    "tests/cluster/test_nodes.py": ("cluster/registry",),
    "tests/cluster/test_waiting.py": ("cluster/trimming",),
    "tests/cluster/test_redis.py": ("cluster/link", "cluster/link_thread"),
    "tests/e2e/test_relations.py": ("actors/relations",),
    "tests/actors/test_room.py": (
        "actors/attempt",
        "actors/decisions",
        "actors/events",
        "actors/room_context",
        "actors/telling",
        "actors/typing_events",
    ),
    "tests/e2e/test_devices.py": ("session/devices",),
    "tests/e2e/test_deadlines.py": ("session/deadlines",),
    "tests/e2e/test_conversation.py": ("session/session", "session/gateway", "session/refusals"),
    "tests/e2e/test_moderation.py": ("session/moderation", "session/administration", "store/read/moderation"),
    "tests/e2e/test_notifications.py": ("session/notifications",),
    "tests/e2e/test_overview.py": ("session/overview", "store/read/overview"),
    "tests/e2e/test_sessions.py": ("session/sign_in", "session/queries"),
    "tests/session/test_resume.py": ("session/replay",),
    "tests/session/test_positions_law.py": ("session/positions",),
    "tests/store/test_contracts.py": (
        "store/read/archive",
        "store/read/contacts",
        "store/read/entries",
        "store/read/groups",
        "store/read/names",
        "store/read/welcome",
        "store/read/lookups",
        "store/read/pages",
        "store/read/people",
        "store/read/receipts",
        "store/read/rules",
        "store/search/search",
        "store/store",
        "store/write/journal",
    ),
    "tests/store/write/test_replica.py": ("store/write/in_doubt",),
    "tests/store/test_notices.py": ("store/read/notices", "store/write/notices"),
    "tests/store/test_histories.py": (
        "domain/foreign",
        "store/rows",
        "store/write/logs",
        "store/write/notes",
        "store/write/transaction",
    ),
    "tests/store/test_schema.py": ("store/migrations", "store/setup"),
    "tests/store/read/test_damage.py": ("store/health", "store/thread"),
    "tests/store/read/test_derived.py": ("store/listing", "store/mentions", "store/read/recent"),
    "tests/store/read/test_readers.py": ("store/read/separate",),
    "tests/store/read/test_cost.py": ("store/bulk",),
    "tests/store/search/test_tokenizer.py": ("store/search/cut_first", "store/search/index"),
    "tests/store/search/test_reindex.py": ("store/write/index_feeder",),
    "tests/store/search/test_searches.py": ("store/search/rare_terms",),
    "tests/store/search/test_user_search.py": ("store/search/fuzzy",),
    "tests/store/portable/test_portable.py": (
        "store/portable/file_schema",
        "store/portable/membership_history",
        "store/portable/import_room",
        "store/portable/export_room",
        "store/read/source",
    ),
    "tests/store/portable/test_user_data.py": ("store/portable/delete_user", "store/portable/user_out"),
    "tests/durability/test_restore.py": ("store/portable/backup", "store/portable/restore"),
    "tests/e2e/test_sight.py": ("store/read/sight",),
    "tests/store/write/test_faults.py": ("store/write/committer", "store/write/side_records"),
    "tests/store/write/test_retention.py": ("store/write/expiry",),
}
COVERED = [module for modules in COVERS.values() for module in modules]


def modules() -> list[str]:
    package = ROOT / "gochat"
    paths = (path for part in MIRRORED for path in (package / part).rglob("*.py") if path.name != "__init__.py")
    return sorted(str(path.relative_to(package).with_suffix("")) for path in paths)


def mirror(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}.py"


def test_each_module_has_a_test_of_its_own_or_is_named() -> None:
    assert len(modules()) > 100
    assert [module for module in modules() if not mirror(module).exists() and module not in COVERED] == []


def test_nothing_is_named_twice_or_without_need() -> None:
    assert len(COVERED) == len(set(COVERED))
    assert [module for module in COVERED if mirror(module).exists()] == []
    assert sorted(set(COVERED) - set(modules())) == []


def test_what_is_named_is_there() -> None:
    assert [name for name in COVERS if not (ROOT / name).is_file()] == []
