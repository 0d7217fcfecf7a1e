"""ejabberd, run straight by the Erlang machine: its control script changes the user and starts daemons besides."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers.base import Running
from bench.peers.process import debian_version, program, running
from bench.peers.xmpp import DOMAIN, ROOMS, Xmpp
from bench.server import Cores

_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")
_CONFIG = """
hosts: [{domain}]
loglevel: error
auth_method: internal
auth_password_format: plain
acme: {{auto: false}}
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    shaper: none
    access: all
    backlog: 2048
    max_stanza_size: infinity
access_rules:
  register: {{allow: all}}
  trusted: {{allow: all}}
registration_timeout: infinity
modules:
  mod_register:
    access: register
    ip_access: all
    password_strength: 0
  mod_muc:
    host: {rooms}
    access: all
    access_create: all
    max_users: 5000
    history_size: 0
    min_message_interval: 0
    min_presence_interval: 0
    user_message_shaper: none
    user_presence_shaper: none
    default_room_options:
      max_users: 5000
      presence_broadcast: []
      mam: false
      logging: false
"""


class Ejabberd(Xmpp):
    name = "ejabberd"

    def missing(self) -> str | None:
        if not program("erl"):
            return "erl is not installed (Debian package ejabberd)"
        return None if _library() else "ejabberd is not installed (Debian package ejabberd)"

    def version(self) -> str:
        return debian_version("ejabberd")

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        def arguments(port: int) -> list[str | Path]:
            (folder / "ejabberd.yml").write_text(_CONFIG.format(domain=DOMAIN, rooms=ROOMS, port=port))
            # As ejabberdctl has it, but for the node's name: without one no epmd is started.
            return [
                *(program("erl") or "erl", "+K", "true", "+P", "250000", "-noinput"),
                *("-mnesia", "dir", f'"{folder}/mnesia"', "-s", "ejabberd"),
            ]

        return running(
            arguments,
            folder,
            cores,
            {
                "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
                "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
                "ERL_CRASH_DUMP": "/dev/null",
                "ERL_LIBS": _library(),
                "ERL_MAX_PORTS": "32000",
                "HOME": str(folder),
            },
        )


def _library() -> str:
    """The folder that holds ejabberd's applications; empty where there is none."""
    return next((folder for folder in _LIBRARIES if list(Path(folder).glob("ejabberd-*/ebin/ejabberd.app"))), "")
