"""The licences of all that this program is made of: `gochat --licenses`.

Each package is installed with its licence's text. The one-file executable carries the same files, and in a folder
`licences` the texts for Python and for the libraries of the system that are in it (deploy/gochat.spec).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, NamedTuple

#: Files of a package's metadata that hold a licence, or what it asks to be told with it.
_TEXT: Final = re.compile(r"(^|/)(licen[cs]es?/|(licen[cs]e|copying|notice|copyright)[^/]*$)", re.IGNORECASE)
_NAME: Final = re.compile(r"[\w.-]+")
_REQUIREMENT: Final = re.compile(r"([\w.-]+)\s*(?:\[([^\]]*)\])?")
_EXTRA: Final = re.compile(r"extra\s*==\s*[\"']([\w.-]+)")
#: Of the packages that the page in the browser is made of.
_PAGE: Final = Path(__file__).parents[1] / "http" / "web" / "vendor" / "LICENSES.txt"
_CLASSIFIER: Final = "License :: OSI Approved :: "


class Part(NamedTuple):
    """Something that the program is made of."""

    name: str
    """With its version, where it has one."""
    licence: str
    """In a few words, as its authors call it."""
    texts: list[str]


def lines() -> Iterator[str]:
    """A list of the parts, then their texts."""
    parts = [*map(_part, packages()), *_page(), *_of_the_file()]
    yield from (f"{part.name}: {part.licence}" for part in parts)
    for part in parts:
        for text in part.texts:
            yield f"\n==== {part.name} ====\n\n{text.strip()}"


def packages() -> list[Distribution]:
    """gochat, and the packages that it asks for, as far as they are installed here: with those that they ask for."""
    found: dict[str, Distribution] = {}
    wanted, seen = [("gochat", "")], set()
    while wanted:
        name, extras = asked = wanted.pop()
        if asked in seen:
            continue
        seen.add(asked)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # It is for another system, or another Python.
        wanted += _asked_for(found[name], set(_NAME.findall(extras)))
    return [found[name] for name in sorted(found, key=lambda name: (name != "gochat", name))]


def _asked_for(package: Distribution, extras: set[str]) -> Iterator[tuple[str, str]]:
    """The packages that this one asks for, each with the extras that it wants of it."""
    for requirement in package.requires or ():
        extra, parts = _EXTRA.search(requirement), _REQUIREMENT.match(requirement)
        assert parts is not None, requirement
        if extra is None or extra[1] in extras:
            yield re.sub(r"[-_.]+", "-", parts[1]).lower(), parts[2] or ""


def _part(package: Distribution) -> Part:
    files = [file for file in package.files or () if ".dist-info/" in str(file) and _TEXT.search(str(file))]
    paths = [Path(str(file.locate())) for file in files]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(paths) if path.is_file()]
    return Part(f"{package.metadata['Name']} {package.version}", _named(package), texts)


def _named(package: Distribution) -> str:
    told = package.metadata
    named = str((told.get_all("License-Expression") or told.get_all("License") or [""])[0])
    if named and len(named) <= 60 and "\n" not in named:
        return named
    classified = [each.removeprefix(_CLASSIFIER) for each in told.get_all("Classifier") or () if _CLASSIFIER in each]
    return ", ".join(classified) or "see its text"


def _page() -> Iterator[Part]:
    if _PAGE.is_file():
        yield Part("the page in the browser", "see the text, library by library", [_PAGE.read_text(encoding="utf-8")])


def _of_the_file() -> Iterator[Part]:
    """Python and libraries, where this is the one-file executable."""
    folder = Path(getattr(sys, "_MEIPASS", "/nowhere")) / "licences"
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(each.iterdir())]
        yield Part(each.name, "see its text", texts)
