"""The first five minutes: `gochat demo`, two links, and a chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.demo.test_command import FREE, demo

PATIENCE_MS = 15_000


def opened(browser: Any, link: str, title: str) -> Any:
    page = browser.new_context(locale="en-GB", service_workers="block").new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(link)
    page.click(f".chats .chat:has(b:text-is('{title}'))")
    page.wait_for_selector(".bubble")
    return page


def test_two_people_come_in_by_their_links_and_chat(browser: Any, tmp_path: Path) -> None:
    with demo(tmp_path, *FREE) as lines:
        links = {line.split(": ")[0].strip(): line.split(": ")[1] for line in lines if "#ticket=" in line}
        ann, bob = opened(browser, links["Ann"], "Bob"), opened(browser, links["Bob"], "Ann")
        ann.fill("textarea", "are you here?")
        ann.press("textarea", "Enter")
        bob.wait_for_selector(".bubble:has-text('are you here?')")
        assert ann.locator(".request").count() == 1
        ann.click(".chats .chat:has(b:text-is('Bot'))")
        ann.fill("textarea", "echo marmalade")
        ann.press("textarea", "Enter")
        ann.wait_for_selector(".theirs .bubble:has-text('marmalade')")
        for page in (ann, bob):
            page.context.close()
