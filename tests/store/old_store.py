"""Databases of the release before the second folding, as that release wrote them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gochat.domain import facts
from gochat.store import migrations, schema
from gochat.store.rows import WRITTEN, written
from gochat.store.schema import SEQ_BITS
from gochat.store.search import cut_first, index

ANN: Final = "ann"
#: Its indexes had the names that the new ones have now.
THEN: Final = index.Index("search", "message_word", "", cut_first.CUTTER, cut_first.plain)


def make(path: Path, rooms: Sequence[Sequence[str]], users: dict[str, str | None], *, since: int = 1) -> None:
    """Rooms 1, 2, ... with these messages; ann is in all, and has left the last if there are several. In the second
    she sees what was said from seq `since` on."""
    with contextlib.closing(schema.connect(str(path))) as connection:
        connection.execute("BEGIN")
        migrations.apply(connection, before="m004_boot")
        connection.execute("UPDATE meta SET epoch = 'e1'")
        marks = ", ".join("?" * len(WRITTEN.split(",")))
        for room_pk, bodies in enumerate(rooms, 1):
            room, base, head = f"group:g{room_pk}", room_pk << SEQ_BITS, len(bodies)
            rows = [
                written(
                    base, facts.Message(room=room, seq=seq, ts=1000 + 10 * seq + room_pk, sender="bob", body=body), seq
                )
                for seq, body in enumerate(bodies, 1)
            ]
            connection.executemany(f"INSERT INTO fact ({WRITTEN}) VALUES ({marks})", rows)
            index.put(connection, [(row[0], row[4]) for row in rows], THEN)
            connection.execute(
                "INSERT INTO room (num, id, head, ts, messages, last, indexed, history)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (room_pk, room, head, rows[-1][1], head, head, head, "since_join" if room_pk == 2 else "all"),
            )
            role = "former" if room_pk == len(rooms) > 1 else "member"
            connection.execute(
                "INSERT INTO seat (user, num, role, since_seq, since_ts, read) VALUES (?, ?, ?, ?, 1, 0)",
                (ANN, room_pk, role, since if room_pk == 2 else 1),
            )
        for user, name in users.items():
            connection.execute("INSERT INTO user (id, name) VALUES (?, ?)", (user, name))
            words = [(word, user) for word in cut_first.CUTTER.name_words(user, name)]
            connection.executemany("INSERT INTO user_word VALUES (?, ?)", words)
        connection.execute("COMMIT")
