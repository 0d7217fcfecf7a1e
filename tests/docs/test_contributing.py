"""Where a new thing goes is where the old ones are: each file of CONTRIBUTING's lists names every one of its kind."""

from __future__ import annotations

import ast
import re
import typing
from pathlib import Path

import pytest

from gochat.cli import COMMANDS
from gochat.collector import METRICS
from gochat.config import keys
from gochat.domain import commands
from gochat.domain.facts import AnyFact, Hidden
from gochat.listening import TRANSPORTS, Transport
from gochat.protocol.catalogue import CATALOGUE, RequestType
from gochat.session.queries import QUERIES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def lists(heading: str) -> list[list[str]]:
    """The files of each table below the heading."""
    section = TEXT.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    tables = re.findall(r"((?:^\|.*\n)+)", section, re.MULTILINE)
    return [re.findall(r"^\| `([^`]+)`(?: \(new\))? \|", table, re.MULTILINE) for table in tables]


def lacking(files: list[str], *names: str) -> list[str]:
    """The files that have none of the names, with their neighbours whose names end alike."""
    missing = []
    for file in files:
        path = ROOT / file
        text = "".join(each.read_text(encoding="utf-8") for each in (path, *path.parent.glob(f"*_{path.name}")))
        if not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names):
            missing.append(file)
    return missing


def tag(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]


def test_every_kind_has_its_list() -> None:
    kinds = ("A request", "A fact", "A setting", "A transport", "A command", "A metric")
    assert [len(lists(kind)) for kind in kinds] == [3, 1, 1, 1, 1, 1]
    assert all(files for kind in kinds for files in lists(kind))


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: row.request.__name__)
def test_a_request(row: RequestType) -> None:
    everywhere, by_command, by_query = lists("A request")
    kind = row.request
    assert lacking(everywhere, kind.__name__, tag(kind)) == []
    if row.to_command is not None:
        form, *rest = by_command
        assert lacking([form], f"req.{kind.__name__}") == []
        # Closing a group takes no more than its right.
        made = [command for command in row.commands if command is not commands.Close]
        # Events are decided all alike.
        names = {command: ["EPHEMERAL"] if command in commands.EPHEMERAL else [] for command in made}
        assert [command for command in made if lacking(rest, command.__name__, *names[command])] == []
    elif kind in QUERIES:
        queries = [by_query[0], by_query[0].replace("queries", "moderation")]
        assert len(lacking(queries, f"req.{kind.__name__}")) == 1


@pytest.mark.parametrize("fact", typing.get_args(AnyFact), ids=lambda fact: fact.__name__)
def test_a_fact(fact: type) -> None:
    [files] = lists("A fact")
    # Facts that are never recorded, and those that leave the room as it is, do not need all of them.
    optional = ("record.py", "rows.py", "logs.py") if fact is Hidden else ("record.py",)
    assert lacking([file for file in files if not file.endswith(optional)], fact.__name__, tag(fact)) == []


@pytest.mark.parametrize("path", keys())
def test_a_setting(path: str) -> None:
    [files] = lists("A setting")
    field = path.partition(".")[2]
    assert lacking(files, field) == []
    parts = [file for file in (ROOT / "gochat").rglob("*.py") if str(file.relative_to(ROOT)) not in files]
    assert any(re.search(rf"\b{field}\b", file.read_text(encoding="utf-8")) for file in parts), f"nothing reads {path}"


@pytest.mark.parametrize("row", TRANSPORTS, ids=lambda row: row.name)
def test_a_transport(row: Transport) -> None:
    [[_, config, table, *_]] = lists("A transport")
    assert lacking([config], row.setting.partition(".")[2]) == []
    assert lacking([table], f'"{row.name}", "{row.setting}"') == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command(name: str) -> None:
    [[table, folder]] = lists("A command")
    assert lacking([table], f'"{name}": Row(') == []
    assert any((ROOT / folder / path).is_file() for path in (f"{name}.py", f"{name}/__init__.py"))


@pytest.mark.parametrize("metric", [metric.name for metric in METRICS])
def test_a_metric(metric: str) -> None:
    [files] = lists("A metric")
    assert lacking(files, metric) == []


def test_a_list_that_lacks_a_file_is_red() -> None:
    assert lacking(["gochat/protocol/requests.py", "gochat/errors.py"], "ContactAction") == ["gochat/errors.py"]


@pytest.mark.parametrize(
    ("change", "most"),
    [("A pin request", 12), ("One more transport", 4), ("A notifier", 5), ("A replicated journal", 8)],
)
def test_a_change_on_paper_touches_no_more_files_than_it_says(change: str, most: int) -> None:
    [files] = lists(change)
    assert len(files) == len(set(files)) <= most
    section = TEXT.partition(f"\n### {change}\n")[2]
    assert f"{most} files" in section.partition("|")[0]
    if change == "A replicated journal":
        assert not any(file.startswith("gochat/domain/") for file in files)


def test_what_is_named_is_there() -> None:
    named = re.findall(r"^\| `([^`]+)` \|", TEXT, re.MULTILINE)
    assert len(named) > 60
    assert [file for file in named if not (ROOT / file).exists()] == []


def names(code: str) -> set[str]:
    """The words of the code in lower case: those of names, and of strings that are no docstrings."""
    tree = ast.parse(code)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: set[str] = set()
    for node in ast.walk(tree):
        texts = [str(getattr(node, field, "")) for field in ("id", "name", "attr", "arg", "module")]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            texts.append(node.value)
        for text in texts:
            found.update(word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text))
    return found


def naming(word: str) -> set[str]:
    """The files of the package whose code names it. The settings are one place, though not one file."""
    files = {file: file.read_text(encoding="utf-8") for file in (ROOT / "gochat").rglob("*.py")}
    found = {str(file.relative_to(ROOT)) for file, code in files.items() if word in code and word in names(code)}
    return {"gochat/config/" if file.startswith("gochat/config/") else file for file in found}


def test_the_code_names_a_transport_where_the_list_says() -> None:
    [[new, config, table, _]] = lists("One more transport")
    found = naming("nng")
    own, client = (
        {file for file in found if file.startswith(folder)} for folder in ("gochat/transports/", "gochat/client/")
    )
    assert new.replace("quic", "nng") in own
    assert found - own == {config, table, "gochat/commands/connection.py", "gochat/commands/cluster/local.py", *client}
    assert client == {f"gochat/client/{name}.py" for name in ("links", "nng", "session")}


def test_the_code_names_the_server_of_a_replicated_journal_where_the_list_says() -> None:
    [files] = lists("A replicated journal")
    packages = [file for file in files if file.endswith("/")]
    found = {next((package for package in packages if file.startswith(package)), file) for file in naming("redis")}
    assert found | {"pyproject.toml"} == {*files}


def test_the_code_names_a_channel_where_the_list_says() -> None:
    [[new, *others]] = lists("A notifier")
    assert naming("webhook") == {new.replace("sms", "webhook"), *others}
