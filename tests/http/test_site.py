"""The documentation as a node serves it: whole, linked within itself, safe, small, and found by its search."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from gochat.http.documents import document_routes
from gochat.http.router import Router
from gochat.http.shell import HttpShell
from gochat.http.site import BASE, POLICY, html_of, site_routes, titles
from tests.http.test_documents import ask
from tests.http.wiring import serving

SITE = Path(str(files("gochat.http") / "docs"))
SHELL = HttpShell(Router([*site_routes(), *document_routes()]))
VOID = {"meta", "link", "img", "input", "br", "hr"}
DOCS = Path(__file__).parent.parent.parent / "docs"
#: Gzipped, as parts of the Markdown that it is made of: all of the site, and the index of the search.
ALL, SEARCH = 2.0, 0.5
#: All that comes with the first page beside it, gzipped.
FIRST_KB = 12


class Reader(HTMLParser):
    """Reads strictly: every element is closed by its own tag, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on") or name == "style"], given
        if tag not in VOID:
            self.open.append(tag)
        self.names.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        elif "href" in given or "src" in given:
            self.loaded.append(str(given.get("href") or given.get("src")))
        if re.fullmatch(r"h\d", tag) and "article" in self.open:
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()


@cache
def read(address: str) -> Reader:
    reader = Reader()
    reader.feed(html_of(address))
    reader.close()
    assert reader.open == []
    return reader


@cache
def api_anchors() -> set[str]:
    page = (files("gochat.http") / "files" / "api.html").read_text(encoding="utf-8")
    return set(re.findall(r' id="([^"]+)"', page))


def leads_somewhere(target: str) -> bool:
    address, _, anchor = target.partition("#")
    if address == "/docs/api":
        return not anchor or anchor in api_anchors()
    return address in titles() and (not anchor or anchor in read(address).ids)


@pytest.mark.parametrize("address", titles())
def test_links_of_a_page_lead_somewhere_and_nothing_comes_from_outside(address: str) -> None:
    page = read(address)
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        if not link.startswith("https://"):
            assert leads_somewhere(f"{address}{link}" if link.startswith("#") else link), link
    assert set(page.loaded) == {f"{BASE}/{name}" for name in ("icon.svg", "design.css", "docs.css", "docs.js")}
    assert not set(page.names) & {"style", "iframe", "object", "form", "svg"} and page.names.count("script") == 1


@pytest.mark.parametrize("address", titles())
def test_headings_of_a_page_go_down_one_at_a_time(address: str) -> None:
    headings = read(address).headings
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(headings))


def test_every_page_is_reached_from_the_first() -> None:
    reached, waiting = {BASE}, [BASE]
    while waiting:
        address = waiting.pop()
        found = {link.partition("#")[0] for link in read(address).links} & titles().keys()
        waiting += found - reached
        reached |= found
    assert reached == titles().keys() and len(reached) > 50


def test_the_menu_marks_the_page_or_the_folder_that_it_is_in() -> None:
    for address, marked in (("/docs/howto/run", "/docs/howto/run"), ("/docs/decisions/tail", "/docs/decisions")):
        assert re.findall(r'href="([^"]+)" aria-current="page"', html_of(address)) == [marked]


def test_text_of_a_page_is_no_markup() -> None:
    page = html_of("/docs/howto/page")
    assert "&lt;iframe id=" in page and "<iframe" not in page


def test_the_search_leads_to_sections() -> None:
    index = json.loads((SITE / "search.json").read_text())
    assert {entry[0].partition("#")[0] for entry in index} == titles().keys()
    assert [entry[0] for entry in index if not leads_somewhere(entry[0])] == []
    assert all(len(entry) == 5 for entry in index)


def test_the_site_is_small() -> None:
    sizes = {file: len(gzip.compress(file.read_bytes())) for file in SITE.rglob("*") if file.is_file()}
    text = sum(len(gzip.compress(file.read_bytes())) for file in DOCS.rglob("*.md"))
    assert sum(sizes.values()) < ALL * text
    assert sizes[SITE / "search.json"] < SEARCH * text
    assert sum(sizes[SITE / name] for name in ("page.html", "docs.css", "docs.js", "search.js")) < FIRST_KB * 1024


def test_its_style_has_no_colours_of_its_own() -> None:
    style = (SITE / "docs.css").read_text()
    assert not re.search(r"#[0-9a-f]{3,8}\b(?!.*\{)|rgb|hsl|url\(|@import", style)


async def test_pages_are_served_as_the_files_of_the_page_are() -> None:
    async with serving(SHELL) as client:
        for path, kind in (
            (BASE, "text/html"),
            ("/docs/decisions", "text/html"),
            ("/docs/howto/run", "text/html"),
            ("/docs/docs.css", "text/css"),
            ("/docs/docs.js", "text/javascript"),
            ("/docs/search.json", "application/json"),
        ):
            plain = await ask(client, path)
            zipped = await ask(client, path, "Accept-Encoding: gzip")
            assert plain.status == 200 and gzip.decompress(zipped.body) == plain.body
            assert plain.headers[b"content-type"].startswith(kind.encode())
            assert plain.headers[b"content-security-policy"] == POLICY.encode()
            assert plain.headers[b"cache-control"] == b"no-cache"
            tag = zipped.headers[b"etag"].decode()
            assert (await ask(client, path, "Accept-Encoding: gzip", f"If-None-Match: {tag}")).status == 304
        assert plain.body == (SITE / "search.json").read_bytes()
        slash = await ask(client, "/docs/")
        assert (slash.status, slash.headers[b"location"]) == (308, b"/docs")
        for path in ("/docs/howto", "/docs/howto/run.md", "/docs/page.html", "/docs/pages/index.html", "/docs/nothing"):
            assert (await ask(client, path)).status == 404
    assert "unsafe" not in POLICY and POLICY.startswith("default-src 'none'; script-src 'self';")
