"""Says how the project's prose and names keep to the house style: `python docs/prose.py`.

Three things are counted, each with its places (`--places`):

- sentences in docstrings, comments and pages that begin with "Who" or "What" and are no question, as a share of all
  sentences. A sentence has a noun as its subject.
- `fmt: skip` outside tables. A table is a literal with at least three rows that a person aligned.
- names that the glossary replaced, as names of modules, classes, functions, methods and attributes.

Headings, table cells, code and what stands between backticks are no sentences; several comment lines below each other
are one paragraph, and so is each item of a list.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CODE = ("gochat", "tests", "bench", "docs", "deploy", "examples")
#: Where the modules of the page stand, and their tests; not what others wrote.
SCRIPTS = ("gochat/http/web", "tests/web", "tests/browser")

#: Names that have another now. A name counts with any case and with underscores before it.
GLOSSARY: dict[str, str] = {
    old: new
    for olds, new in (
        ("Stretch", "FactBatch"),
        ("beside", "side_records"),
        ("Line", "SendQueue"),
        ("Flusher", "Broadcaster"),
        ("when_level when_left", "on_drained"),
        ("behind", "over_limit"),
        ("Rounds", "RunQueue"),
        ("round", "run_turn"),
        ("take_off", "start_commit"),
        ("flying", "committing"),
        ("landing landed", "committed"),
        ("doubt", "mark_stale"),
        ("doubtful", "stale"),
        ("worthless", "evictable"),
        ("lingers", "keeps_task"),
        ("rest", "passivate"),
        ("woken", "activate"),
        ("Sleeper", "trio's Event"),
        ("Wheel", "TimerWheel"),
        ("Doors", "Endpoints"),
        ("door", "resource"),
        ("Lease", "Slot"),
        ("books", "ConnectionLimiter"),
        ("Tail", "WriteBuffer"),
        ("Lot", "Segment"),
        ("turn_over", "rotate"),
        ("jam", "quarantine"),
        ("stuck spent", "quarantined"),
        ("Merged", "MergedReader"),
        ("level", "ensure_merged"),
        ("Many", "BulkInsert"),
        ("Probe", "ExistsQuery"),
        ("cut", "tokenize"),
        ("near", "fuzzy"),
        ("locate", "rare_terms"),
        ("seat", "membership"),
        ("num", "room_pk"),
        ("Knowledge", "Prefetched"),
        ("gather", "prefetch"),
        ("Passing", "RoomEvents"),
        ("tell_softly push_soft", "send_best_effort"),
        ("Place Places", "Position"),
        ("apart", "catching_up"),
        ("From", "LiveFrom"),
        ("greeting", "sign_in"),
        ("oversight oversee", "moderation"),
        ("Speaker", "Principal"),
        ("Asker", "Viewer"),
        ("Ticket", "ReplyTo"),
        ("settle", "reply"),
        ("unsettled", "in_flight"),
        ("InForce", "CurrentRules"),
        ("LateApp", "LazyApp"),
        ("allowance", "ReadLimiter"),
        ("spans", "durations"),
        ("lookalikes", "confusables"),
        ("sieve", "prefilter"),
        ("past", "membership_history"),
        ("form", "schema"),
        ("room_in", "import_room"),
        ("room_out", "export_room"),
        ("user_gone", "delete_user"),
        ("ask", "commands"),
        ("Parts", "Context"),
    )
    for old in olds.split()
}

#: Names that mean something else here: the file, and the name as it stands there.
OTHER_MEANINGS = frozenset(
    (
        ("gochat/auth/tokens.py", "_parts"),  # Of a JWT.
        ("gochat/auth/tokens.py", "ticket"),  # For one sign-in.
        ("gochat/client/asking.py", "ask"),  # A question to the server.
        ("gochat/client/chat.py", "ask"),
        ("gochat/client/paging.py", "_ask"),
        ("gochat/client/positions.py", "BEHIND"),  # The head.
        ("gochat/client/positions.py", "_behind"),
        ("gochat/client/positions.py", "ask"),
        ("gochat/client/unsent.py", "_ask"),  # A question to the user.
        ("gochat/cluster/journal.py", "behind"),  # The end of the log.
        ("gochat/cluster/lease.py", "Lease"),  # Of a cluster's one notifier.
        ("gochat/cluster/lease.py", "lease"),
        ("gochat/cluster/news.py", "Ask"),  # A question to other nodes.
        ("gochat/cluster/presence.py", "_settle"),  # Two sessions of one device.
        ("gochat/cluster/registry.py", "behind"),
        ("gochat/cluster/peers.py", "ask"),  # A question to another node.
        ("gochat/cluster/secret.py", "_line"),  # Of text.
        ("gochat/commands/admin.py", "_ask"),  # A question to the server.
        ("gochat/commands/tail.py", "tail"),  # The command.
        ("gochat/config/chat_sections.py", "level"),  # Of the log.
        ("gochat/http/app.py", "_line"),  # Of text.
        ("gochat/http/describe/page/rest.py", "parts"),  # Of a page.
        ("gochat/http/describe/page/rest.py", "rest"),  # The interface.
        ("gochat/http/describe/page/sockets.py", "parts"),
        ("gochat/http/rest/moderation.py", "_ask"),
        ("gochat/http/rest/views.py", "Ticket"),  # For one sign-in.
        ("gochat/http/rest/views.py", "ticket"),
        ("gochat/notify/email.py", "ask"),  # A question to another server.
        ("gochat/ports/journal.py", "behind"),  # The end of the log.
        ("gochat/protocol/codec.py", "_line"),  # Of text.
        ("gochat/replication.py", "place"),  # In the log.
        ("gochat/sim/client.py", "_ask"),  # A question to the server.
        ("gochat/sim/client.py", "_settle"),  # Of a request.
        ("gochat/sim/client.py", "ask"),
        ("gochat/store/write/journal.py", "behind"),  # The end of the log.
        ("gochat/transports/paired.py", "ask"),  # The other half of an answer.
    )
)

_FREE_RELATIVE = re.compile(r"(Who|What)\b")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'(*]*[A-Z`])")
#: A tenth of the time that `tokenize` takes. Before Python 3.12 no string holds its own quotes.
_STRING_OR_COMMENT = re.compile(
    r""""{3}(?:\\.|[^\\])*?"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|#[^\n]*""", re.DOTALL
)
_DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|pragma|!)")
#: A comment of JavaScript, alone in its line or behind code, without the types that it may end with.
_SCRIPT_COMMENT = re.compile(
    r"^(?P<code>.*?)(?:(?<![:\"'`])//|/\*\*?|(?<=^ )\*|(?<=^   )\*)\s+(?P<text>.*?)(?:@[a-z].*)?(?:\*/.*)?$"
)
_HASH = re.compile(r"^(?P<code>)#+!?\s+(?P<text>.*)$")
_ITEM = re.compile(r"\s*([-*]|\d+\.)\s+")
_LEAST_ROWS = 3


