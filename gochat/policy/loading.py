"""Reads the lists that the settings name: words, and public suffixes.

An error names the key, the file and the line. Lists that no rule needs are not read: that would make a node's start
longer.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import gochat
from gochat.config import Policy
from gochat.domain.links import canonical_host, suffix_rules
from gochat.domain.moderation import Rules
from gochat.domain.words import Words
from gochat.errors import ConfigError
from gochat.policy.emoji import load_emoji

#: Its data is read and its code is not loaded: that has its own way to look things up, slower than ours.
SUFFIX_PACKAGE, SUFFIX_FILE = "publicsuffixlist", "public_suffix_list.dat"

_is_host = re.compile(r"[^\s/\\?#@:]+").fullmatch


def load_rules(policy: Policy) -> Rules:
    """The rules that these settings ask for. Words are read, but not compiled yet (`Words.compile`).

    Raises ConfigError.
    """
    return Rules.build(
        words=Words() if policy.word_action == "off" else _words(policy.words_file),
        on_word="refuse" if policy.word_action == "off" else policy.word_action,
        links=policy.links,
        on_link=policy.link_action,
        own_domains=_own_domains(policy.own_domains),
        suffixes=frozenset() if policy.links == "allow" else _suffixes(policy.suffixes_file),
        emoji=load_emoji(),
    )


def _words(name: str) -> Words:
    file = Path(name) if name else Path(gochat.__file__).with_name("data") / "words.txt"
    try:
        return Words(_lines("policy.words_file", file))
    except ValueError as error:  # "line 3: ..."
        raise ConfigError("policy.words_file", str(file), str(error)) from error


def _suffixes(name: str) -> frozenset[str]:
    file = Path(name) if name else _bundled_suffixes()
    rules = suffix_rules(_lines("policy.suffixes_file", file))
    if not rules:
        raise ConfigError("policy.suffixes_file", str(file), "has no rule; the form is that of publicsuffix.org")
    return rules


def _bundled_suffixes() -> Path:
    spec = find_spec(SUFFIX_PACKAGE)
    if spec is None or spec.origin is None:
        problem = f"the package {SUFFIX_PACKAGE} is not installed: install it, or name a list of your own"
        raise ConfigError("policy.suffixes_file", "default", problem)
    return Path(spec.origin).with_name(SUFFIX_FILE)


def _own_domains(domains: list[str]) -> list[str]:
    for domain in domains:
        if not _is_host(domain) or not canonical_host(domain):
            raise ConfigError("policy.own_domains", "settings", f"{domain!r} must be a host, such as chat.example")
    return domains


def _lines(key: str, file: Path) -> list[str]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(key, str(file), (error.strerror or "can't be read").lower()) from error
    try:
        return data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(key, str(file), f"line {line}: is not UTF-8") from error
