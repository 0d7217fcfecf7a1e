"""The page at /docs/api: whole, safe, and for everybody."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser

import pytest

from gochat.errors import CLOSES, CODES
from gochat.http.describe import asyncapi, openapi
from gochat.http.describe.page import POLICY, page
from gochat.http.describe.page.markup import element, prose, sample
from tests.http.rest.conftest import As

VOID = {"meta"}


class Reader(HTMLParser):
    """Reads strictly: every element is closed by its own tag, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.headings: list[int] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        assert len(told) == len(attrs)
        assert not [name for name in told if name.startswith("on") or name == "style"], told
        if tag not in VOID:
            self.open.append(tag)
        self.names.add(tag)
        if told.get("id"):
            self.ids.append(str(told["id"]))
        if "href" in told or "src" in told:
            self.targets.append(str(told.get("href", told.get("src"))))
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def read() -> Reader:
    reader = Reader()
    reader.feed(page().decode())
    reader.close()
    assert reader.open == []
    return reader


def test_links_lead_somewhere_and_nothing_comes_from_outside(read: Reader) -> None:
    assert len(set(read.ids)) == len(read.ids)
    outside = {target for target in read.targets if not target.startswith("#")}
    assert outside == {"/docs", "/v1/openapi.json", "/v1/asyncapi.json"}
    assert {target[1:] for target in read.targets if target.startswith("#")} <= set(read.ids)
    assert not read.names & {"script", "img", "link", "iframe", "object", "form", "svg"}
    assert not re.search(r"@import|url\(", page().decode())


def test_headings_go_down_one_at_a_time(read: Reader) -> None:
    assert read.headings[0] == 1 and read.headings.count(1) == 1
    assert all(below - above <= 1 for above, below in zip(read.headings, read.headings[1:], strict=False))


def test_everything_of_both_documents_is_there(read: Reader) -> None:
    called, framed = openapi.build(), asyncapi.build()
    for path, methods in called["paths"].items():
        for operation in methods.values():
            assert f"rest.{operation['operationId']}" in read.ids
            assert path in read.text and operation["summary"] in read.text
            for parameter in operation["parameters"]:
                assert parameter["name"] in read.text
    assert {f"rest.{name}" for name in called["components"]["schemas"]} <= set(read.ids)
    assert set(framed["components"]["messages"]) | set(framed["components"]["schemas"]) <= set(read.ids)
    for schema in (*called["components"]["schemas"].values(), *framed["components"]["schemas"].values()):
        for name, property_ in schema.get("properties", {}).items():
            assert name in read.text
            assert property_.get("description", "").replace("`", "") in read.text
    for row in (*CODES, *CLOSES):
        assert row.name in read.text and row.meaning.replace("`", "") in read.text


def test_what_is_text_stays_text() -> None:
    bad = "<script>alert('&')</script>"
    for made in (element("p", prose(bad)), sample({"x": bad}), element("a", id=f'"{bad}')):
        assert "<script" not in made
        assert bad in unescape(made)
    assert prose("a `b<c` d") == "a <code>b&lt;c</code> d"


async def test_it_is_served_to_anybody_under_a_strict_policy(as_: As) -> None:
    answer = await as_(None).get("/docs/api")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.body == page()
    policy = answer.headers["content-security-policy"]
    assert policy == POLICY and policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await as_(None)("GET", "/docs/api", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_the_index_names_all_of_it(as_: As) -> None:
    index = (await as_(None).get("/")).body.decode()
    described = ("/docs", "/docs/api", "/v1/openapi.json", "/v1/asyncapi.json")
    for path in ("/v1/ws", *described, "/livez", "/readyz", "/metrics"):
        assert path in index
        if path != "/v1/ws":
            assert (await as_(None).get(path)).status == (401 if path == "/metrics" else 200)
