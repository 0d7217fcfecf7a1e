"""The styles by name, in the colours of the terminal's own palette, and without colours."""

from __future__ import annotations

from typing import Final

#: Name, colour of the text, background, and how it is set off where there are no colours (`NO_COLOR`). Bars are in
#: reverse video everywhere, since an erased end of a row would lose a background of their own. Less important text is
#: faint and not gray: the gray of sixteen colours is black on black in some terminals.
PALETTE: Final[list[tuple[str, str, str, str]]] = [
    ("bar", "default,standout", "default", "standout"),
    ("bar alert", "default,bold,standout", "default", "bold,standout"),
    ("current", "default,standout", "default", "standout"),
    ("divider", "default,faint", "default", "faint"),
    ("time", "default,faint", "default", "faint"),
    ("quote", "default,faint", "default", "faint"),
    ("day", "default,faint", "default", "faint"),
    ("mark", "default,faint", "default", "faint"),
    ("new", "yellow,bold", "default", "bold"),
    ("me", "default,bold", "default", "bold"),
    ("note", "dark cyan", "default", "default"),
    ("error", "light red", "default", "bold"),
    ("act", "dark green", "default", "default"),
    ("waits", "default,faint", "default", "faint"),
    ("mention", "light magenta,bold", "default", "bold,underline"),
    ("unread", "default,bold", "default", "bold"),
    ("alert", "light magenta,bold", "default", "bold,underline"),
    ("online", "light green", "default", "default"),
    ("selected", "default,standout", "default", "standout"),
    ("prompt", "dark cyan", "default", "bold"),
    ("user 0", "dark cyan", "default", "default"),
    ("user 1", "dark green", "default", "default"),
    ("user 2", "dark magenta", "default", "default"),
    ("user 3", "brown", "default", "default"),
    ("user 4", "light blue", "default", "default"),
    ("user 5", "light cyan", "default", "default"),
]
_COLOURS: Final = sum(name.startswith("user ") for name, *_ in PALETTE)


def user_style(user: str) -> str:
    """The style of a user's name: the same one each time."""
    return f"user {sum(user.encode()) % _COLOURS}"
