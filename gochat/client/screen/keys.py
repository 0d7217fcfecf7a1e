"""The act of each key. Names of keys are urwid's: `ctrl a`, `meta 1`, `page up`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from gochat.client.screen.desk import Desk
from gochat.client.screen.picture import Picture

#: A key by its name; or what the mouse did, which button, column and row.
Key: TypeAlias = str | tuple[str, int, int, int]

#: Alt with these goes to the windows 1 to 20, as in irssi.
_WINDOWS: Final = "1234567890qwertyuio"
_WHEEL_ROWS: Final = 3


def _edit(name: str) -> Callable[[Desk], None]:
    def act(desk: Desk) -> None:
        desk.complete_no_more()
        getattr(desk.composer, name)()

    return act


def _window(index: int) -> Callable[[Desk], None]:
    def act(desk: Desk) -> None:
        if index < len(desk.state.order):
            desk.open(desk.state.order[index])

    return act


def _step(by: int) -> Callable[[Desk], None]:
    return lambda desk: desk.open(desk.state.step(by))


def _active(desk: Desk) -> None:
    rooms = desk.state.active()
    desk.open(rooms[0] if rooms else desk.state.last)


def _scroll(screens: float) -> Callable[[Desk], None]:
    return lambda desk: desk.viewport.scroll(int(desk.viewport.page() * screens))


def _select(by: int) -> Callable[[Desk], None]:
    return lambda desk: desk.viewport.select(by)


def _newline(desk: Desk) -> None:
    desk.insert("\n")


def _end_of_input(desk: Desk) -> None:
    if desk.composer.text:
        desk.composer.delete()
    else:
        desk.leave()


def _let_go(desk: Desk) -> None:
    desk.viewport.selected = None
    desk.complete_no_more()
    desk.viewport.follow()


def _focus(focused: bool) -> Callable[[Desk], None]:
    def act(desk: Desk) -> None:
        desk.focused = focused

    return act


KEYS: Final[dict[str, Callable[[Desk], None]]] = {
    "enter": Desk.submit,
    "meta enter": _newline,
    "tab": Desk.complete,
    "shift tab": lambda desk: desk.complete(-1),
    "backspace": _edit("backspace"),
    "ctrl h": _edit("backspace"),
    "delete": _edit("delete"),
    "left": _edit("left"),
    "ctrl b": _edit("left"),
    "right": _edit("right"),
    "ctrl f": _edit("right"),
    "ctrl left": _edit("word_left"),
    "meta b": _edit("word_left"),
    "ctrl right": _edit("word_right"),
    "meta f": _edit("word_right"),
    "home": _edit("home"),
    "ctrl a": _edit("home"),
    "end": _edit("end"),
    "ctrl e": _edit("end"),
    "up": _edit("up"),
    "down": _edit("down"),
    "ctrl k": _edit("kill_to_end"),
    "ctrl u": _edit("kill_to_start"),
    "ctrl w": _edit("kill_word"),
    "meta backspace": _edit("kill_word"),
    "meta d": _edit("kill_word_after"),
    "ctrl y": _edit("yank"),
    "ctrl r": _edit("search_history"),
    "ctrl c": Desk.interrupt,
    "ctrl d": _end_of_input,
    "page up": _scroll(1),
    "page down": _scroll(-1),
    "meta p": _scroll(1),
    "meta n": _scroll(-1),
    "ctrl home": lambda desk: desk.viewport.to_first_new(),
    "ctrl end": _let_go,
    "esc": _let_go,
    "meta up": _select(-1),
    "meta down": _select(1),
    "ctrl up": _select(-1),
    "ctrl down": _select(1),
    "meta left": _step(-1),
    "ctrl p": _step(-1),
    "meta right": _step(1),
    "ctrl n": _step(1),
    "meta a": _active,
    "focus in": _focus(True),
    "focus out": _focus(False),
    **{f"meta {key}": _window(index) for index, key in enumerate(_WINDOWS)},
}


#: In a search, these end it without what was found.
_GIVE_UP: Final = frozenset(("esc", "ctrl g", "ctrl c"))


def _searched(desk: Desk, key: str) -> bool:
    """Whether the key is one of a search in the history. Enter takes what was found into the input, where Enter sends
    it; any other key takes it too, and then does what it does."""
    composer = desk.composer
    if composer.search is None or key == "ctrl r":
        return False
    if len(key) == 1 and key.isprintable():
        composer.search_for(key)
    elif key in ("backspace", "ctrl h"):
        composer.search_for_less()
    else:
        composer.end_search(taken=key not in _GIVE_UP)
        return key == "enter" or key in _GIVE_UP
    return True


class Keyboard:
    """Turns keys into acts. All between `begin paste` and `end paste` is text, whatever keys it looks like."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pasted: list[str] | None = None

    def press(self, key: Key, shown: Picture | None = None) -> None:
        """One key, or one act of the mouse on the picture that is `shown`."""
        desk = self._desk
        if isinstance(key, tuple):
            desk.composer.end_search(taken=True)
            _mouse(desk, key, shown)
        elif key == "begin paste":
            desk.composer.end_search(taken=True)
            self._pasted = []
        elif key == "end paste":
            pasted, self._pasted = self._pasted or [], None
            desk.insert("".join(pasted).rstrip("\n"))
        elif self._pasted is not None:
            self._pasted.append({"enter": "\n", "tab": "    "}.get(key, key if len(key) == 1 else ""))
        elif key not in ("focus in", "focus out") and _searched(desk, key):
            pass
        elif key in KEYS:
            KEYS[key](desk)
        elif len(key) == 1 and (key.isprintable() or key in "\u200c\u200d\ufe0f"):
            desk.insert(key)
        desk.signal.set()


def _mouse(desk: Desk, key: tuple[str, int, int, int], shown: Picture | None) -> None:
    what, button, column, row = key
    if what != "mouse press":
        return
    if button in (4, 5):
        desk.viewport.scroll(_WHEEL_ROWS if button == 4 else -_WHEEL_ROWS)
    elif button == 1 and shown is not None and column < shown.side and row in shown.windows:
        desk.open(shown.windows[row])
