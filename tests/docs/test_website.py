"""How docs/website.py makes pages of Markdown."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.test_docs import script

TEXT = """# A `page`

First words, then [another](howto/run.md#tls), [a folder](decisions/), [the code](../gochat/cli.py), and <br> a break.

## Twice

```python file=a.py
print("<b>")
```

## Twice

| | |
|---|---|
| `a` | b |

| head | |
|---|---|
| `a` | b |
"""


@pytest.fixture(scope="module")
def website() -> ModuleType:
    return script("website")


def page(website: ModuleType, text: str) -> object:
    return website._page(website.DOCS / "tour.md", text)


def test_links_headings_code_and_tables(website: ModuleType) -> None:
    made = page(website, TEXT)
    assert (made.address, made.title) == ("/docs/tour", "A page")
    assert made.links == ["/docs/howto/run#tls", "/docs/decisions"]
    assert '<a href="/docs/howto/run#tls">another</a>' in made.content
    assert "<span>the code</span>" in made.content
    assert [section.anchor for section in made.sections] == ["", "twice", "twice-1"]
    assert '<h2 id="twice-1">' in made.content and '<a href="#twice-1">Twice</a>' in made.content
    assert "<figcaption>a.py</figcaption>" in made.content and 'print("&lt;b&gt;")' in made.content
    assert made.content.count("<thead>") == 1, "a head that says nothing is left out"
    assert "<th>head</th>\n<td></td>" in made.content


def test_markup_of_a_page_is_refused(website: ModuleType) -> None:
    for text in ("<script>alert(1)</script>", "an <img src=x> here", "<!-- a --><b>x</b>"):
        with pytest.raises(ValueError, match="markup in a page"):
            page(website, f"# A page\n\n{text}\n")
    assert "begin" not in page(website, "# A page\n\n<!-- begin x -->\n").content


def test_a_section_is_searched_by_its_first_words_and_each_other_word_once(website: ModuleType) -> None:
    body = "The beginning. " + "filler " * 30 + "`limits.window` limits.window the END 17"
    made = page(website, f"# A page\n\n## Part\n\n{body}\n")
    target, title, heading, shown, others = website._searched(made, made.sections[1])
    assert (target, title, heading) == ("/docs/tour#part", "A page", "Part")
    assert shown.startswith("The beginning. filler") and len(shown) <= website.SHOWN_CHARS
    assert others == "end limits.window"


def test_a_page_that_is_about_to_be_written_counts_as_it_will_be(
    website: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    path: Path = website.DOCS / "tour.md"
    monkeypatch.setattr(website, "sources", lambda: [path])
    assert [made.title for made in website.pages({path: "# New\n"})] == ["New"]
    assert [made.title for made in website.pages({})] == ["A tour"]
