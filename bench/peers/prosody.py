"""Prosody, with only the modules that the load needs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers.base import Running
from bench.peers.process import absent, debian_version, program, running
from bench.peers.xmpp import DOMAIN, ROOMS, Xmpp
from bench.server import Cores

_CONFIG = """
run_as_root = true
data_path = "{folder}"
plugin_paths = {{ "{folder}" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ }}
modules_enabled = {{ "saslauth", "register_ibr", "disco" }}
modules_disabled = {{ "s2s", "offline", "tls" }}
network_settings = {{ nagle = false, tcp_backlog = 2048 }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
allow_registration = true
authentication = "internal_plain"
log = {{ {{ levels = {{ min = "error" }}, to = "console" }} }}
VirtualHost "{domain}"
Component "{rooms}" "muc"
    modules_enabled = {{ "brief_joins" }}
    muc_room_locking = false
    muc_room_default_presence_broadcast = {{ visitor = false, participant = false, moderator = false }}
    muc_room_default_history_length = 0
    max_history_messages = 0
"""

# A join builds the presence of everybody who is in, also where nobody is told: 1,000 joins would take a minute.
# Messages do not come this way.
_BRIEF_JOINS = """
module:hook("muc-room-pre-create", function (event)
    function event.room:send_occupant_list() end
end, 10);
"""


class Prosody(Xmpp):
    name = "prosody"

    def missing(self) -> str | None:
        return absent("prosody", "prosody")

    def version(self) -> str:
        return debian_version("prosody")

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        def arguments(port: int) -> list[str | Path]:
            (folder / "mod_brief_joins.lua").write_text(_BRIEF_JOINS)
            config = folder / "prosody.cfg.lua"
            config.write_text(_CONFIG.format(folder=folder, domain=DOMAIN, rooms=ROOMS, port=port))
            return [program("prosody") or "prosody", "-F", "--config", config]

        return running(arguments, folder, cores)
