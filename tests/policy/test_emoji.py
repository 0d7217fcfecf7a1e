"""Which texts are an emoji, and how each is recorded."""

from __future__ import annotations

import sys

import pytest

from gochat.config import Policy
from gochat.domain.moderation import Rules
from gochat.policy import load_rules
from gochat.policy.emoji import load_emoji
from gochat.protocol.conversation import MAX_EMOJI_BYTES


@pytest.mark.parametrize(
    ("written", "recorded"),
    [
        ("❤", "❤️"),
        ("❤️", "❤️"),
        ("❤\ufe0e", "❤️"),
        ("👍", "👍"),
        ("👍\ufe0f", "👍"),
        ("1⃣", "1️⃣"),
        ("©", "©️"),
        ("🇫🇷", "🇫🇷"),
        ("👁\u200d🗨", "👁️\u200d🗨️"),
        ("👍🏽", "👍🏽"),
        ("", None),
        ("a", None),
        ("1", None),
        ("👍👍", None),
        ("🇫", None),
        ("🏽", None),
        ("😀\u200d😀", None),
        ("❤️❤", None),
        ("👍 ", None),
    ],
    ids=ascii,
)
def test_an_emoji_is_recorded_with_all_its_selectors(written: str, recorded: str | None) -> None:
    rules = load_rules(Policy())
    assert rules.reaction(written) == recorded
    assert recorded is None or rules.reaction(recorded) == recorded


def test_without_a_list_anything_is_a_reaction() -> None:
    assert Rules().reaction("+1") == "+1"


def test_every_emoji_fits() -> None:
    emoji = load_emoji()
    assert len(emoji) > 3700  # Emoji 15.1
    assert max(len(each.encode()) for each in emoji.values()) <= MAX_EMOJI_BYTES
    assert load_emoji() is emoji


def test_a_node_without_the_package_serves_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "emoji", None)
    assert load_emoji.__wrapped__() == {}
    assert "the package emoji is not installed" in caplog.text
