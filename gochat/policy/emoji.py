"""The emoji that Unicode recommends, read from the file that the package `emoji` carries. Its code is not loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from gochat.domain.display_text import bare_emoji
from gochat.errors import ConfigError

log = logging.getLogger(__name__)

EMOJI_PACKAGE, EMOJI_FILE = "emoji", Path("unicode_codes", "emoji.json")
#: Fully qualified, in the words of UTS 51; parts of emoji, like tones of skin alone, have 1.
_QUALIFIED = 2


class _Known(msgspec.Struct):
    status: int


@cache
def load_emoji() -> Mapping[str, str]:
    """By its bare form each emoji with all the selectors that it should have. Takes 6 ms, once. Raises ConfigError.

    Without the package there are none: a node that was updated without its packages serves, and logs the missing one.
    """
    spec = find_spec(EMOJI_PACKAGE)
    if spec is None or spec.origin is None:
        log.warning("any text is a reaction: the package %s is not installed; install it, and restart", EMOJI_PACKAGE)
        return {}
    file = Path(spec.origin).parent / EMOJI_FILE
    try:
        known = msgspec.json.decode(file.read_bytes(), type=dict[str, _Known])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError("reactions", str(file), "can't be read: install the package emoji again") from error
    return {bare_emoji(emoji): emoji for emoji, each in known.items() if each.status == _QUALIFIED}
