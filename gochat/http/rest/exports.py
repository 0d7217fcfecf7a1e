"""Rooms as files, made beside the running server. One at a time: each reads a whole log, and takes that much disk."""

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
from gochat.store.folder import database
from gochat.store.portable.export_room import export_room
from gochat.wall_clock import wall_ms

#: As registered with IANA.
MEDIA_TYPE: Final = "application/vnd.sqlite3"
#: Read and sent at a time. A peer has HttpLimits.write_s to take one: 2 KB a second is enough.
PIECE: Final = 64 * 1024
#: How long a caller who asks for a second file should wait.
BUSY_MS: Final = 10_000
#: The longest time that a download may take: nobody else gets one meanwhile.
DOWNLOAD_S: Final = 3600.0

_PREFIX: Final = ".export-"


class Exports:
    """`data` is the node's folder: the files are made there, for elsewhere may be less space."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._busy = False

    async def make(self, room: str, refusal: Callable[[], str | None]) -> Download:
        """The room's file, to be sent at once: until then nobody gets another. `refusal` is called when the file is
        whole and between its pieces; it says why the reader may no longer have it, or None. Raises Refused,
        StoreError."""
        if self._busy:
            raise Refused(Denied("busy", "another export is being made or read", retry_after_ms=BUSY_MS))
        self._busy = True
        try:
            file = await trio.to_thread.run_sync(self._make, room)
            if problem := refusal():
                file.close()
                raise invalid_token(problem)
        except BaseException:
            self._busy = False
            raise
        return Download(file, refusal, self._release)

    def _make(self, room: str) -> BinaryIO:
        """Runs in a thread. The whole file has no name any more: it is gone when the last reader closes it."""
        for left in self._data.glob(f"{_PREFIX}*"):
            left.unlink()  # by a node that was killed
        descriptor, name = tempfile.mkstemp(prefix=_PREFIX, dir=self._data)
        try:
            now_ms = wall_ms()
            # Without the members' read positions: live, these are shown in small rooms only.
            export_room(database(self._data), room, Path(name), now_ms=now_ms, reads=False, progress=_give_up)
            return os.fdopen(descriptor, "rb")
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            Path(name).unlink()

    def _release(self) -> None:
        self._busy = False


def _give_up(done: int, goal: int) -> None:
    """Raises trio.Cancelled when nobody waits for the file any more."""
    trio.from_thread.check_cancelled()


class Download(StreamedResponse):
    """Sends a file. A reader who is refused in the middle gets a closed connection, since the status has been sent
    already: the length says that the file is not whole."""

    def __init__(self, file: BinaryIO, refusal: Callable[[], str | None], release: Callable[[], None]) -> None:
        """`release` is called once, when the file is closed."""
        size = os.fstat(file.fileno()).st_size
        super().__init__(headers={"content-length": str(size), "content-type": MEDIA_TYPE})
        self._file = file
        self._refusal = refusal
        self._release = release

    async def send_body(self, send: SendPiece) -> None:
        with trio.fail_after(DOWNLOAD_S):
            while not self._file.closed:
                piece = await trio.to_thread.run_sync(self._file.read, PIECE)
                if len(piece) < PIECE:
                    # Before the last bytes leave: a reader who has them all may ask for the next file at once.
                    self.close()
                await send(piece)
                self._go_on()

    def _go_on(self) -> None:
        """Raises CutShort if there is more, and it is not to be sent."""
        if not self._file.closed and (problem := self._refusal()):
            raise CutShort(problem)

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()
            self._release()
