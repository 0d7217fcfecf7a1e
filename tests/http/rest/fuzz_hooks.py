"""Answers that schemathesis takes for faults and that are none: each has its reason, looked for in the very answer.

Loaded by its command line (`SCHEMATHESIS_HOOKS`), in a process of its own.
"""

from __future__ import annotations

import re
from typing import Any, Final

import schemathesis

from gochat.domain.folding import NO_WORDS

#: The user who asks, and another who has requested to write to them.
ASKER, OTHER = "ann", "zoe"

#: The words by which a request that is valid by the document is refused, and why the document can't say it.
BEYOND_A_SCHEMA: Final[dict[str, str]] = {
    "that is you": "it depends on who asks; the description says it",
    "before and after exclude each other": "a parameter can't forbid another; both descriptions say it",
    "successor: only for who leaves": "it depends on who asks; the description says it",
    "to: not an address such as user:bob or group:tea, nor a room id": "a pattern can't compare: users in byte order",
    "room: not a room id such as group:tea or dm:ann:bob (users in byte order)": "the same",
    "not a message id such as group:tea:42 or dm:ann:bob:7 (users in byte order)": "the same",
    "reply_to: must be a whole number, not a decimal number": "69.0 is an integer to JSON Schema; its head says it",
    "seconds: must be a whole number, not a decimal number": "the same",
    "until: must be a whole number, not a decimal number": "the same",
    "until goes with room": "a field can't ask for another; the description says it",
    "tz goes with quiet": "the same",
    "quiet needs tz": "the same",
    "quiet: begins when it ends": "a pattern can't compare",
    "tz: no such time zone; write it as Europe/Vienna or UTC": "the names of zones are not the document's to list",
    NO_WORDS.message: "what a word is can't be said by a pattern; the description says it",
}


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Whoever asks is in every answer and so in most requests; but one is no contact of one's own. Not all phases of a
    run come by here."""
    apart = context.operation.path.startswith(("/v1/contacts/", "/v1/requests/", "/v1/blocks/"))
    return path_parameters | {"id": OTHER} if apart and path_parameters.get("id") == ASKER else path_parameters


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether it is a failure."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    condition = (case.headers or {}).get("If-Match")
    if response.status_code == 412:
        return condition is None  # The condition is valid, and no longer holds.
    if response.status_code != 400:
        return True
    detail = response.json()["detail"]
    if detail.startswith("If-Match:") and condition is not None:
        # Some headers that were made to be wrong are counted among the right ones.
        pattern = next(
            parameter["schema"]["pattern"]
            for parameter in case.operation.definition.raw["parameters"]
            if parameter["name"] == "If-Match"
        )
        return re.search(pattern, condition) is not None
    return detail not in BEYOND_A_SCHEMA
