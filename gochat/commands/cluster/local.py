"""A cluster on one machine: which nodes there are and where, their folders, and their common start and end."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import trio

from gochat.commands import EXIT_FAILED, EXIT_OK, CommandError
from gochat.commands.cluster import programs
from gochat.commands.cluster.create import first_node
from gochat.commands.cluster.join import next_node
from gochat.commands.cluster.programs import Guard, Program
from gochat.commands.config import toml
from gochat.commands.files import replacing, tell
from gochat.config import Address, Settings, keys, parse_address
from gochat.errors import GochatError
from gochat.settings import env_name
from gochat.store import folder
from gochat.store.portable import cluster as of_cluster
from gochat.store.portable.backup import back_up

#: A node's ports are so much above those of the one before; the first one's are so much above the shared ones.
_STEP: Final = 10
_SETTINGS: Final = "config.toml"
#: Where a free port is looked for: no system takes these for the near end of a connection, as it might before a node
#: that was given the port listens there.
_OTHERS: Final = range(15_000, 32_000)


class NodePlan(NamedTuple):
    """One of the nodes: where its data is, and where it listens."""

    name: str
    data: Path
    http: Address
    tcp: Address
    nng: Address


def run(settings: Settings, root: Path, count: int, file: Path | None, *, as_json: bool) -> int:
    """Serve until a signal, or until no node is left. `file`: the settings of all nodes. Raises GochatError."""
    local = _Local(*planned(settings, root, count), root, file, as_json=as_json)
    try:
        return trio.run(local.run, strict_exception_groups=True)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if not isinstance(error, GochatError):
            raise
    raise error


def planned(settings: Settings, root: Path, count: int) -> tuple[Settings, list[NodePlan]]:
    """Where the nodes are, each with ports that are free; and the settings, with a free port in the place of port 0,
    which would be another one for each node. Raises CommandError."""
    with ExitStack() as probes:
        http, tcp = parse_address(settings.http.bind), parse_address(settings.tcp.bind or "127.0.0.1:0")
        http = http if http.port else _free(probes, http)
        tcp = tcp if tcp.port else _free(probes, tcp)
        nng = Address(tcp.host, tcp.port + 1)
        found = [
            NodePlan(
                f"node{n}",
                root / f"node{n}",
                *(_free(probes, Address(each.host, each.port + n * _STEP)) for each in (http, tcp, nng)),
            )
            for n in range(1, count + 1)
        ]
    return (
        msgspec.structs.replace(
            settings,
            http=msgspec.structs.replace(settings.http, bind=str(http)),
            tcp=msgspec.structs.replace(settings.tcp, bind=str(tcp)),
        ),
        found,
    )


def _free(probes: ExitStack, wanted: Address) -> Address:
    """The address, with another port where nobody can listen at that one. It is held until the probes are closed, so
    that it is not found twice. Raises CommandError."""
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    others = random.sample(_OTHERS, 50)
    for port in (wanted.port, *others) if 0 < wanted.port <= 65_535 else others:
        probe = probes.enter_context(socket.socket(family))
        try:
            probe.bind((wanted.host, port))
        except OSError:
            continue  # Somebody listens there: any other port will do.
        return Address(wanted.host, probe.getsockname()[1])
    raise CommandError(f"can't listen at {wanted.host}: is it an address of this machine?")


class _Local:
    def __init__(
        self, settings: Settings, nodes: list[NodePlan], root: Path, file: Path | None, *, as_json: bool
    ) -> None:
        self._settings = settings
        self._folder = root
        self._nodes = nodes
        self._file = file
        self._as_json = as_json
        self._closing = ExitStack()
        """Closed when all programs have ended."""
        self._guard = Guard()
        self._closing.callback(self._guard.close)
        self._server: Program | None = None
        self._running: list[Program] = []
        self._stopping = False
        self._none_left = trio.Event()

    async def run(self) -> int:
        with self._closing, trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                try:
                    async with trio.open_nursery() as serving:
                        serving.start_soon(_cancel_at_signal, signals, serving.cancel_scope)
                        await self._start(nursery)
                        await self._none_left.wait()
                        serving.cancel_scope.cancel()
                finally:
                    with trio.CancelScope(shield=True):
                        await self._stop(signals)
        return EXIT_FAILED if self._none_left.is_set() and not self._stopping else EXIT_OK

    async def _start(self, nursery: trio.Nursery) -> None:
        url = self._settings.cluster.url or await self._start_server(nursery)
        self._settings = msgspec.structs.replace(
            self._settings, cluster=msgspec.structs.replace(self._settings.cluster, url=url)
        )
        self._print({"redis": url}, f"redis  {url}")
        self._write_settings()
        await trio.to_thread.run_sync(self._prepare)
        for node in self._nodes:
            command = [*_program(), "serve"]
            if self._file is not None:
                command += ["--config", str(self._file)]
            environ = {**os.environ, **self._environ(node)}
            program = await programs.start(nursery, node.name, command, environ, self._ended)
            self._guard.add(program.pid)
            self._running.append(program)
        for node, program in zip(self._nodes, self._running, strict=True):
            await programs.wait_for_node(program, node.http.host, node.http.port)
            http, tcp = f"http://{node.http}", f"tcp://{node.tcp}"
            told = {
                "node": node.name,
                "http": http,
                "tcp": tcp,
                "nng": f"nng+tcp://{node.nng}",
                "pid": program.pid,
                "shared_http": f"http://{self._settings.http.bind}",
                "shared_tcp": f"tcp://{self._settings.tcp.bind}",
            }
            self._print(told, f"{node.name}  {http}  {tcp}  nng+tcp://{node.nng}")
        self._print({"ready": True}, self._ready())

    def _write_settings(self) -> None:
        """A file by which commands find this cluster. It holds a secret, and is for its owner alone."""
        lines = ["# Written by `gochat cluster up`, for commands about this cluster."]
        for name in ("cluster", "auth"):
            section = getattr(self._settings, name)
            given = {field: getattr(section, field) for field in section.__struct_fields__}
            other = {field: value for field, value in given.items() if value != keys()[f"{name}.{field}"].default}
            lines += [f"[{name}]", *(f"{field} = {toml(value)}" for field, value in other.items())]
        with replacing(self._folder / _SETTINGS) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")

    async def _start_server(self, nursery: trio.Nursery) -> str:
        data = self._folder / "redis"
        folder.make(data)
        place = self._closing.enter_context(programs.server_socket(data))
        url = f"unix://{place}"
        command = programs.server_command(data, place)
        self._server = await programs.start(nursery, "redis", command, os.environ, self._server_ended)
        self._guard.add(self._server.pid)
        await programs.wait_for_server(self._server, url)
        return url

    def _prepare(self) -> None:
        """Make the folders that are not there yet. The first one's makes the cluster; the others begin with a copy."""
        first, *others = self._nodes
        first_node(self._of(first))
        for node in others:
            database = folder.database(node.data)
            # A copy in a folder that is no node's is left of a start that was cut short.
            if database.exists() and (folder.cluster(node.data) is not None or of_cluster.read(database) is None):
                continue
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=".copy-") as spare:
                copy = Path(spare) / "gochat.db"
                copy.touch(0o600)
                back_up(folder.database(first.data), copy)
                next_node(self._of(node), copy)

    def _of(self, node: NodePlan) -> Settings:
        return msgspec.structs.replace(
            self._settings, node=msgspec.structs.replace(self._settings.node, data=str(node.data))
        )

    def _environ(self, node: NodePlan) -> Mapping[str, str]:
        """The settings that make it this node."""
        settings = self._settings
        values = {
            "node.name": node.name,
            "node.data": str(node.data),
            "http.bind": str(node.http),
            "http.metrics_bind": "",
            "tcp.bind": str(node.tcp),
            "nng.bind": f"tcp://{node.nng}",
            "cluster.url": settings.cluster.url,
            "cluster.advertise": f"http://{node.http}",
            "cluster.shared_http": settings.http.bind,
            "cluster.shared_tcp": settings.tcp.bind,
            "auth.secret": settings.auth.secret,
            "cluster.secret_file": settings.cluster.secret_file,
        }
        if not settings.auth.secret:
            del values["auth.secret"]
        return {env_name(path): value for path, value in values.items()}

    def _ready(self) -> str:
        place, settings = shlex.quote(str(self._folder)), shlex.quote(str(self._folder / _SETTINGS))
        chat = f"gochat chat --as ann --data {place} --url ws://{self._nodes[0].http}/v1/ws"
        return (
            f"all    http://{self._settings.http.bind}  tcp://{self._settings.tcp.bind}\n"
            f"ready: `{chat}`, and as bob at another one; Ctrl-C ends all of it\n"
            f"`gochat cluster status --config {settings}` says how it does"
        )

    def _print(self, told: Mapping[str, object], text: str) -> None:
        tell(json.dumps(told) if self._as_json else text)

    def _ended(self, program: Program) -> None:
        self._guard.remove(program.pid)
        living = sum(each.process.poll() is None for each in self._running)
        if not self._stopping:
            rest = "the others go on" if living else "no node is left"
            tell(f"gochat: {program.name} {program.end()}; {rest}", err=True)
        if not living:
            self._none_left.set()

    def _server_ended(self, program: Program) -> None:
        self._guard.remove(program.pid)
        if not self._stopping:
            tell(f"gochat: redis {program.end()}; nodes take no messages without it", err=True)

    async def _stop(self, signals: AsyncIterator[int]) -> None:
        """Have the nodes drain, and then the server end. A signal meanwhile ends all of them at once."""
        self._stopping = self._stopping or not self._none_left.is_set()
        async with trio.open_nursery() as stopping:
            stopping.start_soon(self._kill_at_signal, signals)
            for program in self._running:
                program.stop()
            for program in self._running:
                await program.process.wait()
            if self._server is not None:
                self._server.stop()
                await self._server.process.wait()
            stopping.cancel_scope.cancel()

    async def _kill_at_signal(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            for program in (*self._running, *filter(None, [self._server])):
                program.stop(signal.SIGKILL)


def _program() -> list[str]:
    """How this program is called: as a module, as a zipapp, or as one file that brings its own Python."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    if Path(sys.argv[0]).suffix == ".pyz":
        return [sys.executable, sys.argv[0]]
    return [sys.executable, "-m", "gochat"]


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return
