"""The page's files as browsers get them, and what holds of them whatever a browser does."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from gochat.errors import CLOSES, CODES
from gochat.http.app import make_app
from gochat.http.page import ADMIN_INDEX, ADMIN_POLICY, INDEX, WORKER, page_routes, policy, with_files, without_comments
from gochat.http.shell import HttpShell
from tests.http.test_documents import ask
from tests.http.wiring import serving

WEB = Path(str(files("gochat.http") / "web"))
OWN = sorted([*WEB.glob("js/**/*.js"), *WEB.glob("admin/**/*.js"), WEB / WORKER])
STYLES = [*WEB.glob("css/*.css"), *WEB.glob("admin/*.css")]
#: Settings of tools, which no browser asks for.
TOOLS = {"jsconfig.json", "worker.jsconfig.json", "package.json"}
#: Bounds, gzipped: of the files fetched before the list of chats stands (all but the table of emoji), and of all.
LIST_KB, ALL_KB = 75, 170
LONGEST_LINE = 175


def test_every_file_has_a_type_and_a_route() -> None:
    _, routes = page_routes([])
    paths = {route.path for route in routes}
    for index in (INDEX, ADMIN_INDEX):
        for path in re.findall(r'(?:href|src)="([\w./-]+)"', (WEB / index).read_text()):
            assert f"/{path.removeprefix('/')}" in paths


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_what_a_module_imports_is_there(file: Path) -> None:
    for path in re.findall(r'from "(\.[^"]+)"', file.read_text()):
        assert (file.parent / path).is_file(), path


async def test_browsers_get_the_page_and_programs_a_text() -> None:
    page, routes = page_routes([])
    async with serving(HttpShell(make_app(lambda: (), routes, page))) as client:
        response = await ask(client, "/", "Accept: text/html,*/*;q=0.8")
        assert response.status == 200
        assert response.headers[b"content-type"] == b"text/html; charset=utf-8"
        assert response.headers[b"content-security-policy"] == policy([]).encode()
        assert response.headers[b"vary"] == b"accept, accept-encoding"
        text = await ask(client, "/", "Accept: */*")
        assert text.headers[b"content-type"].startswith(b"text/plain")
        assert text.headers[b"vary"] == b"accept"
        module = await ask(client, "/js/main.js", "Accept-Encoding: gzip")
        assert module.headers[b"content-encoding"] == b"gzip"
        assert gzip.decompress(module.body) == without_comments((WEB / "js/main.js").read_bytes())
        tag = module.headers[b"etag"].decode()
        assert (await ask(client, "/js/main.js", "Accept-Encoding: gzip", f"If-None-Match: {tag}")).status == 304
        for name in TOOLS:
            assert (await ask(client, f"/{name}")).status == 404


async def test_the_worker_is_told_every_file_and_changes_with_each() -> None:
    page, routes = page_routes([])
    async with serving(HttpShell(make_app(lambda: (), routes, page))) as client:
        source = (await ask(client, f"/{WORKER}")).body.decode()
        files = re.search(r"^const FILES = (\[.*\]);$", source, re.MULTILINE)
        assert files is not None
        kept = {route.path for route in routes if not route.path.startswith("/admin")}
        assert set(json.loads(files[1])) == {"/", *kept} - {f"/{WORKER}"}
    assert re.search(r'^const VERSION = "[0-9a-f]{16}";$', source, re.MULTILINE)
    contents = {INDEX: b"", WORKER: (WEB / WORKER).read_bytes(), "js/a.js": b"1"}
    assert with_files(contents) != with_files(contents | {"js/a.js": b"2"})


async def test_the_operators_page_is_static_and_stands_in_no_frame() -> None:
    page, routes = page_routes(["https://intranet.example"])
    async with serving(HttpShell(make_app(lambda: (), routes, page))) as client:
        for path in ("/admin", "/admin/"):
            response = await ask(client, path, "Accept: */*")
            assert (response.status, response.body) == (200, (WEB / ADMIN_INDEX).read_bytes())
            given = response.headers[b"content-security-policy"].decode()
            assert given == ADMIN_POLICY
            assert "frame-ancestors 'none'" in given and "trusted-types 'none'" in given
        assert (await ask(client, "/admin/index.html")).status == 404


async def test_a_node_without_the_page_serves_none_of_it() -> None:
    async with serving(HttpShell(make_app(lambda: ()))) as client:
        text = await ask(client, "/", "Accept: text/html")
        assert text.headers[b"content-type"].startswith(b"text/plain")
        assert b"vary" not in text.headers
        for path in ("/js/main.js", "/admin", "/admin/main.js"):
            assert (await ask(client, path)).status == 404


def test_nothing_is_loaded_or_run_from_elsewhere() -> None:
    assert "unsafe" not in policy([])
    assert "frame-ancestors 'self' https://intranet.example;" in policy(["https://intranet.example"])
    assert "unsafe" not in ADMIN_POLICY
    for file in [*OWN, WEB / INDEX, WEB / ADMIN_INDEX, *STYLES]:
        text = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function|document\.write", text), (
            file
        )
        assert not re.search(r"(src|href)=\"?https?:|url\(|@import", text), file


async def test_the_page_knows_which_sites_may_give_it_tokens() -> None:
    page, routes = page_routes(["https://intranet.example"])
    async with serving(HttpShell(make_app(lambda: (), routes, page))) as client:
        response = await ask(client, "/", "Accept: text/html")
    assert b'<meta name="gochat-origins" content="https://intranet.example">' in response.body


def test_the_vendored_modules_are_the_ones_that_were_reviewed() -> None:
    lines = (WEB / "vendor/vendor.sha256").read_text().splitlines()
    known = {name.removeprefix("./"): digest for digest, name in (line.split() for line in lines)}
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in WEB.glob("vendor/*.mjs")}
    assert found == known
    licences = (WEB / "vendor/LICENSES.txt").read_text()
    for name in ("preact", "htm", "@preact/signals", "@tanstack/virtual-core", "unicode-emoji-json"):
        assert f"==== {name}" in licences


def needed(file: Path) -> set[Path]:
    """A module and all that it imports before it runs."""
    found, waiting = set[Path](), [file]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            paths = re.findall(r'^(?:import|export)[^;]*?"(\.[^"]+)"', module.read_text(), re.MULTILINE)
            waiting += [(module.parent / path).resolve() for path in paths]
    return found


def zipped(file: Path) -> int:
    """The bytes that a browser fetches."""
    content = file.read_bytes()
    return len(gzip.compress(without_comments(content) if file.suffix == ".js" else content))


def test_lines_that_are_comments_are_not_sent_and_the_others_keep_their_numbers() -> None:
    module = """/**
 * Says hello.
 * @param {string} name
 */
