"""Everything that the pages name exists: commands, options, settings, metrics, errors, terms; their examples parse."""

from __future__ import annotations

import ast
import json
import re
import typing
from functools import cache
from pathlib import Path

import msgspec
import pytest

from bench.cli import main as bench
from bench.peers.cli import main as peers
from gochat.collector import METRICS
from gochat.config import keys, sections
from gochat.domain.facts import AnyFact
from gochat.errors import CODES
from gochat.protocol import replies
from gochat.protocol.catalogue import CATALOGUE
from gochat.settings import env_name, load
from tests.docs.pages import HOWTO, README, ROOT, Block, blocks
from tests.docs.shell import commands, gochat_arguments, problem

DOCS = ROOT / "docs"
PAGES = [README, *sorted(HOWTO.glob("*.md")), *sorted(DOCS.glob("*.md")), DOCS / "reference" / "protocol.md"]
BLOCKS = [block for page in PAGES for block in blocks(page)]

#: The modules behind `python -m`.
HARNESS = {"bench": bench, "bench.peers": peers}
#: Variables that are no setting, and who reads them.
VARIABLES = {
    "GOCHAT_TOKEN": "commands that sign in",
    "GOCHAT_URL": "the same",
    "GOCHAT_CONFIG": "every command with --config",
    "GOCHAT_BENCH_SECRET": "the load harness",
    "GOCHAT_SECRET": "the examples that sign tokens",
}


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def plain() -> list[Block]:
    """Blocks of the pages on the harness, which do not say their language."""
    return [block for block in of("") if block.page in ("bench.md", "peers.md")]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def quoted(page: Path) -> list[str]:
    """The texts in backticks, each on one line."""
    return [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", prose(page))]


# ------------------------------------------------------------------------------------------------ examples parse


def test_every_command_line_is_one_that_gochat_takes() -> None:
    lines = [(block.page, line) for block in of("sh") for line in gochat_arguments(block.text)]
    assert len(lines) > 25
    assert {(page, *line): told for page, line in lines if (told := problem(line))} == {}


def test_every_command_that_a_sentence_names_is_there() -> None:
    named = [
        (page.name, text) for page in PAGES for text in quoted(page) if re.match(r"(docker exec .*)?gochat ", text)
    ]
    assert len(named) > 40
    found = {
        (page, text): told
        for page, text in named
        for line in gochat_arguments(text.replace("[-it]", "").replace("...", ""))
        if "COMMAND" not in line and (told := problem(line, whole=False))
    }
    assert found == {}


def test_every_line_of_the_harness_is_one_that_it_takes() -> None:
    lines = [words for block in plain() for words in commands(block.text) if words[:2] == ["python", "-m"]]
    assert len(lines) > 6
    assert [told for _, _, module, *rest in lines if (told := problem(rest, HARNESS[module]))] == []


def test_every_target_of_make_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = [words for block in [*of("sh"), *plain()] for words in commands(block.text) if words[0] == "make"]
    named = {words[1] for words in lines if words[1] != "-C"}  # which is another checkout's
    assert {"run", "test"} < named
    assert {target for target in named if not re.search(f"^{target}:", makefile, re.MULTILINE)} == set()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("gochat serve --port 80", "No such option '--port'"),
        ("gochat frobnicate", "there is no command frobnicate"),
        ("gochat room eksport group:tea", "there is no command eksport"),
        ("gochat backup", "FILE is missing"),
        ("gochat restore a.db b.db", "takes no ['b.db']"),
        ("echo $(gochat token issue)", "USER... is missing"),
        ('echo "a $(gochat token issue ann --until x)" | cat', "No such option '--until'"),
        ("X=1 .venv/bin/gochat token issue ann --ttl soon", "'soon' is not"),
        ("docker exec -it CONTAINER gochat chatt", "there is no command chatt"),
        ("gochat room expire --older-than many", "'many' is not"),
    ],
)
def test_a_line_that_gochat_does_not_take_is_found(line: str, told: str) -> None:
    (arguments,) = gochat_arguments(line)
    assert told in (problem(arguments) or "")


@pytest.mark.parametrize("block", of("toml"), ids=lambda block: f"{block.page}: {block.text[:24]!r}")
def test_settings_of_a_page_load(block: Block, tmp_path: Path) -> None:
    (tmp_path / "page.toml").write_text(block.text)
    loaded = load(tmp_path / "page.toml", {}, {})
    assert loaded.warnings == []


def test_json_of_a_page_parses() -> None:
    for block in of("json"):
        json.loads(block.text)