class Place(NamedTuple):
    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


# ------------------------------------------------------------------------------------------------ files


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py") if "build" not in path.parts)


def scripts() -> list[Path]:
    found = (path for folder in SCRIPTS for path in (ROOT / folder).rglob("*") if path.suffix in (".js", ".mjs"))
    return sorted(path for path in found if "vendor" not in path.parts)


def recipes() -> list[Path]:
    """Files whose comments begin with `#` and that are no Python."""
    names = ("Makefile", ".ci/run", "deploy/Dockerfile", "deploy/gochat.spec", "tests/conformance/script.txt")
    return [path for path in map(ROOT.joinpath, names) if path.exists()]


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")])


# ------------------------------------------------------------------------------------------------ sentences


def sentences() -> Iterator[Place]:
    for path in sources(*CODE):
        text = path.read_text(encoding="utf-8")
        for line, paragraph in [*_docstrings(text), *_comments(text)]:
            yield from (Place(path, line, sentence) for sentence in split(paragraph))
    for path, comment in [*((path, _SCRIPT_COMMENT) for path in scripts()), *((path, _HASH) for path in recipes())]:
        for line, paragraph in _paragraphs(_comment_lines(path.read_text(encoding="utf-8"), comment)):
            yield from (Place(path, line, sentence) for sentence in split(paragraph))
    for path in pages():
        for line, paragraph in _paragraphs(_prose_lines(path.read_text(encoding="utf-8"))):
            yield from (Place(path, line, sentence) for sentence in split(paragraph))


def split(paragraph: str) -> list[str]:
    """The sentences of a paragraph; a fragment without a full stop is one too."""
    return [sentence for sentence in _SENTENCE.split(" ".join(paragraph.split())) if re.search("[A-Za-z]", sentence)]


def free_relatives(said: Iterable[Place]) -> list[Place]:
    """Sentences that begin with "Who" or "What" and do not ask."""
    return [
        place
        for place in said
        if _FREE_RELATIVE.match(place.text.lstrip("\"'(*")) and not place.text.rstrip("\"')*").endswith("?")
    ]