export const hello = (name) => `
  /* a text */ ${name} // too`; // said
// Not this one.
  /** @type {string[]} */
const names = /** @type {any} */ (window).names;
/** @type {any} */ (window).hello = 2 /** 3 */ * 4;

const path = "/**";
"""
    kept = {5, 6, 9, 10, 12}
    expected = [line if number in kept else "" for number, line in enumerate(module.split("\n"), 1)]
    assert without_comments(module.encode()).decode().split("\n") == expected


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_no_text_has_a_line_that_looks_like_a_comment(file: Path) -> None:
    """A template goes over several lines; one of its lines that began like a comment would not be sent."""
    inside = False  # A template within another one ends before a line does.
    for line in without_comments(file.read_bytes()).decode().split("\n"):
        assert not inside or line.strip(), "an empty line, or one that was taken for a comment"
        inside ^= "= /" not in line and line.count("`") % 2 == 1  # A pattern may look for one.


def test_the_page_is_small() -> None:
    kinds = (".html", ".css", ".js", ".mjs", ".svg", ".json")
    everything = [file for file in WEB.rglob("*") if file.suffix in kinds and file.name not in TOOLS]
    first = {*needed(WEB / "js/main.js"), *WEB.glob("css/*.css"), WEB / INDEX, WEB / "icon.svg"}
    assert sum(map(zipped, everything)) < ALL_KB * 1024
    assert sum(map(zipped, first)) < LIST_KB * 1024
    assert WEB / "vendor/virtual-index.mjs" not in first, "the thread is read after the list stands"


@pytest.mark.parametrize("file", [*OWN, *STYLES], ids=lambda file: file.name)
def test_lines_can_be_read(file: Path) -> None:
    long = [number for number, line in enumerate(file.read_text().splitlines(), 1) if len(line) > LONGEST_LINE]
    allowed = 1 if file.name == "parts.js" else 0  # The paths of icons.
    assert len(long) <= allowed, long


# ---------------------------------------------------------------------------------------------- words


def texts(language: str, folder: str = "js") -> dict[str, str]:
    source = (WEB / folder / f"text/{language}.js").read_text()
    return dict(re.findall(r'^  "([\w-]+)": (.*),$', source, re.MULTILINE))


def used(folder: str) -> Iterator[str]:
    for file in sorted(WEB.glob(f"{folder}/**/*.js")):
        text = file.read_text()
        yield from re.findall(r'\bt\("([\w-]+)"', text)
        for choice in re.findall(r"\bt\(([^()`\"]*\"[^()`]*)\)", text):
            yield from re.findall(r'"([\w-]+)"', choice.split(", {")[0])


#: Each page's folder, and that of the page whose texts it has too.
@pytest.mark.parametrize("folders", [("js",), ("admin", "js")], ids=lambda folders: folders[0])
def test_every_text_is_there_in_every_language(folders: tuple[str, ...]) -> None:
    english, german = texts("en", folders[0]), texts("de", folders[0])
    assert english.keys() == german.keys()
    for name, text in english.items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", german[name])), name
    known = set().union(*(texts("en", folder) for folder in folders))
    choices = {"connecting", "group"}  # Names by which a choice between texts is made.
    unknown = {name for name in used(folders[0]) if name not in known} - choices
    assert not unknown


@pytest.mark.parametrize("language", ["en", "de"])
def test_actions_that_stand_side_by_side_have_names_of_their_own(language: str) -> None:
    known = texts(language) | texts(language, "admin")
    for names in (("dismiss-report", "delete", "mute", "ban", "suspend"), ("remove-from-group", "mute-hour", "ban")):
        shown = [known[name] for name in names if name in known]
        assert len(set(shown)) == len(shown) >= 3


def test_the_emoji_groups_have_names_in_every_language() -> None:
    groups = list(json.loads((WEB / "emoji.json").read_text()))
    assert json.loads(texts("en")["emoji-groups"]).split("|") == groups
    assert len(json.loads(texts("de")["emoji-groups"]).split("|")) == len(groups)


def test_whatever_the_server_refuses_or_ends_has_a_text() -> None:
    """The server's own words are English."""
    known = texts("de").keys()
    assert not {f"code-{code.name}" for code in CODES} - known
    assert not {f"close-{close.number}" for close in CLOSES if not close.reconnect and close.number >= 4500} - known
    source = "".join(path.read_text() for path in (WEB.parents[1] / "domain").rglob("*.py"))
    rules = {rule.replace(".", "-") for rule in re.findall(r'rule="(\w+\.\w+)"', source)}
    assert len(rules) > 8 and not {f"rule-{rule}" for rule in rules} - known


