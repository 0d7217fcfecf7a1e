"""Plays the script over TCP and writes down what comes: `python -m tests.conformance.record`.

The file shows the node as it is, not as it should be: read the difference, line by line, before it is committed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import trio

from tests.conformance.stage import Stage, staged
from tests.conformance.transcript import SCRIPT, Received, Step, steps
from tests.conformance.wires import Tcp

#: After a pause this long nothing more comes of a step.
QUIET_S = 0.4


async def record() -> None:
    written: list[str] = []
    text = SCRIPT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        async with staged(Tcp, Path(folder)) as stage:
            for step in steps(text):
                try:
                    await stage.do(step)
                except Exception as error:
                    error.add_note(f"{SCRIPT.name} line {step.line}")
                    raise
                written += [step.text, *map(str, await all_that_comes(stage, step))]
    SCRIPT.write_text("\n".join(written) + "\n", encoding="utf-8")


async def all_that_comes(stage: Stage, step: Step) -> list[Received]:
    """Of the session that has asked first, then of the others in the order in which they were opened."""
    names = (
        dict.fromkeys([step.session, *stage.sessions])
        if step.session in stage.sessions
        else dict.fromkeys(stage.sessions)
    )
    found: dict[str, list[Received]] = {name: [] for name in names}
    if step.act == "wait" or (step.send is not None and step.send.get("id", "") is not None):
        await all_of(stage, step.session, found[step.session], until_reply=True)
    async with trio.open_nursery() as nursery:
        for name in set(found) & set(stage.sessions):
            nursery.start_soon(all_of, stage, name, found[name])
    return [line for lines in found.values() for line in lines]


async def all_of(stage: Stage, session: str, found: list[Received], until_reply: bool = False) -> None:
    """Add all that comes to a session, up to a reply, or until nothing more does, or until it is closed."""
    while True:
        with trio.move_on_after(10.0 if until_reply else QUIET_S) as scope:
            found.append(Received(session, await stage.receive(session)))
        if scope.cancelled_caught:
            return
        last = found[-1].frame
        if isinstance(last, int):
            await stage.sessions.pop(session).close()
            return
        if until_reply and last.get("id") == "*":
            return


if __name__ == "__main__":
    trio.run(record)
