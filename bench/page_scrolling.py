"""How smoothly the page scrolls through a long history, in a real Chromium.

    python -m bench.page_scrolling [MESSAGES [SECONDS]]

A node of its own holds a group of MESSAGES (10,000), which the page pages in from the newest to the first; then it is
scrolled down for SECONDS (5) at each of three speeds. Told are the frames a second, the longest frame, the share of
frames with nothing in the middle of the view, rows that were rebuilt though they stayed in view, and the nodes of the
document. It needs Chromium and the packages of the tests, and a machine with nothing else to do: the frames of a busy
one say nothing of the page.

Exit status: 0 at least 55 frames a second at the speeds of people and no row rebuilt, 1 less, 2 wrong usage.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.faults import Broken, Fault
from bench.load.wire import WIRES
from bench.scenarios.stage import Stage
from bench.scenarios.stored import Filled, filled
from bench.server import Cores

FRAMES_PER_S: Final = 55.0
MOST_NODES: Final = 1_000
#: Pixels a second: reading, flicking through, and dragging the scroll bar. The last is faster than rows can be drawn
#: ahead, so that rows go and come back between two frames, and has no bound.
SPEEDS: Final = {"reading": 3_600, "flicking": 18_000, "dragging": 90_000}
BOUNDED: Final = ("reading", "flicking")
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MS: Final = 120_000

#: Goes to the first message, however many pages that takes.
_TO_THE_FIRST: Final = """async first => {
    const log = document.querySelector('.log');
    while (!log.querySelector('[data-index="0"]') || !log.textContent.includes(first)) {
        log.scrollTop = 0;
        await new Promise(requestAnimationFrame);
    }
}"""
#: Scrolls for some seconds, back and forth where an end is met, and looks at each frame as the next one begins.
_SCROLL: Final = """async ([speed, seconds]) => {
    const log = document.querySelector('.log');
    const box = log.getBoundingClientRect();
    const frame = () => new Promise(requestAnimationFrame);
    // Each body begins with its seq; an index means another message once a page came in above.
    const seq = row => /\\d{8}(?= )/.exec(row.textContent)?.[0];
    const rows = () => new Map([...log.querySelectorAll('.row')].map(row => [seq(row), row]));
    let begin = await frame(), before = begin, direction = 1, shown = rows();
    const told = { frames: 0, longest: 0, blank: 0, rebuilt: 0, nodes: 0, px: 0 };
    while (before - begin < seconds * 1000) {
        const far = log.scrollHeight - log.clientHeight;
        if (log.scrollTop >= far - 1) direction = -1;
        if (log.scrollTop <= 1) direction = 1;
        log.scrollTop += direction * speed / 60;
        told.px += speed / 60;
        const now = await frame();
        told.frames++;
        told.longest = Math.max(told.longest, now - before);
        const middle = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
        if (!middle?.closest('.row')) told.blank++;
        const next = rows();
        for (const [at, row] of next) if (at && shown.has(at) && shown.get(at) !== row) told.rebuilt++;
        shown = next;
        told.nodes = Math.max(told.nodes, document.querySelectorAll('*').length);
        before = now;
    }
    told.seconds = (before - begin) / 1000;
    return told;
}"""


class Scrolled(NamedTuple):
    """One stretch of scrolling."""

    speed: str
    frames_per_s: float
    longest_ms: float
    blank: float
    """The share of frames with no row in the middle of the view."""
    rebuilt: int
    nodes: int

    @property
    def holds(self) -> bool:
        smooth = self.speed not in BOUNDED or (self.frames_per_s >= FRAMES_PER_S and not self.rebuilt)
        return smooth and self.nodes <= MOST_NODES

    def told(self) -> str:
        return (
            f"{self.speed:<9} {self.frames_per_s:5.1f} frames/s, longest {self.longest_ms:6.1f} ms,"
            f" blank {self.blank:6.1%}, rows rebuilt {self.rebuilt}, {self.nodes} nodes"
            + ("" if self.holds else "  TOO SLOW")
        )


def measure(messages: int, seconds: float, folder: Path) -> list[Scrolled]:
    """Run the node and the browser. Raises Broken where one of them is missing or does not start."""
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        raise Broken("no Chromium: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Broken("the packages of the tests are missing: make test") from None
    stage = Stage(folder, Cores.split(), WIRES["ws"], ("-m", "gochat", "serve"))
    with filled(stage, "default", 3, messages, index=False) as stored, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(_PATIENCE_MS)
            return _scroll(page, stored, seconds)
        finally:
            browser.close()


def _scroll(page: Any, stored: Filled, seconds: float) -> list[Scrolled]:
    host, port = stored.running.http
    token = stored.server.issuer.token(stored.users[0])
    page.goto(f"http://{host}:{port}/#token={token}")
    page.click(".chats .chat")
    page.wait_for_selector(".bubble")
    page.evaluate(_TO_THE_FIRST, f"{stored.first:08d}")
    found = []
    for name, speed in SPEEDS.items():
        told = page.evaluate(_SCROLL, [speed, seconds])
        rate = told["frames"] / told["seconds"]
        found.append(
            Scrolled(name, rate, told["longest"], told["blank"] / told["frames"], told["rebuilt"], told["nodes"])
        )
    return found


def main(arguments: list[str]) -> int:
    try:
        messages, seconds = (*map(float, arguments), *(10_000.0, 5.0)[len(arguments) :])
    except ValueError:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = measure(int(messages), seconds, Path(folder))
        except (Broken, Fault) as error:
            print(f"no figure: {error}", file=sys.stderr)
            return 1
    print(f"{int(messages):,} messages, {seconds:.0f} s at each speed, 1280x800")
    for each in found:
        print(each.told())
    return 0 if all(each.holds for each in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
