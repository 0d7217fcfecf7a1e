"""The screen in a real terminal (tmux), typed at and looked at as a person would, on a real node."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Server
from tests.client.screen.pane import Pane
from tests.ports import held_port
from tests.programs import needs


@pytest.fixture(scope="module")
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    needs("tmux")
    socket = tmp_path_factory.mktemp("tmux") / "s"
    # A server without a session ends, perhaps while the next terminal is asked of it.
    subprocess.run(["tmux", "-S", str(socket), "-f", "/dev/null", "new-session", "-d", "-s", "keep", "cat"], check=True)
    yield socket
    subprocess.run(["tmux", "-S", str(socket), "kill-server"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with held_port() as port:
        server = Server(tmp_path_factory.mktemp("node"), port)
        server.start(GOCHAT_POLICY__STRANGERS="allow", GOCHAT_NNG__BIND="")
        yield server
        server.stop()


@pytest.fixture
def sit(tmux: Path, node: Server) -> Iterator[Callable[..., Pane]]:
    """Opens a terminal with `gochat chat` as a user."""
    names: list[str] = []

    def open_pane(
        user: str, *arguments: str, columns: int = 80, rows: int = 24, shell: bool = False, **env: str
    ) -> Pane:
        url = node.url.replace("http", "ws") + "v1/ws"
        command = [sys.executable, "-m", "gochat", "chat", *arguments, "--url", url]
        names.append(f"pane{len(names)}-{time.monotonic_ns()}")
        environment = {
            "GOCHAT_TOKEN": node.token(user),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TERM": "screen-256color",
            **env,
        }
        if not shell:
            return Pane(tmux, names[-1], columns, rows, command, environment)
        pane = Pane(tmux, names[-1], columns, rows, ["bash", "--norc", "-i"], environment)
        pane.type(shlex.join(command))
        return pane

    yield open_pane
    for name in names:
        subprocess.run(["tmux", "-S", str(tmux), "kill-session", "-t", name], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("columns", "rows"), [(80, 24), pytest.param(120, 40, marks=pytest.mark.long)], ids=["80x24", "120x40"]
)
def test_two_people_at_their_terminals(sit: Callable[..., Pane], node: Server, columns: int, rows: int) -> None:
    """Line by line what a screen is for; one conversation, since each program that is started costs time."""
    ann, bob = f"ann{columns}", f"bob{columns}"
    node.say(node.token(bob), f"user:{ann}", *(f"message {number}." for number in range(1, 151)))
    at_ann = sit(ann, columns=columns, rows=rows)
    at_bob = sit(bob, f"user:{ann}", columns=columns, rows=rows)

    # The newest messages, a line where the new ones begin, the day, the rooms at the side, the input at the bottom.
    lines = at_ann.sees("message 150.", "online", f"[{bob}]")
    assert lines[0].startswith(f" user:{bob} · online")
    assert lines[1].startswith(" 1  gochat")
    assert lines[2].startswith(f" 2 *{bob}")
    assert lines[-1].rstrip() == f"[{bob}]"
    start = len(f"[{bob}] ")
    at_ann.has_cursor_at(start, rows - 1)

    # An input that arriving messages do not disturb, its cursor neither; typing is told, and so are receipts.
    at_ann.keys("h", "a", "l", "f", "Left")
    at_ann.has_cursor_at(start + 3, rows - 1)
    at_bob.sees(f"{ann} is typing")
    at_bob.type("one", "two")
    assert at_ann.sees("<" + bob + "> two")[-1].rstrip() == f"[{bob}] half"
    at_ann.has_cursor_at(start + 3, rows - 1)
    at_bob.sees("two [read]")

    # Several lines, by key and by paste; wide, joined and right-to-left characters stay in their rows.
    at_ann.keys("End", "M-Enter")
    at_ann.paste("你好\tשלם\ne\u0301 👩\u200d🚀 end")
    at_ann.sees("[" + bob + "] half", "end")
    at_ann.keys("Enter")
    lines = at_bob.sees(f"<{ann}> half", "שלם", "end")
    assert all("│" in line for line in lines[1:-2])

    # Completion of commands and emoji, history of what was typed.
    at_bob.keys("/", "q", "u", "Tab")
    at_bob.sees("[/query]")
    at_bob.keys("Tab", "C-u")
    at_bob.type(":thumbs_u")
    at_bob.sees("<" + bob + "> :thumbs_u")
    at_bob.keys("Up", "Tab")
    at_bob.sees(f"[{ann}] 👍")
    at_bob.keys("Enter")
    at_ann.sees("<" + bob + "> 👍")

    # A line that was typed before is found by a part of it.
    at_bob.keys("C-r")
    at_bob.type("wo")
    at_bob.sees(f"[{ann}] two")
    at_bob.keys("C-u")

    # A message that has come to the other's terminal and was not looked at, and then was.
    at_bob.keys("M-1")
    at_bob.sees("[gochat]")
    at_ann.type("unseen")
    at_ann.sees("> unseen [received]")
    at_bob.keys("M-2")
    at_ann.sees("> unseen [read]")

    # Scrollback pages in, and stays where it is.
    for _ in range(12 if rows < 30 else 8):
        at_ann.keys("PPage")
    at_ann.sees("message 1.", "PgDn: later", "──")
    at_bob.type("news")
    assert "message 1." in "".join(at_ann.sees("1 new below"))
    at_ann.keys("C-End")
    at_ann.sees("> news")

    # A smaller terminal, and back.
    at_ann.resize(50, 12)
    at_ann.no_longer_sees("│")
    at_ann.sees("> news", f"[{bob}]")
    at_ann.resize(columns, rows)
    at_ann.sees("> news", "│")

    at_ann.keys("C-l")
    at_ann.sees("> news", "│")

    # Leaving: the shell's screen is back, with what was not finished, and it wraps and shows its cursor as before.
    at_ann.keys(*"begun", "M-1", "C-d")
    at_ann.sees("* 1 text not finished:", f"  to user:{bob}: begun", "left: 0")
    assert not at_ann.flag("alternate_on")
    assert at_ann.flag("wrap_flag")
    assert at_ann.flag("cursor_flag")
    at_bob.keys("C-c")
    at_bob.sees("Ctrl-C again")
    at_bob.keys("C-c")
    at_bob.sees("left: 0")


@pytest.mark.long
def test_colours_and_their_absence(sit: Callable[..., Pane], node: Server) -> None:
    def is_coloured(pane: Pane) -> bool:
        codes = "".join(pane.lines("-e"))
        return any(f"\x1b[{number}m" in codes for number in (*range(30, 38), *range(90, 98)))

    node.say(node.token("zoe"), "user:yan", "yan: look")
    pane = sit("yan")
    pane.sees("yan: look")
    assert is_coloured(pane)
    pane.keys("C-d")
    without = sit("yan", NO_COLOR="1")
    without.sees("yan: look")
    assert not is_coloured(without)


@pytest.mark.long
def test_what_waits_is_seen_and_sent_when_the_server_is_back(sit: Callable[..., Pane], node: Server) -> None:
    first = sit("uma", "user:vic")
    first.sees("[vic]")
    node.stop()
    first.sees("no connection")
    first.type("kept")
    first.sees("<uma> kept [waits]", "1 waiting")
    node.start()
    lines = first.sees("#1 <uma> kept")
    assert not any("waiting" in line for line in lines[-2:])


@pytest.mark.long
def test_a_dumb_terminal_gets_lines(sit: Callable[..., Pane]) -> None:
    for options, env in (((), {"TERM": "dumb"}), (("--plain",), {})):
        pane = sit("tom", "user:tom", *options, **env)
        pane.sees("* writing to user:tom")
        pane.type("note to self")
        pane.sees("user:tom #")
        assert not pane.flag("alternate_on")
        pane.type("/quit")
        pane.sees("left: 0")


@pytest.mark.long
def test_suspended_and_back(sit: Callable[..., Pane]) -> None:
    """In a shell with job control, which then has its terminal back as it was."""
    pane = sit("sue", "user:sue", shell=True)
    pane.sees("[sue]")
    pane.keys("C-z")
    pane.sees("Stopped")
    assert pane.flag("wrap_flag")
    assert not pane.flag("alternate_on")
    pane.type("fg")
    pane.sees("[sue]")
    pane.keys("x", "C-c")
    pane.type("still here")
    pane.sees("<sue> still here")
    pane.keys("C-d")
    pane.no_longer_sees("[sue]")
    pane.type("stty -a")
    pane.sees("intr = ^C")


@pytest.mark.long
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_the_list_of_rooms_completion_bell_and_mouse(
    sit: Callable[..., Pane], node: Server, columns: int, rows: int
) -> None:
    """The rest of the list, with three people and a group."""
    kim, lea = f"kim{columns}", f"lea{columns}"
    token = node.token(kim)
    node.say(node.token(lea), f"user:{kim}", *(f"message {number}." for number in range(1, 61)))
    node.post(token, "groups", {"name": f"tea{columns}", "title": "Green tea", "users": [lea]})
    pane = sit(kim, f"group:tea{columns}", "--mouse", columns=columns, rows=rows)

    # Unread messages and presence at the side, the group's title above.
    lines = pane.sees("Green tea · 2 members", f"#tea{columns}", " 60 │")
    assert lines[0].startswith(f" group:tea{columns}")
    assert not any("*" in line.split("│")[0] for line in lines[1:-2])
    other = sit(lea, f"group:tea{columns}", columns=columns, rows=rows)
    pane.sees(f"*{lea}")

    # Users and groups are completed, by what they begin with.
    pane.keys("l", "e", "Tab")
    pane.sees(f"[tea{columns}] {lea}:")
    pane.keys("C-u")
    pane.keys(*"/join te", "Tab")
    pane.sees(f"/join group:tea{columns}")
    pane.keys("C-u")

    # A sound for a name in another window, and a mark at the side.
    pane.keys("M-1")
    pane.sees("[gochat]")
    other.sees(f"[tea{columns}]")
    other.type(f"{kim}: look")
    pane.sees("@1 │", "Act: ")
    assert pane.flag("window_bell_flag")

    # The mouse: a click goes to a room, the wheel scrolls there.
    row = next(index for index, line in enumerate(pane.lines()) if lea in line.split("│")[0])
    pane.keys("-l", f"\x1b[<0;5;{row + 1}M\x1b[<0;5;{row + 1}m")
    pane.sees(f"[{lea}]", "message 60.")
    pane.keys("-l", f"\x1b[<64;{columns // 2};10M")
    pane.no_longer_sees("message 60.")
    pane.keys("-l", f"\x1b[<65;{columns // 2};10M")
    pane.sees("message 60.")
