"""The pages of docs/ as HTML, and what a search in them reads: `python docs/generate.py` writes both into the package.

A page is written as the inside of its `<main>` alone; `gochat/http/site.py` puts the frame around it when it is served.
So a change of one page changes one file, and two people's changes of two pages meet nowhere. Markup of a page's own is
refused, but for a line break and comments.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

DOCS = Path(__file__).resolve().parent
#: Where the site stands on a node.
BASE = "/docs"
#: A section that is found is shown with so much of its text. Of the rest the search knows the words alone, each once:
#: that halves the index.
SHOWN_CHARS = 100
#: Programs are read, not searched: their names are their own.
PROGRAMS = frozenset(("c", "go", "html", "js", "php", "python"))
_WORD = re.compile(r"\w[\w.:/-]*\w|\w")
#: Words that say nothing of a section.
COMMON_WORDS = frozenset(
    _WORD.findall(
        "a an and are as at be but by can do for from has have he her his if in is it its no not of on one or so than "
        "that the their them then there these they this to was when where which who will with you your"
    )
)


class Section(NamedTuple):
    """A heading and the text below it, up to the next heading."""

    anchor: str
    heading: str
    text: str


class Page(NamedTuple):
    address: str
    title: str
    content: str
    """The inside of `<main>`."""
    sections: list[Section]
    links: list[str]
    """Where its links within the site lead."""


def sources() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def address(path: Path) -> str:
    """The address of a page on a node; a folder's README stands for the folder."""
    name = path.relative_to(DOCS).with_suffix("").as_posix()
    name = name.removesuffix("README").removesuffix("/")
    return f"{BASE}/{name}" if name else BASE


def pages(fresh: Mapping[Path, str]) -> list[Page]:
    return [_page(path, fresh.get(path) or path.read_text(encoding="utf-8")) for path in sources()]


def files(fresh: Mapping[Path, str]) -> Iterator[tuple[str, bytes]]:
    """Each file's name and content: of every page its inside, the titles, the menu, and what the search reads. `fresh`
    has the texts of pages that are about to be written. Always the same bytes; an entry is one line, so that changes of
    several people merge."""
    made = pages(fresh)
    titles = {page.address: page.title for page in made}
    for page in made:
        yield f"pages/{file_name(page.address)}", page.content.encode()
    yield "titles.json", _lines([page.address, page.title] for page in made)
    yield "menu.json", _lines(_menu(titles))
    yield "search.json", _lines(_searched(page, section) for page in made for section in page.sections)


def file_name(address: str) -> str:
    """The name of a page's file: `howto/run.html`."""
    return f"{address.removeprefix(BASE).strip('/') or 'index'}.html"


def _searched(page: Page, section: Section) -> list[str]:
    """A section as the search reads it: its address, the page's title, its heading, its first words and the others."""
    shown = section.text[:SHOWN_CHARS].rpartition(" ")[0] if len(section.text) > SHOWN_CHARS else section.text
    seen = set(_WORD.findall(f"{shown} {section.heading}".lower())) | COMMON_WORDS
    words = {word for word in _WORD.findall(section.text.lower()) if not re.fullmatch(r"[\d.,:]+", word)} - seen
    target = f"{page.address}#{section.anchor}" if section.anchor else page.address
    return [target, page.title, section.heading, shown, " ".join(sorted(words))]


def _lines(entries: Any) -> bytes:
    return ("[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]\n").encode()


def _menu(titles: dict[str, str]) -> Iterator[list[str]]:
    """The menu at the side: the headings of the first page, and the pages that it lists below each."""
    tokens = _parser().parse((DOCS / "README.md").read_text(encoding="utf-8"))
    begun = False
    for before, token in pairwise(tokens):
        if before.type == "heading_open" and before.tag == "h2":
            begun = True
            yield ["", _text(token)]
        for child in (token.children or ()) if begun else ():
            target = child.attrGet("href") if child.type == "link_open" else None
            if target is not None and (found := _address_of(DOCS / "README.md", str(target))) in titles:
                yield [found, titles[found]]


# ------------------------------------------------------------------------------------------------ one page


def _page(path: Path, text: str) -> Page:
    tokens = _parser().parse(text)
    (title, *_) = (_text(after) for token, after in pairwise(tokens) if token.tag == "h1")
    parts = _anchored(tokens)
    links = _linked(tokens, path)
    _without_empty_heads(tokens)
    renderer = _Renderer()
    content = renderer.render(tokens, _parser().options, {})
    listed = [(section.anchor, section.heading) for level, section in parts if level == 2]
    return Page(address(path), title, _article(content, listed), [section for _, section in parts], links)


