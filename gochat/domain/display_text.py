"""The characters that people's words may hold where others read them: names, titles, bodies, reasons. Pure.

A text is cleaned, never refused for how it is written: characters that hide or deceive are left out, those that a
script or an emoji needs stay as they are. Left out are

- control characters (`\\n` and `\\t` stay in bodies), characters that nothing is drawn for, noncharacters;
- characters that turn text around: overrides always, embeddings and isolates that do not end in their own line;
  direction marks where no letter is written from right to left;
- joiners, variation selectors, zero-width spaces and tags, except where they change what is drawn: joiners in Arabic,
  Indic and their like, and in emoji; zero-width spaces beside scripts that need them, such as Thai and Khmer;
- marks piled up on one letter: all but 4 accents, 8 of any kind, which also bounds the cost of putting marks in order.

Blank letters are read as a space, except in braille. Lines are separated by `\\n` alone, at most 4 of them in a row. A
text of one line has one space for each run of white space, and begins with no mark. Cleaning twice changes nothing.
"""

from __future__ import annotations

import re
from functools import cache
from unicodedata import bidirectional, category, combining

_LINE_ENDS = "\r\v\f\x85\u2028\u2029"
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
#: Never drawn, or only by software that gives them a meaning of its own; fillers and blanks apart.
_UNSEEN = "\xad\u17b4\u17b5\u2060-\u2065\u206a-\u206f\ufdd0-\ufdef\ufeff\ufff0-\ufffc\ufffe\uffff"
_UNSEEN_BEYOND = (
    "\U00016fe4\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff"
    "\U000e01f0-\U000e0fff\U000f0000-\U0010ffff"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0xF0000, 0x10000))
)
_OVERRIDES = "\u202d\u202e"
_BLANK = "\u2800\u3164\uffa0"
#: Kept or not by what stands beside them.
_BY_COMPANY = "\u034f\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\ufe00-\ufe0f"
_BY_COMPANY_BEYOND = "\U000e0020-\U000e007f\U000e0100-\U000e01ef"
_EMBEDDINGS, _ISOLATES = "\u202a\u202b", "\u2066\u2067\u2068"
_POP, _POP_ISOLATE = "\u202c", "\u2069"
_TURNING = f"{_EMBEDDINGS}{_POP}{_ISOLATES}{_POP_ISOLATE}"
_ACCENTS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
#: Where marks are in the Basic Multilingual Plane, blocks of whole scripts among them.
_MARKED = (
    f"{_ACCENTS}\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0711\u0730-\u074a\u07a6-\u07fd\u0816-\u085b"
    "\u0897-\u08ff\u0900-\u1cff\u2cef-\u2cf1\u2d7f\u2de0-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\ua6f1\ua802-\uabed\ufb1e"
)
_MAX_ACCENTS, _MAX_MARKS, _MAX_LINE_ENDS = 4, 8, 4
_MAX_JOINERS = 3  # Arabic has ZWJ, ZWNJ, ZWJ (The Unicode Standard, 9.2)

_MANY_ACCENTS = rf"[{_ACCENTS}]{{{_MAX_ACCENTS + 1},}}"
_MANY_SIGNS = rf"[^\w\s!-~]{{{_MAX_MARKS + 1},}}"
#: Characters that are odd or marks in the Basic Multilingual Plane, and all beyond it: searched for in a microsecond.
_may_be_odd = re.compile(
    rf"[{_CONTROLS}{_LINE_ENDS}{_UNSEEN}{_OVERRIDES}{_BLANK}{_BY_COMPANY}{_TURNING}{_MARKED}\U00010000-\U0010ffff]"
).search
_is_odd = re.compile(
    rf"[{_CONTROLS}{_LINE_ENDS}{_UNSEEN}{_UNSEEN_BEYOND}{_OVERRIDES}{_BLANK}{_BY_COMPANY}{_BY_COMPANY_BEYOND}{_TURNING}]"
).search
_is_heap = re.compile(rf"[^\w\s!-~]{{{_MAX_ACCENTS + 1},}}").search
_is_odd_ascii = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]").search
_line_ends = re.compile(rf"\r\n|[{_LINE_ENDS}]").sub
_never_kept = re.compile(rf"[{_CONTROLS}{_UNSEEN}{_UNSEEN_BEYOND}{_OVERRIDES}]")
_unseen = _never_kept.sub
_blanks = re.compile(rf"[{_BLANK}]").sub
_fillers = re.compile("[\u3164\uffa0]").sub
_by_company = re.compile(rf"[{_BY_COMPANY}{_BY_COMPANY_BEYOND}]+").sub
_marks_direction = re.compile("[\u061c\u200e\u200f]").search
_turns = re.compile(rf"[{_TURNING}]").search
_accents = re.compile(_MANY_ACCENTS).sub
_signs = re.compile(_MANY_SIGNS).sub
_blank_lines = re.compile(rf"\n(?:[^\S\n]*\n){{{_MAX_LINE_ENDS},}}").sub
_has_braille = re.compile("[\u2801-\u28ff]").search
_flag_tags = re.compile("\ufe0f?[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f").fullmatch

#: Scripts whose letters join, or stack: a joiner says how.
_JOINING = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1700-\u18af\u1a20-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefe"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f]"
).match
#: Scripts that put no space between words, so that some write where a line may break.
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf]"
).match
_MONGOLIAN = re.compile("[\u1800-\u18af\U00011660-\U0001167f]").match
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]").match
_JAMO = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]").match
_FLAG = "\U0001f3f4"


