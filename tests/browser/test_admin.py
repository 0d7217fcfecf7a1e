"""The operators' page in a real browser: every view, what can be done there, and nobody without the scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Server
from tests.browser.hostile import BASES
from tests.browser.people import FRAMES, Person
from tests.browser.test_looks import NARROW, WIDE, Size, findings
from tests.tokens import issue_in

Someone = Callable[..., Person]
SECRET = "a text that only its two users may read"
REPORTED = "buy cheap tea <b>now</b>"
#: Titles that other pages have come to grief over, as long as a title may be.
TITLES = [text[:100] for text in BASES[:20] if "//" not in text]
NAME = "<img src=x onerror='document.title=1'> \u202eeve"
#: Each view, and a text that it holds on the node of `furnish`.
VIEWS = {
    "overview": "Users online",
    "reports": REPORTED,
    "users": "eve",
    "users/eve": "Green tea",
    "rooms": "tea",
    "rooms/tea": "Members",
    "sessions": "Nobody is signed in",
    "sessions/slow": "Every session",
    "suspensions": "mallory",
    "audit": "user.suspend",
    "mailboxes": "No mailbox",
    "supervisors": "run queue",
}


def admin_token(server: Server, user: str = "root", scopes: tuple[str, ...] = ("admin",)) -> str:
    return issue_in(server.data, user, scopes)


class Operator:
    """Somebody in front of `/admin`."""

    def __init__(self, person: Someone, server: Server, *, size: Size = (1280, 800), dark: bool = False) -> None:
        self.server = server
        self.person = person("root", size=size, dark=dark, sign_in=False)
        self.page = self.person.page
        self.page.goto(f"{server.url}admin#token={admin_token(server)}")
        self.page.wait_for_selector(".admin h1")

    def show(self, view: str, of: str = "") -> None:
        self.page.goto(f"{self.server.url}admin#/{view}{of and '/' + of}")
        self.page.wait_for_selector(f".admin nav a[aria-current][href='#/{view}']")
        self.page.wait_for_selector(".view")
        self.page.wait_for_function("() => !document.querySelector('.view .none[role=status]')")

    def answer(self, button: str) -> None:
        """Press a button, and say yes to the question that it asks."""
        self.page.get_by_role("button", name=button, exact=True).first.click()
        self.page.click("dialog .primary")
        self.page.wait_for_selector("dialog", state="detached")

    def reads(self, text: str) -> None:
        self.page.wait_for_selector(f".admin main:has-text({text!r})")


@pytest.fixture
def operator(person: Someone, server: Server) -> Callable[..., Operator]:
    """Opens the page as an admin, on a node with something in every list."""
    furnish(server)
    return lambda **options: Operator(person, server, **options)


def furnish(server: Server) -> None:
    bob = server.token("bob")
    server.say(bob, "user:ann", SECRET)
    server.post(bob, "groups", {"name": "tea", "title": "Green tea", "users": ["ann", "eve"]})
    server.say(issue_in(server.data, "eve", name=NAME), "group:tea", REPORTED)
    server.post(server.token("ann"), "messages/group:tea:3/reports", {"reason": "spam & <i>worse</i>"})
    for number, title in enumerate(TITLES):
        server.post(bob, "groups", {"name": f"odd{number:02}", "title": title})
    root = admin_token(server)
    server.post(root, "admin/suspensions/mallory", {"reason": "again"}, method="PUT")
    server.post(server.token("bob"), "groups/tea/mutes/eve", {}, method="PUT")
    server.post(server.token("bob"), "groups/tea/mutes/eve", {}, method="DELETE")


#: Every view costs a second, most of it axe's: one look a day, and that on a phone.
ALL_LOOKS = [
    pytest.param(NARROW, True, id="narrow and dark"),
    pytest.param(WIDE, False, id="wide and light", marks=pytest.mark.long),
    pytest.param(WIDE, True, id="wide and dark", marks=pytest.mark.long),
    pytest.param(NARROW, False, id="narrow and light", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("size", "dark"), ALL_LOOKS)
def test_every_view_tells_its_list_and_axe_finds_nothing(
    operator: Callable[..., Operator], size: Size, dark: bool
) -> None:
    """Titles and texts that are hostile stay text, within the width of the page."""
    root = operator(size=size, dark=dark)
    page = root.page
    for view, text in VIEWS.items():
        root.show(*view.split("/"))
        root.reads(text)
        assert findings(page) == [], view
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), view
        made = "document.querySelectorAll('.view :is(script, style, img, iframe, base, meta, i)').length"
        assert page.evaluate(made) == 0, view
        assert SECRET not in page.content(), view
    root.show("reports")
    page.get_by_role("button", name="Suspend").first.click()
    page.wait_for_selector("dialog select")
    assert findings(page) == []


#: A node that is not well, as it would tell of itself: what a test can't easily bring about.
SICK = {
    "node": "n" * 64,
    "server": "gochat/0",
    "ts": 1_700_000_000_000,
    "ready": False,
    "checks": [{"check": "accepting"}, {"check": "store", "problem": f"the disk is full {NAME}"}],
    "metrics": {
        "gochat_refusals_total": {"group.muted": 7, "links.foreign": 1_234_567},
        "gochat_denials_total": {"busy": 3},
        "gochat_store_free_bytes": {"": 17},
        "gochat_sessions": {"ws": 50_000, "tcp": 3},
    },
    "supervisors": [
        {
            "name": "actors",
            "crashes": 9,
            "given_up": 1,
            "more": 70,
            "children": [
                {"name": f"group:{'g' * 64}", "since": 1_700_000_000_000, "restarts": 4, "pausing": True},
                {"name": "run queue", "since": 1_700_000_000_000},
            ],
            "latest": [{"name": "a private room", "ts": 1_700_000_000_000, "error": "KeyError"}],
        }
    ],
}
FULL = {
    "waiting": 1_024,
    "mailboxes": [
        {
            "kind": "group",
            "id": f"group:{'g' * 64}",
            "waiting": 1_000,
            "capacity": 1_000,
            "peak": 1_000,
            "refused": 77,
            "phase": "recording",
            "age_ms": 61_000,
            "turn_ms": 62_000,
        },
        {"kind": "private", "waiting": 24, "capacity": 1_000, "peak": 30, "phase": "idle", "age_ms": 0, "turn_ms": 15},
    ],
}
SLOW = {
    "sessions": [
        {
            "user": "u" * 64,
            "since": 1_700_000_000_000,
            "transport": "ws",
            "address": "2001:db8::17",
            "device": "d" * 64,
            "node": "n",
            "waiting": 1_048_576,
            "stalled_ms": 29_000,
        },
    ],
}


def answering(told: dict[str, Any]) -> Callable[[Any], None]:
    def answer(route: Any) -> None:
        route.fulfill(json=told)

    return answer


@pytest.mark.parametrize(("size", "dark"), ALL_LOOKS)
def test_a_node_that_is_not_well(operator: Callable[..., Operator], size: Size, dark: bool) -> None:
    root = operator(size=size, dark=dark)
    page = root.page
    for path, told in (("overview", SICK), ("mailboxes", FULL), ("sessions?slow=true", SLOW)):
        page.route(f"**/v1/admin/{path}", answering(told))
    page.wait_for_selector(".top .pill.bad:has-text('not ready')")
    views = {
        "overview": "the disk is full",
        "mailboxes": "1,000 of 1,000",
        "sessions/slow": "29 sec",
        "supervisors": "4 restarts",
    }
    for view, text in views.items():
        root.show(*view.split("/"))
        root.reads(text)
        assert findings(page) == [], view
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), view
    assert page.evaluate("document.querySelectorAll('.view img').length") == 0


def test_reports_are_dealt_with(operator: Callable[..., Operator], server: Server) -> None:
    root = operator()
    root.show("reports")
    root.reads(REPORTED)
    root.answer("Mute")
    root.page.wait_for_selector(".done:has-text('eve is muted in tea.')")
    root.answer("Delete")
    root.reads("Message deleted")
    root.answer("Suspend")
    root.answer("Close")
    root.reads("No report is open.")
    root.show("suspensions")
    root.reads("eve")
    root.page.get_by_role("row", name="eve").get_by_role("button", name="End the suspension").click()
    root.page.click("dialog .primary")
    root.page.wait_for_selector(".done:has-text('eve may sign in again.')")
    root.show("audit")
    for act in ("user.unsuspend", "report.close", "user.suspend", "message.delete", "group.mute"):
        root.reads(act)


def test_private_rooms_are_shown_when_asked_and_that_is_recorded(operator: Callable[..., Operator]) -> None:
    root = operator()
    root.show("users", "ann")
    root.reads("Private rooms")
    assert "dm:ann:bob" not in root.page.content()
    root.page.get_by_label("Show the private rooms").check()
    root.reads("dm:ann:bob")
    root.show("audit")
    root.reads("rooms.list")


def test_users_are_found_by_the_beginning_of_their_ids_and_groups_by_words(operator: Callable[..., Operator]) -> None:
    root = operator()
    root.show("users")
    root.reads("bob")
    root.page.get_by_label("Ids that begin with").fill("ev")
    root.page.wait_for_function("() => document.querySelectorAll('.view tbody tr').length === 1")
    root.page.get_by_role("link", name="eve").click()
    root.reads("may sign in")
    root.show("rooms")
    for words in ("te", "Green", "tea gr"):
        root.page.get_by_label("Words of title or id").fill(words)
        root.page.wait_for_function("() => document.querySelectorAll('.view tbody tr').length === 1")
        assert "Green tea" in root.page.locator(".view tbody").inner_text()
    root.page.get_by_label("Words of title or id").fill("tea")
    root.page.get_by_role("link", name="tea", exact=True).click()
    root.reads("Green tea")
    root.reads("bob")


def test_an_answer_that_comes_late_is_not_taken_for_a_newer_one(operator: Callable[..., Operator]) -> None:
    root = operator()
    page = root.page
    root.show("users")
    late: list[Any] = []
    page.route("**/v1/admin/users?prefix=b", lambda route: late.append(route))
    page.get_by_label("Ids that begin with").fill("b")
    page.get_by_label("Ids that begin with").fill("ev")
    page.wait_for_function("() => document.querySelector('.view tbody')?.innerText.startsWith('eve')")
    with page.expect_response("**/v1/admin/users?prefix=b"):
        late[0].continue_()
    page.evaluate(FRAMES)
    assert page.locator(".view tbody").inner_text().startswith("eve")


@pytest.mark.long
def test_numbers_move(operator: Callable[..., Operator], server: Server) -> None:
    root = operator()
    root.show("overview")
    server.say(server.token("bob"), "user:ann", *(f"message {number}" for number in range(40)))
    root.page.wait_for_selector(".tile:has-text('Messages a second') polyline")
    root.page.wait_for_function(
        "() => parseFloat([...document.querySelectorAll('.tile')].find("
        "tile => tile.textContent.startsWith('Messages a second')).querySelector('b').textContent) > 0"
    )


def test_a_link_signs_an_admin_in_once_and_the_tab_keeps_it(person: Someone, server: Server) -> None:
    root = person("root", sign_in=False)
    root.page.goto(server.link("root", "--admin"))
    root.page.wait_for_selector(".admin h1")
    assert "ticket" not in root.page.url
    root.page.reload()
    root.page.wait_for_selector(".admin h1")
    root.page.goto(server.url)
    root.page.wait_for_selector(".door")  # The chat is another sign-in.
    root.page.goto(f"{server.url}admin")
    root.page.wait_for_selector(".admin h1")
    root.page.click("[aria-label='Sign out']")
    root.page.wait_for_selector(".door")
    root.page.reload()
    root.page.wait_for_selector(".door")


def test_nobody_without_the_scope_comes_in(person: Someone, server: Server) -> None:
    ann = person("ann", sign_in=False)
    asked: list[str] = []
    ann.page.on("request", lambda request: asked.append(request.url))
    for scopes in (("chat:read", "chat:write", "groups:write"), ("metrics",), ()):
        with ann.page.expect_response("**/v1/me"):
            ann.page.goto(f"{server.url}admin#token={admin_token(server, 'ann', scopes)}")
        ann.page.wait_for_selector(".door [role=alert]:has-text('without the scope admin')")
    assert [url for url in asked if "/v1/" in url and not url.endswith("/v1/me")] == [], "it asked for more"


@pytest.mark.long
def test_a_made_up_token_signs_nobody_out(operator: Callable[..., Operator], server: Server) -> None:
    root = operator()
    root.page.goto(f"{server.url}admin#token={admin_token(server, 'ann', ('chat:read',))}")
    root.page.wait_for_selector(".admin .notice:has-text('without the scope admin')")
    root.show("users")
    root.reads("eve")


@pytest.mark.long
def test_the_page_ends_with_its_token(operator: Callable[..., Operator], server: Server) -> None:
    root = operator()
    root.show("overview")
    server.post(admin_token(server, "boss"), "admin/revocations", {"user": "root"})
    root.page.wait_for_selector(".door [role=alert]")
    root.person.complaints = [each for each in root.person.complaints if "401" not in each]  # The browser's own words.
    assert root.page.evaluate("sessionStorage.getItem('gochat.admin.token')") is None


@pytest.mark.long
def test_on_a_phone_by_keyboard_and_in_german(person: Someone, server: Server) -> None:
    furnish(server)
    root = person("root", size=NARROW, sign_in=False, locale="de-DE")
    root.page.goto(f"{server.url}admin#token={admin_token(server)}")
    root.page.wait_for_selector("h1:text-is('Überblick')")
    root.page.get_by_role("link", name="Meldungen").focus()
    root.page.keyboard.press("Enter")
    root.page.wait_for_selector("h1:text-is('Meldungen'):focus")
    root.page.get_by_role("button", name="Schließen").focus()
    root.page.keyboard.press("Enter")
    root.page.wait_for_selector("dialog")
    root.page.keyboard.press("Escape")
    root.page.wait_for_selector("dialog", state="detached")
    assert root.page.evaluate("document.activeElement.textContent") == "Schließen"
