"""Searches by one who is in many rooms, among many users: right, whichever way something is found, and fast."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from gochat import store as stores
from gochat.domain import facts
from gochat.store import schema, setup
from gochat.store.rows import WRITTEN, written
from gochat.store.schema import SEQ_BITS
from gochat.store.search import index, rare_terms, search
from gochat.store.search.searches import Budget
from gochat.store.search.tokenizer import CUTTER

ANN = "ann"
FIRST_NAMES = [
    "Anna",
    "Bob",
    "Carla",
    "Elena",
    "Hugo",
    "Karim",
    "Lena",
    "Maria",
    "Olga",
    "Sven",
    "Иван",
    "Мария",
    "김민준",
]


class Said(NamedTuple):
    ts: int
    row_id: int
    words: list[str]


def words_of(dice: random.Random, count: int) -> list[str]:
    """Made up words, of which few are frequent, as in any language."""

    def syllables() -> str:
        return "".join(dice.choice("bdfgklmnprst") + dice.choice("aeiou") for _ in range(dice.randint(1, 4)))

    words = sorted({syllables() for _ in range(count)})
    dice.shuffle(words)
    return words


def said(dice: random.Random, words: list[str], messages: int, groups: int, dms: int, others: int) -> Iterator[Said]:
    """The messages in ann's groups and private rooms, and as many in those of others."""
    rooms = groups + dms + others
    sizes = list(accumulate(1 / (1 + n % (groups + dms)) ** 0.7 for n in range(rooms)))
    common = list(accumulate(1 / (n + 3) for n in range(len(words))))
    heads = [0] * rooms
    for n in range(messages):
        (room,) = dice.choices(range(rooms), cum_weights=sizes)
        heads[room] += 1
        body = dice.choices(words, cum_weights=common, k=dice.randint(2, 8))
        body += ["everywhere"] * (n % 50 != 0) + ["needle"] * (n % 997 == 3) + ["corner"] * (room == 7)
        body += (
            ["elsewhere"] * (room >= groups + dms)
            + ["北京大学见面"[n % 4 :]] * (n % 5 == 0)
            + ["大北京"] * (n % 77 == 0)
        )
        yield Said(1000 + n // 3, (room + 1) << SEQ_BITS | heads[room], body)


def fill(path: Path, all_said: Iterator[Said], groups: int, dms: int) -> None:
    """Through the schema, as so many appends would have; ann has left the third group, and came late to the second."""
    heads: dict[int, Said] = {}

    def name(room: int) -> str:
        return f"group:g{room}" if room <= groups or room > groups + dms else f"dm:ann:p{room:06}"

    with contextlib.closing(schema.connect(str(path))) as connection:
        setup.migrate(connection, str(path))
        connection.execute("PRAGMA synchronous = OFF")
        marks = ", ".join("?" * len(WRITTEN.split(",")))
        while slice_ := [said for _, said in zip(range(2000), all_said, strict=False)]:
            connection.execute("BEGIN")
            rows = []
            for one in slice_:
                room_pk, seq = one.row_id >> SEQ_BITS, one.row_id & schema.SEQ_MASK
                heads[room_pk] = one
                body = " ".join(one.words)
                message = facts.Message(room=name(room_pk), seq=seq, ts=one.ts, sender="bob", body=body)
                rows.append(written(room_pk << SEQ_BITS, message, seq))
            connection.executemany(f"INSERT INTO fact ({WRITTEN}) VALUES ({marks})", rows)
            index.put(connection, [(row[0], row[4]) for row in rows])
            connection.execute("COMMIT")
        for room_pk, last in heads.items():
            seq = last.row_id & schema.SEQ_MASK
            connection.execute(
                "INSERT INTO room (num, id, head, ts, messages, last, indexed, history)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (room_pk, name(room_pk), seq, last.ts, seq, seq, seq, "since_join" if room_pk == 2 else "all"),
            )
            if room_pk <= groups + dms:
                role = "former" if room_pk == 3 else "member" if room_pk <= groups else "dm"
                connection.execute(
                    "INSERT INTO seat (user, num, role, since_seq, since_ts, read) VALUES (?, ?, ?, ?, 1, 0)",
                    (ANN, room_pk, role, 5 if room_pk == 2 else 1),
                )


def fill_users(path: Path, dice: random.Random, words: list[str], count: int) -> list[tuple[str, str]]:
    users = []
    for n in range(count):
        user = f"user{n:06}" if n % 2 else f"{dice.choice(words)}.{dice.choice(words)}{n}"
        name = f"{dice.choice(FIRST_NAMES)} {(dice.choice(words) + dice.choice(words)).title()}"
        users.append((user, name if n % 20 else "".join(chr(dice.randrange(0x4E00, 0x5600)) for _ in range(4))))
    with contextlib.closing(schema.connect(str(path))) as connection:
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO user (id, name) VALUES (?, ?)", users)
        for user, name in users:
            connection.executemany(
                "INSERT INTO user_word VALUES (?, ?)", ((w, user) for w in CUTTER.name_words(user, name))
            )
        connection.execute("COMMIT")
    return users


@pytest.mark.parametrize("way", ["looking into rooms", "locating what is rare", "locating all"])
def test_what_is_found_does_not_depend_on_the_way(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(3)
    words = words_of(dice, 300)
    everything = list(said(dice, words, 3000, 40, 50, 30))
    fill(tmp_path / "gochat.db", iter(everything), 40, 50)
    monkeypatch.setattr(search, "FEW_BLOCKS", 1_000_000 if way == "looking into rooms" else 50)
    for most in ("MOST_ROWS", "MOST_ROWS_OF_TWO"):
        monkeypatch.setattr(rare_terms, most, 1_000_000 if way == "locating all" else 0)
    mine = [
        one
        for one in everything
        if (room_pk := one.row_id >> SEQ_BITS) <= 90
        and room_pk != 3
        and (room_pk != 2 or one.row_id & schema.SEQ_MASK >= 5)
    ]
    mine.sort(key=lambda one: (-one.ts, -one.row_id))

    def holds(one: Said, q: str) -> bool:
        return all(
            any(part in word if not part.isascii() else word.startswith(part) for word in one.words)
            for part in q.split()
        )

    async def main() -> None:
        async with stores.open(tmp_path / "gochat.db") as store:
            for q in (
                "everywhere", "e", "every", "elsewhere", "corner", "needle", "needle everywhere", "absent", "北京",
                "京大学", "大北京", "京", "北京 needle", "absent everywhere", "corner needle", words[0], words[50][:3],
                f"{words[0]} {words[1]}", f"{words[0]} {words[2]} everywhere 北京大", words[200],
            ):  # fmt: skip
                expected = [(one.ts, one.row_id & schema.SEQ_MASK) for one in mine if holds(one, q)]
                for limit in (200, 23):
                    found: list[tuple[int, int]] = []
                    cursor = None
                    while True:
                        page, cursor = await store.archive.search_messages(ANN, q, None, limit, cursor)
                        found += [(fact.ts, fact.seq) for fact in page]
                        if cursor is None or len(found) > 700:
                            break
                        assert len(page) == limit
                    assert found == expected[: len(found)], q
                    assert len(found) == len(expected) or len(found) > 700, q

    trio.run(main)


def test_what_is_edited_or_deleted_is_in_neither_index(tmp_path: Path) -> None:
    fill(tmp_path / "gochat.db", iter([Said(1, 1 << SEQ_BITS | 1, ["needle", "北京"])]), 1, 0)
    with contextlib.closing(schema.connect(str(tmp_path / "gochat.db"))) as connection:

        def found(q: str) -> tuple[int, int]:
            located = rare_terms.rare_terms(connection, index.NEW, CUTTER.asked(q), None)
            assert located is not None
            return len(located), len(search.messages(connection, ANN, q, None, 5, None, Budget())[0])

        assert found("needle") == found("北京") == found("needle 京") == (1, 1)
        index.change(connection, 1, 1, "thread")
        connection.execute("UPDATE fact SET body = 'thread'")
        assert found("needle") == found("北京") == (0, 0)
        assert found("thread") == (1, 1)
        index.change(connection, 1, 1, None)
        assert found("thread") == (0, 0)


@pytest.mark.long
def test_a_search_is_fast_among_a_million_messages_and_100_000_users(tmp_path: Path) -> None:
    dice = random.Random(7)
    path, words = tmp_path / "gochat.db", words_of(dice, 40_000)
    sample = dice.choices(words, cum_weights=list(accumulate(1 / (n + 3) for n in range(len(words)))), k=200)
    fill(path, said(dice, words, 1_000_000, 200, 300, 1500), 200, 300)
    users = fill_users(path, dice, words, 100_000)

    def mistyped(word: str) -> str:
        at, letter = dice.randrange(len(word)), dice.choice("aeionrst")
        return dice.choice(
            [word[:at] + word[at + 1 :], word[:at] + letter + word[at:], word[:at] + letter + word[at + 1 :]]
        )

    asked = [
        "everywhere",
        "every",
        "e",
        "elsewhere",
        "needle",
        "absent",
        "corner",
        "北京",
        "大北京",
        "见面",
        "everywhere needle",
        *sample,
        *(f"{one} {two}" for one, two in zip(sample, reversed(sample), strict=True)),
    ]
    people = [part for user, name in dice.sample(users, 200) for part in (user, name, *name.split())]
    people += [mistyped(part) for part in people] + [part[: n % 5 + 1] for n, part in enumerate(people)]

    async def main() -> None:
        async with stores.open(path) as store:
            archive = store.archive
            await check("messages", asked, lambda q: archive.search_messages(ANN, q, None, 50, None), 100)
            await check("users", people, lambda q: archive.search_users(ANN, q, 50, None), 20)

    trio.run(main)


async def check(what: str, asked: list[str], find: Callable[[str], Awaitable[object]], bound_ms: float) -> None:
    """Of each the best of three: what else the machine does meanwhile is not the question."""
    took = []
    for q in asked:
        best = float("inf")
        for _ in range(3):
            begun = time.perf_counter()
            await find(q)
            best = min(best, (time.perf_counter() - begun) * 1000)
        took.append((best, q))
    took.sort()
    print(f"{what}: p50 {took[len(took) // 2][0]:.1f} ms, p99 {took[len(took) * 99 // 100]}, worst {took[-1]}")
    assert took[len(took) * 99 // 100][0] < bound_ms, took[-5:]
