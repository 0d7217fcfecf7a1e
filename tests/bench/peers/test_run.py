"""Each peer that is installed, started and driven for real. gochat needs none of them: what is not there is skipped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.faults import Broken
from bench.load.outcome import Length
from bench.peers.base import Peer, Running
from bench.peers.nats import Nats
from bench.peers.process import running
from bench.peers.roster import PEERS
from bench.peers.run import LISTS, LOADS, Options, gochat_turn, peer_turn, run
from bench.server import Cores

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[3]
MESSAGES = 60
OPTIONS = Options(Length(20.0, messages=MESSAGES, patience_s=20.0), turns=1, members=25, window=16, pairs=3)


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    found = PEERS[request.param]
    if reason := found.missing():
        pytest.skip(reason)
    return found


def test_every_load_is_carried_out_to_the_last_message(peer: Peer, tmp_path: Path) -> None:
    measures = list(peer_turn(peer, tmp_path, Cores.split(), OPTIONS, 1))
    assert {measure.load for measure in measures} == set(LOADS)
    assert {(measure.target, measure.messages) for measure in measures} == {(peer.name, MESSAGES)}
    assert all(measure.value > 0 and measure.latency_ns for measure in measures)
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_known(peer: Peer) -> None:
    assert peer.version()[:1].isdigit()


def test_gochat_is_measured_under_the_same_loads(tmp_path: Path) -> None:
    measures = list(gochat_turn(tmp_path, Cores.split(), OPTIONS, 2))
    assert sorted(measure.load for measure in measures) == sorted([*LOADS, *LISTS.values()])
    assert {(measure.target, measure.turn, measure.messages) for measure in measures} == {("gochat", 2, MESSAGES)}


#: A broker that says what nats-server says, and gives message 1 again instead of 30.
REPEATER = r"""
import asyncio, collections, sys
subscribers = collections.defaultdict(list)
async def serve(reader, writer):
    writer.write(b"INFO {}\r\n")
    while line := await reader.readline():
        word, *rest = line.split()
        if word == b"SUB":
            subscribers[rest[0]].append(writer)
        elif word == b"PING":
            writer.write(b"PONG\r\n")
        elif word == b"PUB":
            body = await reader.readexactly(102)
            for subscriber in subscribers[rest[0]]:
                subscriber.write(b"MSG x 2 100\r\n" + body.replace(b"00000030", b"00000001"))
async def main():
    await (await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
"""


class Repeater(Nats):
    name = "repeater"

    @contextmanager
    def serve(self, folder: Path, cores: Cores) -> Iterator[Running]:
        with running(lambda port: [sys.executable, "-c", REPEATER, str(port)], folder, cores) as found:
            yield found


class Absent(Nats):
    name = "absent"

    @contextmanager
    def serve(self, folder: Path, cores: Cores) -> Iterator[Running]:
        with running(lambda _: [sys.executable, "-c", "print('no room'); raise SystemExit(3)"], folder, cores) as found:
            yield found


def test_a_wrong_message_and_a_server_that_ends_are_no_figures_and_stop_nobody_else(tmp_path: Path) -> None:
    told: list[str] = []
    options = OPTIONS._replace(turns=2, pairs=1)
    found = run([Repeater(), Absent()], tmp_path, Cores.split(), options, told.append)
    assert "b0000: message 30 expected, got number b'00000001'" in found.failed["repeater"]
    assert "status 3 before it was ready" in found.failed["absent"]
    assert "no room" in found.failed["absent"]
    assert {(measure.target, measure.turn) for measure in found.measures} == {("gochat", 1), ("gochat", 2)}
    assert sum("no figure" in line for line in told) == 2


def test_a_peer_runs_on_the_servers_core_and_is_gone_afterwards(tmp_path: Path) -> None:
    with Repeater().serve(tmp_path, Cores.split()) as server:
        status = Path(f"/proc/{server.pid}/status").read_text()
        [core] = Cores.split().server
        assert f"Cpus_allowed_list:\t{core}\n" in status
    assert not Path(f"/proc/{server.pid}").exists()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(Broken, match="/no/such/server did not start"),
        running(lambda _: ["/no/such/server"], tmp_path, Cores.split()),
    ):
        pass


def test_the_command_writes_the_page_and_leaves_out_what_is_missing(tmp_path: Path) -> None:
    out, as_json = tmp_path / "page.md", tmp_path / "run.json"
    small = ["--turns", "1", "--seconds", "0.2", "--members", "10", "--pairs", "2", "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-m", "bench.peers", "nats", *small, "--out", str(out), "--json", str(as_json)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    assert done.stdout.strip() == text.strip()
    assert "| gochat | " in text
    assert ("| nats | " in text) or ("- nats: nats-server is not installed" in text)
    assert '"gochat-bench/1"' in as_json.read_text()


def test_the_installer_is_a_shell_script_without_addresses() -> None:
    script = ROOT / "bench" / "peers" / "install.sh"
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert "://" not in script.read_text()
