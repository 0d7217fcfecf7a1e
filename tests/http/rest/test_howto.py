"""The lines of docs/howto/rest.md, run as they stand but for the port."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import trio

from gochat.config import Limits, Policy
from gochat.node import running
from tests import forked
from tests.e2e.conftest import make_settings
from tests.e2e.peer import address
from tests.programs import needs

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "rest.md").read_text(encoding="utf-8")
#: Stops at the first line that fails; what curl calls success may still be an error of the server's.
PRELUDE = 'set -eu\ncurl() { command curl --fail-with-body --max-time 20 "$@" && echo; }\n'


async def test_every_line_runs_at_the_first_try(tmp_path: Path) -> None:
    needs("curl")
    blocks = re.findall(r"```sh( refused)?\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 11
    script = PRELUDE + "".join(must_be_refused(text) if refused else text for refused, text in blocks)
    limits = Limits()  # The limits and the rules that a node has by itself.
    names = {name: getattr(limits, name) for name in ("messages_per_s", "message_burst")}
    policy = msgspec.structs.asdict(Policy())
    with trio.fail_after(60):
        async with running(make_settings(tmp_path / "data", limits=names, policy=policy)) as node:
            port = address(node, "http")[1]
            done = await trio.run_process(
                ["sh", "-c", script.replace("127.0.0.1:8080", f"127.0.0.1:{port}")],
                cwd=tmp_path,
                env=environment(tmp_path),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    told = done.stdout.decode()
    assert done.returncode == 0, told + done.stderr.decode()
    assert told.count('"id":"group:tea:6"') == 6, told
    assert '"body":"Tea is ready"' in told
    assert "\n304\n" in told
    refusals = re.findall(r'"code":"(\w+)".*?"rule":"([\w.]+)"', told)
    assert [refusal for refusal in refusals if refusal[0] != "rate_limited"] == [
        ("blocked", "contact.blocked"),
        ("declined", "request.declined"),
        ("external_link", "links.foreign"),
    ]
    assert '"contacts":[{"user":"ann","name":"ann","state":"contact","room":"dm:ann:bob",' in told
    assert '"body":"Thanks"' in told
    assert '"title":"Green tea"' in told
    links = re.findall(r"link: <(\S+)>; rel=\"next\"", told)
    assert links == ["/v1/messages?room=group:tea&limit=2&before=6", "/v1/groups/tea/users?limit=1&cursor=ann"]


def must_be_refused(block: str) -> str:
    """A failure of one of these lines is what the page says; that none of them fails stops the script."""
    return "".join(f"if {line}; then exit 1; fi\n" for line in block.replace("\\\n", "").splitlines())


def environment(folder: Path) -> dict[str, str]:
    """With this `gochat` on the path, whether or not it is installed."""
    command = forked.program(folder / "bin" / "gochat")
    root = str(Path(__file__).parents[3])
    return {"PATH": f"{command.parent}:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": root}