def clean_body(text: str) -> str:
    """A text of several lines, as it is shown; empty if nothing of it would be seen."""
    if text.isascii():
        is_plain = _is_odd_ascii(text) is None
    else:
        is_plain = _is_plain(text)
    if is_plain and text.count("\n") <= _MAX_LINE_ENDS:
        return text.strip()
    text = _blank_lines("\n" * _MAX_LINE_ENDS, _cleaned(text)).strip()
    return text if _is_seen(text) else ""


def clean_line(text: str) -> str:
    """A text of one line, as it is shown among the words of others; empty if nothing of it would be seen."""
    if text.isascii():
        return " ".join((text if _is_odd_ascii(text) is None else _cleaned(text)).split())
    start = 1
    while start:  # Once more where something went at the beginning: what is left may have stayed for its company.
        if not _is_plain(text):
            text = _cleaned(text.replace("\u2800", " "))
        text = " ".join(text.split())
        start = next((index for index, char in enumerate(text) if not _needs_letter(char)), len(text))
        text = text[start:]
    return text if _is_seen(text) else ""


def is_raw(text: str) -> bool:
    """Whether it holds characters that cleaning leaves out wherever they stand, so that it never was cleaned. Others go
    or stay by their company, which a mask may have taken since."""
    return _never_kept.search(text) is not None


def _needs_letter(char: str) -> bool:
    """Whether it belongs to a letter before it; white space does not matter either."""
    return category(char) in ("Mn", "Me", "Zs") or char in "\u200b\u200c\u200d"


def bare_emoji(text: str) -> str:
    """The form that two ways to write one emoji share: the text less the selectors of emoji and text presentation."""
    return text.replace("\ufe0f", "").replace("\ufe0e", "")


def _is_plain(text: str) -> bool:
    return _may_be_odd(text) is None or (_is_odd(text) is None and _is_heap(text) is None)


def _cleaned(text: str) -> str:
    text = _unseen("", _line_ends("\n", text))
    text = (_blanks if _has_braille(text) is None else _fillers)(" ", text)
    if not text.isascii():
        if _turns(text) is not None:
            text = "\n".join(map(_balanced, text.split("\n")))
        is_turned = _marks_direction(text) is not None and _is_turned(text)
        text = _by_company(lambda run: _kept(run, is_turned=is_turned), text)
        text = _accents(lambda run: run[0][:_MAX_ACCENTS], text)
        text = _signs(_without_heaps, text)
    return text


def _is_turned(text: str) -> bool:
    """Whether any of its letters is written from right to left."""
    return any(char.isalpha() and bidirectional(char) in ("R", "AL") for char in text)


def _kept(run: re.Match[str], *, is_turned: bool) -> str:
    """The characters to keep of a run whose characters need company."""
    text, start, end = run.string, *run.span()
    before, after = text[start - 1 : start], text[end : end + 1]
    if before == _FLAG and _flag_tags(run[0]) is not None:
        return run[0]
    kept = ""
    joiners = 0
    for char in run[0]:
        if char in "\u200c\u200d":
            in_emoji = char == "\u200d" and not joiners and _is_pictograph(before) and _is_pictograph(after)
            if joiners < _MAX_JOINERS and (in_emoji or _JOINING(before) is not None):
                kept += char
                joiners += 1
        elif char in "\u200e\u200f\u061c":
            kept += char if is_turned and char not in kept else ""
        elif char not in kept and _has_company(char, before, after, kept):
            kept += char
    return kept


def _has_company(char: str, before: str, after: str, kept: str) -> bool:
    """Whether it changes how its neighbours are drawn. One selector belongs to one character."""
    if not before or before.isspace():
        return False
    if char == "\u200b":
        return _SPACELESS(before) is not None or _SPACELESS(after) is not None
    if char in "\u115f\u1160":
        return _JAMO(before) is not None or _JAMO(after) is not None
    if kept:
        return False
    if char == "\u034f":
        return category(before)[0] == "M"
    if "\u180b" <= char <= "\u180f":
        return _MONGOLIAN(before) is not None
    if "\ufe00" <= char <= "\ufe0f":
        return before in "#*0123456789" if before.isascii() else before not in _TURNING
    return char >= "\U000e0100" and _HAN(before) is not None


@cache
def _is_pictograph(char: str) -> bool:
    """Whether a joiner may stand beside it in an emoji; tones of skin end what is joined."""
    return char >= "\u2190" and category(char) in ("So", "Sk", "Sm", "Cn")


def _balanced(line: str) -> str:
    """The line less the embeddings and isolates that do not end in it, and less ends of nothing (UAX 9, BD9)."""
    opened: list[int] = []
    paired: set[int] = set()
    isolates = 0  # The number of those that are open.
    for index, char in enumerate(line):
        if char in _EMBEDDINGS or char in _ISOLATES:
            opened.append(index)
            isolates += char in _ISOLATES
        elif char == _POP and opened and line[opened[-1]] in _EMBEDDINGS:
            paired.update((opened.pop(), index))
        elif char == _POP_ISOLATE and isolates:
            while line[opened[-1]] not in _ISOLATES:
                opened.pop()
            paired.update((opened.pop(), index))
            isolates -= 1
    return "".join(char for index, char in enumerate(line) if char not in _TURNING or index in paired)


def _without_heaps(run: re.Match[str]) -> str:
    """The signs less the marks that are too many on one letter."""
    kept, marks = "", 0
    for char in run[0]:
        marks = marks + 1 if category(char) in ("Mn", "Me") or combining(char) else 0
        kept += char if marks <= _MAX_MARKS else ""
    return kept


def _is_seen(text: str) -> bool:
    """Whether anything is drawn: what else needs company has it."""
    return text.isascii() or not all(char.isspace() or char in _TURNING or char == "\u2800" for char in text)
