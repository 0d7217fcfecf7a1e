"""Tells what is wrong with input that could not be decoded, in a sentence that names the field and the bound. All input
comes here, from sockets and from REST.

msgspec tells it in words that take knowledge of its types (`Expected `str` of length <= 32 - at `$.emoji``), and has no
other form of it; so its words are read here. A test tries every kind of field of every request.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

#: Raised by decoding: bad syntax, wrong fields, bad UTF-8, and JSON that is nested too deeply.
DECODING: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
#: Characters of a value that is repeated, and of a sentence.
_VALUE, _SENTENCE = 40, 200

_PLACE: Final = re.compile(r" - at (?:`(key)` in )?`\$\.?(.*?)`$", re.DOTALL)
_NAMES: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
    "bytes": "binary data",
}
#: To the decoder 1.0 and 1e3 are no integers; MessagePack's decoder names null as Python does.
_GIVEN: Final = {**_NAMES, "float": "a decimal number", "None": "null"}
_COUNTED: Final = {"str": "character", "array": "entr", "object": "entr", "bytes": "byte"}


def sentence(error: Exception, what: str, kind: Any = None) -> str:
    """Why `what` ("frame", "body", "query") could not be decoded. `error` is one of DECODING; `kind` the struct that
    was expected, if known: then the values that a field takes are told."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"the {what} is not UTF-8"
    text = " ".join(str(error).split())
    place = _PLACE.search(text)
    said, where = (text[: place.start()], place[2]) if place else (text, "")
    if place and place[1]:
        where = f"a key of {where or what}"
    for form, tell in _FORMS:
        found = form.fullmatch(said)
        if found:
            return tell(found, where, what, kind)[:_SENTENCE]
    return (f"{where}: {said}" if where else said)[:_SENTENCE]


def _length(found: re.Match[str], where: str, what: str, kind: Any) -> str:
    counted, sign, number = found[1], found[2], int(found[3])
    if sign == ">=" and number == 1:
        return f"{where or what}: must not be empty"
    noun = _COUNTED.get(counted, "entr")
    ending = ("y" if number == 1 else "ies") if noun == "entr" else ("" if number == 1 else "s")
    return f"{where or what}: at {'most' if sign == '<=' else 'least'} {number:,} {noun}{ending}"


def _bound(found: re.Match[str], where: str, what: str, kind: Any) -> str:
    return f"{where or what}: at {'most' if found[1] == '<=' else 'least'} {int(found[2]):,}"


def _type(found: re.Match[str], where: str, what: str, kind: Any) -> str:
    wanted = [_NAMES.get(name, name) for name in found[1].split(" | ") if name != "null" or found[1] == "null"]
    given = found[2]
    if not where and wanted == ["an object"] and given:
        return f"a {what} is one object, not {_GIVEN.get(given, given)}"
    rest = f", not {_GIVEN.get(given, given)}" if given else ""
    return f"{where or what}: must be {' or '.join(wanted)}{rest}"


def _missing(found: re.Match[str], where: str, what: str, kind: Any) -> str:
    return f"{found[1]} is missing" + (f" in {where}" if where else "")


def _unknown(found: re.Match[str], where: str, what: str, kind: Any) -> str:
    return f"there is no field {found[1][:_VALUE]}" + (f" in {where}" if where else "")


def _value(found: re.Match[str], where: str, what: str, kind: Any) -> str:
    value = found[1] if len(found[1]) <= _VALUE else f"{found[1][:_VALUE]}..."
    if where == "type":
        return f"there is no type {value}"
    values = _values(kind, where)
    allowed = f"one of {', '.join(values)}" if values else "one of its values"
    return f"{where or what}: must be {allowed}, not {value}"


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str], str, str, Any], str]], ...]] = (
    (re.compile(r"Expected `(\w+)` of length (<=|>=) (\d+)"), _length),
    (re.compile(r"Expected `(?:int|float)` (<=|>=) (-?\d+)"), _bound),
    (re.compile(r"Expected `([\w| ]+)`(?:, got `(\w+)`)?"), _type),
    (re.compile(r"Object missing required field `(.+)`"), _missing),
    (re.compile(r"Object contains unknown field `(.*)`"), _unknown),
    (re.compile(r"Invalid (?:enum )?value (.*)"), _value),
    (re.compile(r"Number out of range"), lambda found, where, what, kind: f"{where or what}: the number is too large"),
    # msgspec says the same of half a surrogate pair near the end, which it still waits for the other half of.
    (
        re.compile(r"Input data was truncated"),
        lambda found, where, what, kind: f"the {what} ends in the middle, or has half of a surrogate pair",
    ),
    (
        re.compile(r"(JSON|MessagePack) data? ?is malformed: (.*)|(JSON) is malformed: (.*)"),
        lambda found, where, what, kind: f"the {what} is not {found[1] or found[3]}: {found[2] or found[4]}",
    ),
)


def _values(kind: Any, field: str) -> list[str]:
    """The values that a field of the struct takes, where they are named one by one."""
    if kind is None:
        return []
    names = {each.encode_name: each.name for each in msgspec.structs.fields(kind)}
    hint = get_type_hints(kind, include_extras=True).get(names.get(field, field))
    return list(map(str, _literals(hint)))


def _literals(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if get_origin(hint) is Annotated:
        return _literals(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [value for part in get_args(hint) for value in _literals(part)]
    return []
