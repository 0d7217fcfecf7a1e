"""Rooms as files, made beside the running server. One is made at a time, since each reads a whole log. A file that is
made takes disk until its reader has it all: readers have a bound, each and together, and a pace that they must keep.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import trio

from gochat.errors import Denied
from gochat.http.messages import SendPiece, StreamedResponse
from gochat.http.problems import CutShort
from gochat.http.rest.refused import Refused, invalid_token
from gochat.ports.archive import Viewer
from gochat.store.folder import database
from gochat.store.portable.export_room import export_room
from gochat.wall_clock import wall_ms

#: As registered with IANA.
MEDIA_TYPE: Final = "application/vnd.sqlite3"
#: Read and sent at a time. A peer has HttpLimits.write_s to take one: 2 KB a second is enough.
PIECE: Final = 64 * 1024
#: How long a caller who has to wait for a file should wait.
BUSY_MS: Final = 10_000
#: Downloads under way: of one user, and of all.
MOST_OF_USER: Final = 2
MOST: Final = 16
#: With so much on disk for downloads under way no further file is made; a room may be larger than that by itself.
MOST_BYTES: Final = 1 << 30
#: How long a download may take: the first seconds, and one more for so many bytes; and none takes longer than an hour.
GRACE_S: Final = 60.0
LEAST_PACE: Final = 16 * 1024
DOWNLOAD_S: Final = 3600.0

_PREFIX: Final = ".export-"


class Exports:
    """`data` is the node's folder: the files are made there, for elsewhere may be less space."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._is_making = False
        self._downloads: dict[Download, str] = {}
        """Those under way, and who reads each."""

    async def make(self, viewer: Viewer, room: str, refusal: Callable[[], str | None]) -> Download:
        """The room's file, to be sent to the viewer at once. `refusal` is called when the file is whole and between its
        pieces; it says why the reader may no longer have it, or None. Raises Refused, StoreError."""
        if problem := self._full(viewer.user):
            raise Refused(Denied("busy", problem, retry_after_ms=BUSY_MS))
        self._is_making = True
        try:
            file = await trio.to_thread.run_sync(self._make, viewer, room)
        finally:
            self._is_making = False
        if problem := refusal():
            file.close()
            raise invalid_token(problem)
        download = Download(file, refusal, self._release)
        self._downloads[download] = viewer.user
        return download

    def _full(self, user: str) -> str | None:
        """Why no file can be made for the user now. Nobody who reads slowly is waited for by others, but at the bounds
        of all."""
        if self._is_making:
            return "another export is being made"
        if sum(reader == user for reader in self._downloads.values()) >= MOST_OF_USER:
            return f"you are reading {MOST_OF_USER} exports already"
        if len(self._downloads) >= MOST or sum(download.size for download in self._downloads) >= MOST_BYTES:
            return "too many exports are being read"
        return None

    def _make(self, viewer: Viewer, room: str) -> BinaryIO:
        """Runs in a thread. The whole file has no name any more: it is gone when the last reader closes it."""
        for left in self._data.glob(f"{_PREFIX}*"):
            left.unlink()  # by a node that was killed
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=self._data)
        try:
            export_room(
                database(self._data),
                room,
                Path(name),
                now_ms=wall_ms(),
                reads=False,  # Live, positions are shown in small rooms only.
                viewer=viewer,
                progress=_give_up,
            )
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            Path(name).unlink()

    def _release(self, download: Download) -> None:
        self._downloads.pop(download, None)


def _give_up(done: int, goal: int) -> None:
    """Raises trio.Cancelled when nobody waits for the file any more."""
    trio.from_thread.check_cancelled()


class Download(StreamedResponse):
    """Sends a file. A reader who is refused in the middle, or reads too slowly, gets a closed connection, since the
    status has been sent already: the length says that the file is not whole."""

    def __init__(self, file: BinaryIO, refusal: Callable[[], str | None], release: Callable[[Download], None]) -> None:
        """`release` is called once, when the file is closed."""
        self.size = os.fstat(file.fileno()).st_size
        super().__init__(headers={"content-length": str(self.size), "content-type": MEDIA_TYPE})
        self._file = file
        self._refusal = refusal
        self._release = release

    async def send_body(self, send: SendPiece) -> None:
        began, sent = trio.current_time(), 0
        with trio.move_on_after(GRACE_S) as allowed:
            while not self._file.closed:
                piece = await trio.to_thread.run_sync(self._file.read, PIECE)
                if len(piece) < PIECE:
                    # Before the last bytes leave: a reader who has them all may ask for the next file at once.
                    self.close()
                await send(piece)
                sent += len(piece)
                allowed.deadline = began + min(GRACE_S + sent / LEAST_PACE, DOWNLOAD_S)
                self._go_on()
        if allowed.cancelled_caught:
            raise CutShort(f"its reader took {sent} bytes in {trio.current_time() - began:.0f} s")

    def _go_on(self) -> None:
        """Raises CutShort if there is more, and it is not to be sent."""
        if not self._file.closed and (problem := self._refusal()):
            raise CutShort(problem)

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()
            self._release(self)
