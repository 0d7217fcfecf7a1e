"""The build hook: sdist and wheel carry the commit that they are made from (`gochat/release.py` reads it)."""

from __future__ import annotations

import os
import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):  # type: ignore[type-arg]
    """Writes the commit to a file of its own and has the builder take that along; the work tree is left as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        release = runpy.run_path(str(root / "gochat" / "release.py"))
        # An editable install is the checkout, which is asked each time. An sdist holds the file already.
        if version == "editable" or release["built"]():
            return
        commit = os.environ.get("GOCHAT_BUILD_COMMIT") or release["of_checkout"](root)
        if not commit:
            return
        with tempfile.NamedTemporaryFile("w", encoding="ascii", delete=False) as file:
            file.write(commit + "\n")
        self._file = Path(file.name)
        self._file.chmod(0o644)
        build_data["force_include"][file.name] = f"gochat/{release['COMMIT_FILE']}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if file := getattr(self, "_file", None):
            file.unlink()