def _article(content: str, listed: Sequence[tuple[str, str]]) -> str:
    if len(listed) < 2:
        return f"<article>\n{content}</article>\n"
    entries = "".join(f'<li><a href="#{escape(anchor)}">{escape(heading)}</a></li>\n' for anchor, heading in listed)
    return f'<nav class="toc" aria-label="On this page"><ul>\n{entries}</ul></nav>\n<article>\n{content}</article>\n'


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def _text(token: Token) -> str:
    """The text of an inline token, without its marks."""
    parts = (child.content if child.content else " " * (child.type == "softbreak") for child in token.children or ())
    return re.sub(r"<[^>]*>", " ", "".join(parts))


def slug(heading: str) -> str:
    """The name that a heading is linked by, as the usual renderers of repositories make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _anchored(tokens: list[Token]) -> list[tuple[int, Section]]:
    """Gives each heading its anchor; the sections of the page, with the levels of their headings."""
    found: list[tuple[int, Section]] = []
    taken: dict[str, int] = {}
    level, anchor, heading, texts = 1, "", "", list[str]()

    def close() -> None:
        text = " ".join(" ".join(texts).split())
        if heading:
            found.append((level, Section(anchor, heading, text)))

    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            close()
            level, heading, texts = int(token.tag[1]), _text(tokens[index + 1]), []
            name = slug(heading)
            count = taken[name] = taken.get(name, -1) + 1
            anchor = "" if level == 1 else f"{name}-{count}" if count else name
            token.meta["anchor"] = anchor
        elif token.type == "inline" and tokens[index - 1].type != "heading_open":
            texts.append(_text(token))
        elif token.type == "fence" and token.info.partition(" ")[0] not in PROGRAMS:
            texts.append(token.content)
    close()
    return found


def _linked(tokens: list[Token], path: Path) -> list[str]:
    """Leads links to the pages of the site; a link to a file that is none of them becomes its text."""
    found: list[str] = []
    for token in tokens:
        for child in token.children or ():
            if child.type != "link_open":
                continue
            target = str(child.attrGet("href"))
            if re.match(r"[a-z]+:", target):
                continue
            led = _address_of(path, target)
            child.meta["nowhere"] = led is None
            if led is not None:
                child.attrSet("href", led)
                found.append(led)
    return found


def _address_of(path: Path, target: str) -> str | None:
    """Where a link of the page at `path` leads to; None if that is no page."""
    name, mark, anchor = target.partition("#")
    if not name:
        return f"{address(path)}{mark}{anchor}"
    file = Path(posixpath.normpath((path.parent / name).as_posix()))
    file = file / "README.md" if file.is_dir() else file
    if file.suffix != ".md" or not file.is_relative_to(DOCS) or not file.exists():
        return None
    return f"{address(file)}{mark}{anchor}"


def _without_empty_heads(tokens: list[Token]) -> None:
    """A table whose head says nothing has none, and an empty cell of a head heads nothing."""
    at = 0
    while at < len(tokens):
        if tokens[at].type == "thead_open":
            end = next(index for index in range(at, len(tokens)) if tokens[index].type == "thead_close")
            if not any(token.content for token in tokens[at:end]):
                del tokens[at : end + 1]
                continue
        elif tokens[at].type == "th_open" and not tokens[at + 1].content:
            tokens[at].tag = tokens[at + 2].tag = "td"
        at += 1


class _Renderer(RendererHTML):
    """CommonMark, and this site's headings, code, tables and links."""

    def heading_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        anchor = token.meta["anchor"]
        return f'<{token.tag} id="{escape(anchor)}">' if anchor else f"<{token.tag}>"

    def heading_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token, anchor = tokens[index], tokens[index - 2].meta["anchor"]
        name = escape(_text(tokens[index - 1]))
        link = f' <a class="anchor" href="#{escape(anchor)}" aria-label="Link to {name}">#</a>' if anchor else ""
        return f"{link}</{token.tag}>\n"

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        language, _, note = token.info.strip().partition(" ")
        name = re.search(r"file=(\S+)", note)
        caption = f"<figcaption>{escape(name[1])}</figcaption>" if name else ""
        kind = f' class="language-{escape(language)}"' if language else ""
        code = f'<pre tabindex="0"><code{kind}>{escape(token.content, quote=False)}</code></pre>'
        return f'<figure class="code">{caption}{code}</figure>\n'

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return '<div class="wide" tabindex="0">\n<table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return "</table>\n</div>\n"

    def link_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        token = tokens[index]
        return "<span>" if token.meta.get("nowhere") else self.renderToken(tokens, index, options, env)

    def link_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        opening = next(token for token in reversed(tokens[:index]) if token.type == "link_open")
        return "</span>" if opening.meta.get("nowhere") else "</a>"

    def html_block(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        if not re.fullmatch(r"(\s*<!--.*?-->\s*)*", tokens[index].content, re.DOTALL):
            raise ValueError(f"markup in a page: {tokens[index].content!r}")
        return ""

    def html_inline(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        if tokens[index].content != "<br>":
            raise ValueError(f"markup in a page: {tokens[index].content!r}")
        return "<br>"