# ---------------------------------------------------------------------------------------------- colours


def _colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css))


def _luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TEXT_PAIRS = {
    "ink": "bg surface sunken accent-soft theirs raised call-soft",
    "ink-2": "bg surface sunken accent-soft theirs raised",
    "accent": "surface bg accent-soft theirs",
    "accent-ink": "accent",
    "mine-ink": "mine",
    "mine-ink-2": "mine",
    "call": "surface bg call-soft",
    "call-ink": "call",
}
SHAPE_PAIRS = {"line-strong": "surface bg", "here": "surface", "focus": "bg"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_shapes_stand_out(theme: str) -> None:
    """WCAG 2.2, success criteria 1.4.3 and 1.4.11."""
    css = (WEB / "css/design.css").read_text()
    colours = _colours(css[: css.index("@media")])
    if theme == "dark":
        begin = css.index(':root[data-theme="dark"]')
        colours |= _colours(css[begin : css.index("}", begin)])
        media = css.index("@media (prefers-color-scheme: dark)")
        assert _colours(css[media : css.index("}", media)]) == _colours(css[begin : css.index("}", begin)])
    for pairs, least in ((TEXT_PAIRS, 4.5), (SHAPE_PAIRS, 3.0)):
        for colour, others in pairs.items():
            for other in others.split():
                assert _contrast(colours[colour], colours[other]) >= least, (colour, other)
    people = _colours(css)
    for number in range(8):
        assert _contrast(people[f"p{number}"], people["p-ink"]) >= 4.5
