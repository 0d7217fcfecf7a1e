"""Entity tags and preconditions (RFC 9110, sections 8.8.3 and 13).

A tag is a digest of the representation, so that it changes when, and only when, the reader's view has changed. An
`If-Match` is checked just before the command is submitted. The old value travels in the command, as the client
knew it (`expects`), and the room compares it when it decides: of two writers who ask at once, one is refused.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from gochat.errors import Denied
from gochat.http.messages import Headers
from gochat.http.rest.refused import Refused, bad

TAG_PATTERN: Final = r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")'
_TAG: Final = re.compile(TAG_PATTERN)
_TAGS: Final = re.compile(rf"{TAG_PATTERN}([ \t]*,[ \t]*{TAG_PATTERN})*")

encode = msgspec.json.Encoder().encode


def entity_tag(representation: bytes) -> str:
    return f'"{hashlib.blake2b(representation, digest_size=12).hexdigest()}"'


def is_fresh(headers: Headers, tag: str) -> bool:
    """Whether `If-None-Match` says that the client has this representation. Compared weakly: a proxy may have
    weakened the tag on the way."""
    given = ",".join(headers.get_all("if-none-match"))
    return given.strip() == "*" or any(found == tag for _, found in _TAG.findall(given))


def check_match(headers: Headers, present: msgspec.Struct) -> bool:
    """Whether `If-Match` names the present representation, and not just any. Raises Refused where it names others."""
    given = ",".join(headers.get_all("if-match"))
    if given == "*":
        return False
    if _TAGS.fullmatch(given) is None:
        raise bad('If-Match: entity tags such as "abc", separated by commas, or *')
    tag = entity_tag(encode(present))
    if not any(found == tag for weak, found in _TAG.findall(given) if not weak):
        raise Refused(Denied("conflict", "it has changed since; read it again"), status=412, headers={"etag": tag})
    return True
