# ruff: noqa: RUF001 -- widths and scripts are what is tested
"""The part of the suite of `ports.Archive` that looks for users and for words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import msgspec
import pytest

from gochat.domain import commands
from gochat.protocol import replies
from tests.appending import append_to
from tests.contracts.archive import FRAME_BYTES, seqs, tea_of, until
from tests.contracts.journal import DM, TEA, message
from tests.contracts.scribe import Scribe

Search: TypeAlias = Callable[[int, str | None], Awaitable[tuple[list[Any], str | None]]]


async def all_pages(search: Search, limit: int) -> list[Any]:
    """All that `search` finds, page by page: each but the last is full."""
    found, cursor = await search(limit, None)
    while cursor is not None:
        assert len(found) % limit == 0
        more, cursor = await search(limit, cursor)
        found = [*found, *more]
    return found


class SearchContract:
    # ------------------------------------------------------------------------------------------ users

    async def test_a_user_is_found_by_id_or_a_word_of_the_name(self, store: Any) -> None:
        journal = store.journal
        journal.note_user("ann", name="Änne Müller")
        journal.note_user("bob.x")
        journal.note_user("han", name="漢字 太郎")
        journal.note_user("wide", name="Ｂｏｂ")

        async def found(q: str) -> list[str]:
            return [entry.user for entry in (await store.archive.search_users("ann", q, 50, None))[0]]

        await until(lambda: found("ÄN"), ["ann"])
        for q, expected in {
            "mül": ["ann"], " ann ": ["ann"], "bob": ["bob.x", "wide"], "ｂob": ["bob.x", "wide"],
            "BOB.": ["bob.x", "wide"], "x": ["bob.x"], "müller änne": ["ann"], "änne bob": [],
            "mul": ["ann"], "anne": ["ann"],
            "漢": ["han"], "太郎": ["han"], "ller": [], "": [], " ": [], "%": [], "_": [], "b\"' OR": [],
        }.items():  # fmt: skip
            assert await found(q) == expected, q
        journal.note_user("ann", name="Zora")
        await until(lambda: found("zora"), ["ann"])
        assert await found("mül") == []
        assert await found("ann") == ["ann"]

    async def test_a_user_is_found_despite_one_wrong_letter(self, store: Any) -> None:
        journal = store.journal
        for user, name in {
            "ann": "Katharina Ivanova",
            "bob": "Catherine Kat",
            "cat": "Екатерина",
            "dan": "김민준서",
            "eve.smith": None,
            "fay": "山田太郎一二",
            "gus": "Kathedral",
        }.items():
            journal.note_user(user, name=name)

        async def found(q: str) -> list[str]:
            return [entry.user for entry in (await store.archive.search_users("zoe", q, 50, None))[0]]

        await until(lambda: found("kathed"), ["gus"])
        for q, expected in {
            "katharina": ["ann"], "katarina": ["ann"], "kattharina": ["ann"], "kathaxina": ["ann"],
            "kahtarina": ["ann"], "xatharina": ["ann"], "atharina": ["ann"], "xkatharina": ["ann"],
            "akthar": ["ann"], "kathr": ["ann", "gus"], "katxxrina": [], "ktharinq": [],
            "екатиринa": [], "екатирина": ["cat"], "катерина": ["cat"], "김민준": ["dan"], "김민순서": ["dan"],
            "eve.smiht": ["eve.smith"], "ev.smith": ["eve.smith"], "simth": ["eve.smith"],
            "kat": ["bob", "ann", "gus"], "kax": [], "kathe": ["gus", "bob", "ann"],
            "ivanova kahtarina": ["ann"], "ivnova kahtarina": ["ann"], "ivanova catherine": [],
            "太郎": ["fay"], "田太": ["fay"], "郎太": [], "山田次郎一": ["fay"], "田次郎一": ["fay"],
        }.items():  # fmt: skip
            assert await found(q) == expected, q

    async def test_users_with_a_wrong_letter_come_after_the_others_on_whatever_page(self, store: Any) -> None:
        names = ["Mara", "Marta", "Maria", "Marie Maria", "Mira Marla", "Marla", "Marco", "Karla Maria", "Amria"]
        for n in range(45):
            store.journal.note_user(f"u{n:02}", name=names[n % 9])

        async def collect(limit: int) -> list[str]:
            search = store.archive.search_users
            return [entry.user for entry in await all_pages(partial(search, "zoe", "maria"), limit)]

        async def count() -> int:
            return len(await collect(50))

        await until(count, 40)
        exact = [f"u{n:02}" for n in range(45) if "Maria" in names[n % 9]]
        for limit in (1, 7, 15, 39, 40, 50):
            users = await collect(limit)
            assert users[: len(exact)] == exact
            assert len(set(users)) == len(users) == 40
        # Users who come meanwhile change nothing before or behind.
        first, cursor = await store.archive.search_users("zoe", "maria", 20, None)
        store.journal.note_user("a0", name="Maria")
        await until(count, 41)
        rest, _ = await store.archive.search_users("zoe", "maria", 50, cursor)
        assert [entry.user for entry in first + rest] == users

    # ------------------------------------------------------------------------------------------ search

    @staticmethod
    async def found(store: Any, user: str, q: str, room: str | None = None) -> list[int]:
        return seqs((await store.archive.search_messages(user, q, room, 50, None))[0])

    async def test_a_search_knows_words_prefixes_and_scripts(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        bodies = ["Hello, World", "helium balloons", "我们明天在北京大学见面", "ร้านกาแฟอยู่ที่นี่", "CAFÉ crème", "हिन्दी में",
                  "ｆｕｌｌ ｗｉｄｔｈ", "straße", "a-b_c", "日本語とEnglish混ぜる",
                  "Tiếng Việt", "42 and 4.2"]  # fmt: skip
        await dm.said(*bodies)
        await until(lambda: self.found(store, "ann", "4"), [12])
        for q, expected in {
            "hel": [2, 1], "hello world": [1], "world hello": [1], "hello there": [], "ello": [], "北京": [3],
            "京大": [3], "京": [3], "大京": [], "北京大学": [3], "明天 北京": [3], "กาแฟ": [4], "cafe creme": [5],
            "CREME": [5], "हिन्दी": [6], "हि": [6], "full WIDTH": [7], "ＦＵＬＬ": [7], "strasse": [8], "a": [12, 9],
            "b": [9, 2], "b c": [9], "語": [10], "日本 english": [10], "混ぜる": [10], "tieng viet": [11], "4.2": [12],
        }.items():  # fmt: skip
            assert await self.found(store, "bob", q) == expected, q

    async def test_every_word_counts_however_many_there_are(self, store: Any) -> None:
        """Only the longest are looked for; what is found is read for the others."""
        dm = await Scribe.at(store, DM)
        words = [f"word{n:02}" for n in range(20)]
        await dm.said(" ".join(words), " ".join(words[:-1]), " ".join(reversed(words)) + " 北京大学", "word")
        await until(lambda: self.found(store, "ann", "word"), [4, 3, 2, 1])
        for q, expected in {
            " ".join(words): [3, 1], " ".join(words[:-1]): [3, 2, 1], " ".join([*words, "京大"]): [3],
            " ".join([*words, "大京"]): [], " ".join([*words, "wor"]): [3, 1], " ".join([*words, "x"]): [],
            "word " * 40: [4, 3, 2, 1], "word WORD wo w": [4, 3, 2, 1],
        }.items():  # fmt: skip
            assert await self.found(store, "bob", q) == expected, q

    async def test_a_search_stays_in_ones_rooms(self, store: Any) -> None:
        dm, tea = await Scribe.at(store, DM), await tea_of(store, "cat")
        tea.now_ms = 5000
        await dm.said("secret one")
        (said,) = await tea.said("secret two")
        await until(lambda: self.found(store, "ann", "secret"), [said, 1])
        await until(lambda: self.found(store, "cat", "secret"), [said])
        assert await self.found(store, "bob", "secret") == [1]
        assert await self.found(store, "zoe", "secret") == []
        assert await self.found(store, "ann", "secret", DM) == [1]
        assert await self.found(store, "ann", "secret", TEA) == [said]
        assert await self.found(store, "bob", "secret", TEA) == []
        assert await self.found(store, "bob", "secret", "group:none") == []
        assert await self.found(store, "ann", f"r{dm.record.room_pk}") == [], "a room's own word is none of the body's"
        await tea.made(commands.Remove, users=("cat",))
        assert await self.found(store, "cat", "secret") == []

    async def test_a_search_finds_the_present_bodies(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("apple pie", "apple tart", "plum")
        await until(lambda: self.found(store, "ann", "apple"), [2, 1])
        await dm.made(commands.Edit, seq=1, body="cherry pie")
        assert await self.found(store, "ann", "apple") == [2], "what an edit took away is gone at once"
        assert await self.found(store, "ann", "cherry") == [1]
        await dm.made(commands.Edit, seq=1, body="apple again")
        await dm.made(commands.Delete, seq=2)
        assert await self.found(store, "ann", "apple") == [1]
        ((shown,), _) = await store.archive.search_messages("ann", "again", None, 5, None)
        assert shown == dm.shown()[0]
        # Sent, changed and deleted in one transaction, before the index sees any of it.
        await dm.turn(
            commands.Send(room=DM, user="ann", body="mango"),
            commands.Send(room=DM, user="ann", body="mango"),
            commands.Edit(room=DM, user="ann", seq=dm.head + 1, body="grape"),
            commands.Delete(room=DM, user="ann", seq=dm.head + 2),
            commands.Send(room=DM, user="ann", body="last"),
        )
        await until(lambda: self.found(store, "ann", "last"), [dm.head])
        assert await self.found(store, "ann", "mango") == []
        assert await self.found(store, "ann", "grape") == [dm.head - 4]

    async def test_a_search_is_newest_first_and_paged(self, store: Any) -> None:
        scribes = [await Scribe.at(store, f"dm:ann:u{n}") for n in range(3)]
        expected: list[tuple[int, str, int]] = []
        for n in range(30):
            scribe = scribes[n % 7 % 3]
            scribe.now_ms = 1000 + n // 4  # Some have the same `ts`.
            (seq,) = await scribe.said(f"word {n}")
            expected.append((scribe.now_ms - 1, scribe.room, seq))

        async def collect(limit: int) -> list[tuple[int, str, int]]:
            search = store.archive.search_messages
            found = await all_pages(partial(search, "ann", "word", None), limit)
            return [(fact.ts, fact.room, fact.seq) for fact in found]

        async def count() -> int:
            return len(await collect(50))

        await until(count, 30)
        for limit in (1, 7, 15, 30, 31):
            found = await collect(limit)
            assert sorted(found) == sorted(expected)
            assert [ts for ts, _, _ in found] == sorted((ts for ts, _, _ in expected), reverse=True)
            assert len(set(found)) == 30

    async def test_results_fit_a_frame(self, store: Any) -> None:
        record = await store.journal.load(DM)
        body = "word " + "漢\x01" * 1990
        await append_to(store.journal, record, [message(DM, seq, body) for seq in range(1, 301)])
        await until(lambda: self.found(store, "ann", "word", "dm:ann:cat"), [])
        found: list[int] = []

        async def last() -> list[int]:
            return seqs((await store.archive.search_messages("ann", "word", None, 1, None))[0])

        await until(last, [300])
        cursor = None
        while True:
            more, cursor = await store.archive.search_messages("ann", "word", None, 200, cursor)
            found += seqs(more)
            frame = replies.MessageResults(id="\x01" * 64, entries=more, next=cursor)
            assert len(msgspec.json.encode(frame)) < FRAME_BYTES
            assert len(msgspec.msgpack.encode(frame)) < FRAME_BYTES
            if cursor is None:
                break
            assert more
        assert found == list(range(300, 0, -1))

    @pytest.mark.parametrize(
        "q",
        [
            "",
            " ",
            "!",
            '"',
            "a AND",
            "NOT",
            "(",
            "*",
            "body : x",
            "NEAR(a b)",
            "^a",
            "a + b",
            "{a}",
            "\0",
            "-a",
            "漢" * 200,
            "a " * 100,
            "a b c " * 33,
            "' OR 1",
        ],
    )
    async def test_no_text_is_a_syntax_error(self, store: Any, q: str) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("x")
        await store.archive.search_messages("ann", q, None, 5, None)
        await store.archive.search_messages("ann", q, DM, 5, "garbage")
        await store.archive.search_messages("ann", "x", DM, 5, "9" * 30 + ".1")
        await store.archive.search_users("ann", q, 5, q)
