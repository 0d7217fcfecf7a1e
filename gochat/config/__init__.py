"""The settings as pure values: sections and keys, what is allowed, and mistakes between them. `settings` reads them."""

from gochat.config.address import Address, is_loopback, parse_address
from gochat.config.chat_sections import History, Limits, Log, Notify, Policy, Retention, Rooms, Session
from gochat.config.cluster import Servers, out_of_reach, parse_servers
from gochat.config.cluster_sections import Cluster
from gochat.config.key import Key
from gochat.config.node_sections import Auth, Http, Nng, Node, Tcp
from gochat.config.problems import MIN_SECRET_BYTES, TEMPLATE_FIELDS, problems, webhook_key
from gochat.config.sections import Settings, binds, keys, sections, unencrypted

__all__ = [
    "MIN_SECRET_BYTES",
    "TEMPLATE_FIELDS",
    "Address",
    "Auth",
    "Cluster",
    "History",
    "Http",
    "Key",
    "Limits",
    "Log",
    "Nng",
    "Node",
    "Notify",
    "Policy",
    "Retention",
    "Rooms",
    "Servers",
    "Session",
    "Settings",
    "Tcp",
    "binds",
    "is_loopback",
    "keys",
    "out_of_reach",
    "parse_address",
    "parse_servers",
    "problems",
    "sections",
    "unencrypted",
    "webhook_key",
]
