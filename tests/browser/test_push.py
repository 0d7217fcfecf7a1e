"""Notices: pushes that the page's worker gets, the device that the server knows, quiet hours and silent chats."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.browser.conftest import Server
from tests.browser.people import PATIENCE_MS, Person

Someone = Callable[..., Person]
SHOWN = """async () => (await (await navigator.serviceWorker.getRegistration()).getNotifications())
    .map(notice => [notice.title, notice.body, notice.data.room])"""
#: A browser's push service is far away: this one says what it would say.
PUSH_SERVICE = """
    let made = null;
    const subscription = {
        endpoint: 'https://push.example/device-1', unsubscribe: async () => { made = null; return true; },
        toJSON: () => ({endpoint: subscription.endpoint, keys: {p256dh: KEY, auth: 'A'.repeat(22)}}),
    };
    PushManager.prototype.subscribe = async () => made = subscription;
    PushManager.prototype.getSubscription = async () => made;
"""
#: A point of P-256: the generator.
KEY = "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"


def deliver(ann: Person, told: dict[str, object]) -> None:
    """A push, as Chromium's own debugging protocol gives one to the worker."""
    session: Any = ann.context.new_cdp_session(ann.page)
    found: list[dict[str, Any]] = []
    session.on("ServiceWorker.workerRegistrationUpdated", lambda event: found.extend(event["registrations"]))
    session.send("ServiceWorker.enable")
    ann.page.wait_for_function("() => true")
    origin = ann.server.url.rstrip("/")
    (registration,) = {each["registrationId"] for each in found if each["scopeURL"].startswith(origin)}
    message = {"origin": origin, "registrationId": registration, "data": json.dumps(told)}
    session.send("ServiceWorker.deliverPushMessage", message)


#: Has the worker count the notices that it has shown.
COUNTING = """() => {
    const show = registration.showNotification.bind(registration);
    self.shown = 0;
    registration.showNotification = async (...told) => { await show(...told); self.shown += 1; };
}"""

HAS_SHOWN = """async ([shown, patience]) => {
    const end = performance.now() + patience;
    while (self.shown < shown && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 5));
    return self.shown === shown;
}"""


def push(ann: Person, told: dict[str, object], shown: int) -> None:
    """Deliver, and wait until the worker has shown so many notices. The page must not look meanwhile: to list notices
    makes Chromium drop those that it has written down and does not display yet."""
    (worker,) = ann.context.service_workers
    deliver(ann, told)
    assert worker.evaluate(HAS_SHOWN, [shown, PATIENCE_MS]), f"no notice of {told}"


def test_a_push_shows_a_notice_and_a_click_opens_the_room(person: Someone, server: Server) -> None:
    bob = server.token("bob")
    server.say(bob, "user:ann", "are you there?")
    ann = person("ann", worker=True, notices=True)
    ann.has_worker()
    (worker,) = ann.context.service_workers
    worker.evaluate(COUNTING)
    push(ann, {"room": "dm:ann:bob", "title": "bob", "text": "1 new in bob"}, 1)
    assert ann.page.evaluate(SHOWN) == [["bob", "1 new in bob", "dm:ann:bob"]]
    push(ann, {"room": "dm:ann:bob", "title": "bob", "text": "2 new in bob"}, 2)
    assert ann.page.evaluate(SHOWN) == [["bob", "2 new in bob", "dm:ann:bob"]], "a newer one takes its place"
    worker.evaluate("""async () => {
        const [notification] = await registration.getNotifications();
        dispatchEvent(new NotificationEvent('notificationclick', {notification}));
    }""")
    ann.sees("are you there?")


def test_a_browser_becomes_a_device_and_is_one_no_more_after_signing_out(person: Someone, server: Server) -> None:
    server.stop()
    server.start(GOCHAT_NOTIFY__PUSH="true", GOCHAT_NOTIFY__PUSH_CONTACT="mailto:admin@example.org")
    ann = person("ann", worker=True, notices=True, sign_in=False)
    ann.page.add_init_script(PUSH_SERVICE.replace("KEY", repr(KEY)))
    ann.sign_in()
    ann.has_worker()
    ann.page.click("[aria-label=More]")
    ann.page.get_by_role("menuitem", name="Notifications").click()
    box = ann.page.get_by_label("Also when no page is open")
    box.check()
    ann.page.wait_for_selector("dialog :text('(1 device)')")
    box.uncheck()
    ann.page.wait_for_selector("dialog :text('(0 devices)')")


def test_quiet_hours_and_silent_chats_are_kept_by_the_server(person: Someone, server: Server) -> None:
    server.say(server.token("bob"), "user:ann", "hello")
    ann = person("ann")
    ann.open("bob")
    ann.page.click(".thread .bar [aria-label=More]")
    ann.page.get_by_label("Notifications").select_option(label="silent for good")
    ann.page.wait_for_selector(".chats .chat [aria-label=silent]")
    ann.page.keyboard.press("Escape")
    ann.page.click("[aria-label=More]")
    ann.page.get_by_role("menuitem", name="Notifications").click()
    ann.page.get_by_label("From").fill("22:00")
    ann.page.get_by_label("Until").fill("07:00")
    ann.page.click("dialog form .soft")
    ann.page.reload()
    ann.page.wait_for_selector(".chats .chat [aria-label=silent]")
    ann.page.click("[aria-label=More]")
    ann.page.get_by_role("menuitem", name="Notifications").click()
    assert ann.page.get_by_label("From").input_value() == "22:00"
    ann.page.get_by_role("button", name="Hear it again").click()
    ann.page.wait_for_selector(".chats .chat [aria-label=silent]", state="detached")