# ------------------------------------------------------------------------------------------------ names are there


def test_every_setting_that_a_page_names_is_there() -> None:
    named = {
        text
        for page in PAGES
        for text in re.findall(r"(?<![\w.:/|@-])([a-z]+\.[a-z_]+)(?: =.*)?", "\n".join(quoted(page)))
        if text.partition(".")[0] in sections()
    }
    assert len(named) > 50
    assert {name for name in named - keys().keys() if not name.endswith(".py")} == set()


def test_every_variable_that_a_page_names_is_there() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    known = {env_name(path) for path in keys()} | VARIABLES.keys()
    assert set(re.findall(r"\bGOCHAT_[A-Z_]*[A-Z]", text)) - known == set()


def test_every_metric_that_a_page_names_is_there() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    known = {metric.name for metric in METRICS}
    named = {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bgochat_[a-z_]*[a-z]", text)}
    assert len(named) > 10
    assert named - known == set()


@cache
def strings() -> str:
    """Every text in the source, as it is at run time; parts of an f-string by themselves."""
    found: list[str] = []
    for file in (ROOT / "gochat").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found += [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    return "\n".join(found)


def test_every_error_of_the_troubleshooting_page_is_one_of_the_code() -> None:
    text = (HOWTO / "troubleshooting.md").read_text(encoding="utf-8")
    first = [re.sub(r"(?<!\\)\|.*", "", row[2:]) for row in text.splitlines() if row.startswith("| ")]
    told = [words for cell in first for words in re.findall(r"`([^`]+)`", cell) if " " in words]
    assert len(told) > 30
    assert [words for words in told if words not in strings()] == []


# ------------------------------------------------------------------------------------------------ the limits


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table that begins with `head`."""
    table = text.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    return [row.strip("| ").split(" | ") for row in table]


def test_figures_of_the_limits_stand_where_the_page_says() -> None:
    text = (DOCS / "limits.md").read_text(encoding="utf-8")
    source = ""
    table = rows(text, "| what | how much |")
    assert len(table) == 5
    for _, figure, where in table:
        if link := re.search(r"\]\(([^)]+)\)", where):  # else it is "the same"
            source = (DOCS / link[1]).read_text(encoding="utf-8")
        numbers = re.findall(r"\d[\d,.]*", figure)
        assert numbers
        assert [number for number in numbers if number not in source] == [], figure


def test_defaults_of_the_limits_are_those_of_the_settings() -> None:
    text = (DOCS / "limits.md").read_text(encoding="utf-8")
    table = rows(text, "| what | default |")
    told = {re.findall("`([^`]+)`", named)[0]: default for _, default, named in table}
    assert len(told) == 6
    figures = {path: re.match(r"[\d,]+", default) for path, default in told.items()}
    assert {path: int(figure[0].replace(",", "")) if figure else 0 for path, figure in figures.items()} == {
        path: keys()[path].default for path in told
    }


# ------------------------------------------------------------------------------------------------ the glossary


def tags(kinds: typing.Iterable[type[msgspec.Struct]]) -> set[str]:
    return {str(kind.__struct_config__.tag) for kind in kinds}


def terms(heading: str) -> list[str]:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    part = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [row.split(" | ")[0].removeprefix("| ") for row in part.splitlines()[4:] if row.startswith("| ")]


def test_the_glossary_names_what_the_protocol_has() -> None:
    page = (DOCS / "glossary.md").read_text(encoding="utf-8")
    facts = tags(typing.get_args(AnyFact))
    answers = {tag for row in CATALOGUE.values() for tag in tags(row.replies)}
    types = tags(CATALOGUE) | answers | facts | tags(typing.get_args(replies.AnyEvent)) | {"error"}
    named = {name for term in terms("On the wire") for name in re.findall(r"`([a-z_]+)`", term)}
    assert len(named) > 10
    assert named - types == set()
    assert [fact for fact in facts if f"`{fact}`" not in page] == []


def test_the_glossary_names_files_that_are_there() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    files = re.findall(r"`([a-z_/]+(?:\.py|/))`", text)
    assert len(files) > 8
    assert [name for name in files if not ((ROOT / "gochat" / name).exists() or (ROOT / name).exists())] == []


def test_every_code_of_an_error_in_the_new_pages_is_there() -> None:
    known = {code.name for code in CODES}
    for name in ("client.md", "troubleshooting.md", "tokens.md"):
        told = re.findall(r"refused `([a-z_]+)`", prose(HOWTO / name))
        assert set(told) <= known
