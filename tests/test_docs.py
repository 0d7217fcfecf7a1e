"""The reference says what the code says, and its links lead somewhere."""

from __future__ import annotations

import datetime
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


#: The most that the prose may have; to be lowered with it, and never raised.
FREE_RELATIVES = 0.0005


def script(name: str) -> ModuleType:
    """A program of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(f"gochat_docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return script("generate")


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    return script("prose")


def test_the_reference_and_config_toml_are_fresh(generate: ModuleType) -> None:
    stale = [str(path.relative_to(ROOT)) for path in generate.stale()]
    assert stale == [], "run `make docs`"


def test_every_block_is_used(generate: ModuleType) -> None:
    text = "".join(path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md"))
    assert set(re.findall(r"<!-- begin ([a-z ]+) -->", text)) == set(generate.BLOCKS)


def anchors(page: Path) -> set[str]:
    """The names that headings can be linked by, as the usual renderers make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def test_few_sentences_begin_with_who_or_what(prose: ModuleType) -> None:
    said = list(prose.sentences())
    assert len(said) > 5000
    found = prose.free_relatives(said)
    assert len(found) / len(said) <= FREE_RELATIVES, "`python docs/prose.py --places` lists them"


def test_only_tables_are_kept_from_the_formatter(prose: ModuleType) -> None:
    assert [str(place) for place in prose.skips()] == []


def test_no_name_is_left_that_the_glossary_replaced(prose: ModuleType) -> None:
    assert [str(place) for place in prose.old_names()] == []


def decisions() -> list[Path]:
    return [page for page in (ROOT / "docs" / "decisions").glob("*.md") if page.name != "README.md"]


@pytest.mark.parametrize("page", decisions(), ids=lambda page: page.stem)
def test_a_decision_has_its_date_its_status_and_what_would_undo_it(page: Path) -> None:
    text = page.read_text()
    head = re.match(
        r"# .+\n\n\*Since (\d{4}-\d\d-\d\d); (in force|replaced by \[.+\]\(.+\.md\))\.\*\n\n\*\*Undo when\*\* ", text
    )
    assert head is not None, "see docs/decisions/README.md"
    assert datetime.date.fromisoformat(head[1]) >= datetime.date(2026, 11, 23), "the project is not that old"
    assert f"({page.name})" in (page.parent / "README.md").read_text()


def test_the_files_that_contributing_names_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:gochat|tests|docs|bench)/[a-zA-Z_./-]*)`(?! \(new\))", text))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
