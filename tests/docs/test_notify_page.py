"""The receiver of docs/howto/notify.md, as it stands there, gets a notification of a node and refuses forgeries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial

import trio

from gochat.notify.http import Poster
from gochat.notify.notification import Templates
from gochat.notify.webhook import Webhook
from tests.docs.pages import HOWTO, blocks
from tests.notify.receivers import NOTIFICATION

PAGE = HOWTO / "notify.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#: For what must come; generous, since machines are shared.
SOON = 60
#: The page's receiver is told its port and tells none: the server that it makes is asked.
PORT = (
    "\nserver = HTTPServer(('127.0.0.1', 0), Receiver)\nprint(server.server_port, flush=True)\nserver.serve_forever()\n"
)


def source() -> str:
    (code,) = [block.text for block in blocks(PAGE) if "class Receiver" in block.text]
    *lines, last = code.strip().splitlines()
    assert last.startswith("HTTPServer(") and last.endswith(".serve_forever()")
    return "\n".join(lines) + PORT


async def test_the_receiver_of_the_page_takes_what_is_signed_and_nothing_else() -> None:
    async with trio.open_nursery() as nursery:
        with trio.fail_after(SOON):
            run = partial(
                trio.run_process,
                [sys.executable, "-c", source()],
                env={"PATH": os.environ["PATH"], "WEBHOOK_SECRET": SECRET},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            process = await nursery.start(run)
            assert process.stdout is not None
            port = int(await process.stdout.receive_some())
            url = f"http://127.0.0.1:{port}/"
            poster = Poster(SOON, allow_private=True)
            at = [time.time_ns() // 1_000_000]
            good = Webhook(poster, url, [SECRET], Templates(), lambda: at[0])
            forged = Webhook(poster, url, ["whsec_" + "A" * 32], Templates(), lambda: at[0])
            assert (await forged.post("message.unread", NOTIFICATION.id, {})).status == 401
            assert (await good.post("message.unread", NOTIFICATION.id, {"user": "bob"})).status == 204
            assert await process.stdout.receive_some() == b"{'user': 'bob'}\n"
            at[0] -= 600_000
            assert (await good.post("message.unread", "ntf_2", {"user": "bob"})).status == 401
            await poster.aclose()
        nursery.cancel_scope.cancel()


def test_it_has_20_lines() -> None:
    assert len([line for line in source().splitlines() if line.strip()]) <= 24