def _docstrings(text: str) -> Iterator[tuple[int, str]]:
    """Of modules, classes, functions and attributes: every string that is a statement."""
    for node in _statements(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for line, paragraph in _paragraphs(enumerate(node.value.value.splitlines())):
                yield node.lineno + line, paragraph


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """As `ast.walk`, without expressions, which are nine of ten nodes."""
    waiting: deque[ast.AST] = deque((tree,))
    while waiting:
        node = waiting.popleft()
        yield node
        for field in ("body", "handlers", "cases", "orelse", "finalbody"):
            waiting += getattr(node, field, ())


def _comments(text: str) -> Iterator[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    for row, before, comment in comments(text):
        if not _DIRECTIVE.match(comment):
            if not (lines and not before.strip() and row == lines[-1][0] + 1):
                lines.append((row - 1, ""))  # A comment behind code begins anew.
            lines.append((row, comment.lstrip("#: ")))
    yield from _paragraphs(lines)


def comments(text: str) -> Iterator[tuple[int, str, str]]:
    """Of Python: the line, the text before it there, and the comment from its `#` on."""
    row, end = 1, 0
    for found in _STRING_OR_COMMENT.finditer(text):
        if text[found.start()] == "#":
            row, end = row + text.count("\n", end, found.start()), found.start()
            yield row, text[text.rfind("\n", 0, end) + 1 : end], found[0]


def _comment_lines(text: str, comment: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    behind = False
    for number, line in enumerate(text.splitlines(), 1):
        found = comment.match(line)
        before, behind = behind, found is not None and bool(found["code"].strip())
        if found is None or before or behind or "/*" in line:
            yield number, ""  # A comment behind code is a paragraph of its own.
        if found is not None:
            yield number, found["text"]


def _prose_lines(page: str) -> Iterator[tuple[int, str]]:
    """The lines of a page that are prose; in place of others, empty ones."""
    fenced = False
    for number, line in enumerate(page.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        prose = not fence and not fenced and not line.lstrip().startswith(("#", "|", "<!--"))
        yield number, line if prose else ""


def _paragraphs(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    begun, held = 0, ""
    for number, line in lines:
        item = _ITEM.match(line)
        if (item or not line.strip()) and held:
            yield begun, held
            held = ""
        if line.strip():
            begun = begun if held else number
            held += " " + (line[item.end() :] if item else line)
    if held:
        yield begun, held


# ------------------------------------------------------------------------------------------------ fmt: skip


def skips() -> list[Place]:
    """Each `fmt: skip` that does not close a table."""
    found: list[Place] = []
    for path in sources(*CODE):
        text = path.read_text(encoding="utf-8")
        if "fmt:" not in text:
            continue
        lines = [row for row, _, comment in comments(text) if re.match(r"#\s*fmt:\s*(skip|off)", comment)]
        if not lines:
            continue
        tables = _tables(ast.parse(text))
        found += [Place(path, line, text.splitlines()[line - 1].strip()) for line in lines if line not in tables]
    return found


def _tables(tree: ast.Module) -> set[int]:
    """The last lines of literals that have at least three rows."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            rows = [key.lineno for key in node.keys if key is not None]
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            rows = [element.lineno for element in node.elts]
        else:
            continue
        if len(set(rows)) >= _LEAST_ROWS and node.end_lineno is not None:
            found.add(node.end_lineno)
    return found


# ------------------------------------------------------------------------------------------------ names


def old_names() -> list[Place]:
    """Names of the glossary's left column that are still in use."""
    olds = {old.lower(): new for old, new in GLOSSARY.items()}
    found: list[Place] = []
    for path in sources("gochat"):
        names = [(1, "module", path.stem), *_names(ast.parse(path.read_text(encoding="utf-8")))]
        for line, kind, name in names:
            new = olds.get(name.strip("_").lower())
            if new is not None and (str(path.relative_to(ROOT)), name) not in OTHER_MEANINGS:
                found.append(Place(path, line, f"{kind} {name}: {new}"))
    return found


def _names(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    seen: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.lineno, "class", node.name
            for statement in node.body:
                targets = statement.targets if isinstance(statement, ast.Assign) else []
                targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
                for target in targets:
                    if isinstance(target, ast.Name):
                        yield target.lineno, "attribute", target.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, "function", node.name
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and ("self", node.attr) not in seen
        ):
            seen.add(("self", node.attr))
            yield node.lineno, "attribute", node.attr


# ------------------------------------------------------------------------------------------------ the whole


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts what the house style leaves out.")
    parser.add_argument("--places", action="store_true", help="Show each of them with its file and line.")
    arguments = parser.parse_args()
    said = list(sentences())
    relatives, skipped, names = free_relatives(said), skips(), old_names()
    share = len(relatives) / len(said)
    for told, places in (
        (f'{len(relatives)} of {len(said)} sentences begin with "Who" or "What": {share:.2%}', relatives),
        (f"{len(skipped)} `fmt: skip` outside tables", skipped),
        (f"{len(names)} names that the glossary replaced", names),
    ):
        print(told)
        if arguments.places:
            print(*(f"  {place}" for place in places), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
