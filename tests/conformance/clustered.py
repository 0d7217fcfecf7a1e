"""The stage as three nodes of one cluster: every session that is opened is on another one."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any, ClassVar

from gochat.node import Node
from tests.conformance.stage import Stage
from tests.conformance.transcript import Frame, Step
from tests.store.write.test_faults import full_disk

#: Requests whose answers tell of one node's sessions alone.
OF_ONE_NODE = ("users", "sessions", "overview")
#: The key of a message that finds the disks full: on three nodes it is recorded when they have space again, before it
#: is sent a second time.
LATE_KEY = "unknown"


class ClusterStage(Stage):
    """`node` is that of the session that is being opened or closed. Ids of reports and of the audit log are told in the
    order in which they came about, as one node counts them."""

    def __init__(self, anywhere: Any, *rest: Any) -> None:
        super().__init__(anywhere.nodes[0], *rest)
        self._all: list[Node] = list(anywhere.nodes)
        self._turns = itertools.cycle(self._all)
        self._homes: dict[str, Node] = {}
        self._reports: dict[int, int] = {}
        self._audits: dict[int, int] = {}

    def differs(self, step: Step) -> bool:
        """Whether what comes of the step is another thing on several nodes."""
        sent = step.send or {}
        return sent.get("type") in OF_ONE_NODE or (sent.get("key") == LATE_KEY and not self._is_full)

    async def _open_elsewhere(self, session: str, rest: str) -> None:
        self.node = self._homes[session] = next(self._turns)
        await self._open(session, rest)

    async def _close_there(self, session: str, rest: str) -> None:
        self.node = self._homes.pop(session)
        await self._close(session, rest)

    async def _all_disks(self, _: str, rest: str) -> None:
        self._is_full = rest == "full"
        if self._is_full:
            # The bound is the process's, and holds for the log files of all three.
            databases = [node.database for node in self._all]
            least = min(databases, key=lambda database: Path(f"{database}-wal").stat().st_size)
            self._disk_is_full = contextlib.ExitStack()
            self._disk_is_full.enter_context(full_disk(least))
        else:
            self._disk_is_full.close()

    _is_full = False
    _acts: ClassVar = {
        **Stage._acts,
        (False, "open"): _open_elsewhere,
        (False, "close"): _close_there,
        (True, "disk"): _all_disks,
    }

    # ------------------------------------------------------------------------------------------ ids

    def request(self, session: str, frame: Frame) -> Frame:
        frame = super().request(session, frame)
        if "report" in frame:
            known = {told: real for real, told in self._reports.items()}
            frame["report"] = known.get(frame["report"], frame["report"])
        return frame

    async def receive(self, session: str) -> Frame | int:
        frame = await super().receive(session)
        if isinstance(frame, int):
            return frame
        for report in frame.get("reports", ()):
            report["report"] = self._reports.setdefault(report["report"], len(self._reports) + 1)
        for entry in reversed(frame.get("entries", ()) if frame["type"] == "audit" else ()):
            entry["id"] = self._audits.setdefault(entry["id"], len(self._audits) + 1)
            if entry["action"] == "report.close":
                entry["subject"] = str(self._reports.get(int(entry["subject"]), entry["subject"]))
        return frame
