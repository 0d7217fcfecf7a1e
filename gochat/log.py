"""Logging: one record is one line, as text for people or as JSON for collectors.

Text from peers may stand in a record, so control characters come out escaped: no one can forge a line, or talk to a
terminal. Text that looks like a token is cut out, wherever it came from.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import TextIO

#: C0 and C1 controls, line and paragraph separators, bidirectional overrides, and lone surrogates.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
#: A JWT anywhere, and whatever follows `Bearer` or the subprotocol entry `bearer.`.
_TOKENS = re.compile(r"eyJ[\w-]+\.[\w-]*\.?[\w-]*|(?<=bearer[ .])[\w.~+/=-]+", re.IGNORECASE)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def inert(text: str) -> str:
    """`text` with control characters written as escapes and tokens cut out. Safe to write to a line."""
    return _CONTROLS.sub(_escaped, _TOKENS.sub("[token]", text))


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _timestamp(record: logging.LogRecord) -> str:
    """UTC, RFC 3339, with milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _extras(record: logging.LogRecord) -> dict[str, object]:
    """The fields that were given as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class TextFormatter(logging.Formatter):
    """`TIME LEVEL LOGGER MESSAGE key=value ...`; the lines of a traceback follow, each behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(f" {name}={inert(str(value))}" for name, value in _extras(record).items())
        line = f"{_timestamp(record)} {record.levelname:<7} {record.name}: {inert(record.getMessage())}{extras}"
        return "".join([line, *(f"\n  | {inert(below)}" for below in _traceback(self, record))])


class JsonFormatter(logging.Formatter):
    """An object a line: ts, level, logger, message, whatever was given as extra, and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": inert(record.getMessage()),
        }
        for name, value in _extras(record).items():
            fields.setdefault(name, value if isinstance(value, int | float | bool) else inert(str(value)))
        traceback = [inert(line) for line in _traceback(self, record)]
        if traceback:
            fields["traceback"] = traceback
        return json.dumps(fields)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return [line for part in parts for line in part.splitlines()]


def setup(level: str = "info", style: str = "text", stream: TextIO | None = None) -> None:
    """Send every logger's records from `level` up to `stream` (standard error), in one style: text or json."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
