"""`gochat notify`: what waits and what was given up at a running node, trying it again, and whether channels work."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import trio
from standardwebhooks import Webhook as Verifier

from gochat import cli
from gochat import store as stores
from gochat.commands import EXIT_AUTH, EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE
from gochat.domain.notices import Addressed, Bounds, NewNotice, Route, Subscribed
from gochat.node import Node, running
from gochat.store.folder import database
from tests.client.command import Ran, gochat
from tests.client.conftest import enter
from tests.e2e.conftest import make_settings
from tests.notify.receivers import HttpReceiver, SmtpReceiver, smtp_relay
from tests.notify.stages import SECRET, Device, server_tls, unused_port
from tests.tokens import issue

#: For what must come; generous, since machines are shared.
SOON = 60


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """Nobody listens where its webhook goes: bob's notification waits there, and cy's was given up."""
    url = f"http://127.0.0.1:{unused_port()}/hook"
    notify = {"webhook_url": url, "webhook_secret": SECRET, "allow_private": True, "after_minutes": 0}
    async with running(make_settings(tmp_path / "data", notify=notify)) as node:
        async with enter(node, "ann") as ann:
            await ann.send("user:bob", "hi")
        notices = node.gateway.notifications.notices
        with trio.fail_after(SOON):
            while not [entry for entry in await notices.entries(dead=False, limit=9) if entry.reason]:
                await trio.sleep(0.01)
        record = await node.gateway.journal.load("dm:ann:bob")
        given_up = NewNotice("ntf_dead", "cy", record.room_pk, 0, 1, 0, 1_790_000_000_000)
        await notices.add([given_up], {}, [Route("webhook", True)], Bounds(0), 1_790_000_000_000)
        yield node


async def test_what_waits_is_listed_and_what_was_given_up_is_tried_again(node: Node) -> None:
    token = {"GOCHAT_TOKEN": issue(node, "root", ["admin"])}
    ran = await gochat(node, "notify", "list", **token)
    assert (ran.code, ran.err) == (EXIT_OK, "1 wait, 1 were given up\n")
    (line,) = ran.out.splitlines()
    assert line.startswith("ntf_")
    assert " webhook user:bob dm:ann:bob, since " in line
    assert line.endswith(": no connection")
    ran = await gochat(node, "notify", "list", "--dead", "--channel", "webhook", "--limit", "1", "--json", **token)
    assert ran.code == EXIT_OK
    (entry,) = [json.loads(line) for line in ran.out.splitlines()]
    assert (entry["notification"], entry["user"], entry["channel"]) == ("ntf_dead", "cy", "webhook")
    assert (entry["reason"], entry["tries"], "next" in entry) == ("too many wait for this channel", 0, False)
    ran = await gochat(node, "notify", "list", "--channel", "mail", **token)
    assert ran == (EXIT_OK, "", "0 wait, 0 were given up\n")
    ran = await gochat(node, "notify", "retry", "--channel", "mail", **token)
    assert ran == (EXIT_OK, "", "0 are tried again\n")
    ran = await gochat(node, "notify", "retry", **token)
    assert ran == (EXIT_OK, "", "1 are tried again\n")
    assert await node.gateway.notifications.notices.entries(dead=True, limit=9) == []


async def test_only_admins_may_look(node: Node) -> None:
    ran = await gochat(node, "notify", "list", GOCHAT_TOKEN=issue(node, "ann"))
    assert (ran.code, ran.out) == (EXIT_AUTH, "")
    assert "forbidden" in ran.err
    assert (await gochat(node, "notify", "list", "--as", "root")).code == EXIT_OK  # signed by the node's own secret


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list"], EXIT_USAGE, "who are you?"),
        (["retry"], EXIT_USAGE, "who are you?"),
        (["list", "--limit", "0"], EXIT_USAGE, "--limit"),
        (["list", "--limit", "201"], EXIT_USAGE, "--limit"),
        (["list", "--channel", "pigeon"], EXIT_USAGE, "'pigeon' is not one of"),
        (["retry", "--dead"], EXIT_USAGE, "No such option"),
        (["list", "--token", "abc", "--url", "tcp://127.0.0.1:1"], EXIT_UNREACHABLE, "can't reach"),
        (["test"], EXIT_USAGE, "Missing argument 'USER'"),
        (["test", "No One"], EXIT_USAGE, "is no user id"),
        (["test", "ann"], EXIT_FAILED, "no channel is on"),
        (["test", "ann", "--channel", "push"], EXIT_FAILED, "the channel push is off"),
        (["test", "ann", "--config", "absent.toml"], EXIT_CONFIG, "absent.toml"),
    ],
)
def test_what_can_not_be_done_is_a_line_and_a_code(
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOCHAT_TOKEN", raising=False)
    assert cli.run(["notify", *words]) == code
    assert said in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- test


async def tested(*words: str) -> Ran:
    """`gochat notify test`, in a thread: it runs a loop of its own."""

    def run() -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.run(["notify", "test", *words])
        return Ran(code, out.getvalue(), err.getvalue())

    with trio.fail_after(SOON):
        return await trio.to_thread.run_sync(run)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings come from the environment; `setenv` adds some."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir(mode=0o700)
    monkeypatch.setenv("GOCHAT_NOTIFY__ALLOW_PRIVATE", "true")
    return monkeypatch


async def test_a_webhook_is_tried(settings: pytest.MonkeyPatch, nursery: trio.Nursery) -> None:
    receiver = HttpReceiver()
    await nursery.start(receiver.serve)
    settings.setenv("GOCHAT_NOTIFY__WEBHOOK_URL", f"http://127.0.0.1:{receiver.port}/hook")
    settings.setenv("GOCHAT_NOTIFY__WEBHOOK_SECRET", SECRET)
    assert await tested("ann") == (EXIT_OK, "webhook: delivered\n", "")
    (received,) = receiver.received
    told = Verifier(SECRET).verify(received.body, received.headers)["data"]
    assert (told["user"], told["id"][:9]) == ("ann", "ntf_test_")
    receiver.answers.append(500)
    assert await tested("user:ann", "--channel", "webhook") == (
        EXIT_FAILED,
        "webhook: not delivered: the receiver answered 500\n",
        "",
    )
    settings.setenv("GOCHAT_NOTIFY__WEBHOOK_SECRET", "short")
    ran = await tested("ann")
    assert (ran.code, "notify.webhook_secret" in ran.err, "short" in ran.err) == (EXIT_CONFIG, True, False)


async def test_a_mail_goes_to_the_users_address_or_to_one_that_is_named(settings: pytest.MonkeyPatch) -> None:
    async with stores.open(database(Path("data"))) as store:
        await store.journal.append_side_records([Addressed("ann", "ann@mail.example")])
    receiver = SmtpReceiver()
    with smtp_relay(receiver) as port:
        settings.setenv("GOCHAT_NOTIFY__SMTP", f"127.0.0.1:{port}")
        settings.setenv("GOCHAT_NOTIFY__SMTP_SECURITY", "none")
        settings.setenv("GOCHAT_NOTIFY__MAIL_FROM", "chat@chat.example")
        settings.setenv("GOCHAT_AUTH__MAIL_CLAIM", "email")
        assert await tested("ann") == (EXIT_OK, "mail: delivered\n", "")
        assert await tested("bob", "--mail", "ops@chat.example") == (EXIT_OK, "mail: delivered\n", "")
        assert [envelope.rcpt_tos for envelope in receiver.envelopes] == [["ann@mail.example"], ["ops@chat.example"]]
        ran = await tested("bob", "--channel", "mail")
        assert ran == (EXIT_FAILED, "mail: not delivered: no such receiver\n", "")
        for answer in ("550 5.7.1 Relaying denied", "550 5.1.1 unknown"):
            receiver.once["RCPT"] = answer
            ran = await tested("ann", "--channel", "mail")
            assert ran == (EXIT_FAILED, f"mail: not delivered: the mail relay answered {answer}\n", "")


async def test_each_device_of_the_user_is_pushed_to(
    settings: pytest.MonkeyPatch, tmp_path: Path, nursery: trio.Nursery
) -> None:
    tls, _ = server_tls(tmp_path)
    service = HttpReceiver()
    await nursery.start(service.serve, tls)
    settings.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
    settings.setenv("GOCHAT_NOTIFY__PUSH", "true")
    settings.setenv("GOCHAT_NOTIFY__PUSH_CONTACT", "mailto:ops@chat.example")
    devices = [Device(), Device()]
    async with stores.open(database(Path("data"))) as store:
        for number, device in enumerate(devices):
            subscription = device.subscription(f"https://localhost:{service.port}/{number}")
            await store.journal.append_side_records([Subscribed("ann", subscription, number, None)])
    service.answers.extend([201, 410])
    ran = await tested("ann")
    assert ran == (EXIT_FAILED, "push: delivered\npush: not delivered: no such receiver\n", "")
    told = [devices[int(received.path[1:])].read(received.body) for received in service.received]
    assert [each["user"] for each in told] == ["ann", "ann"]
    assert await tested("bob") == (EXIT_FAILED, "push: bob has subscribed no device\n", "")
