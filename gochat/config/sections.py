"""The settings: every key with its type, bounds, unit, reason and default. Pure values; `settings` reads them.

config.toml and docs/reference/settings.md are written from this module, so nothing about a key stands anywhere else.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Literal

import msgspec

from gochat.config.address import parse_address
from gochat.config.cluster import in_the_open
from gochat.config.cluster_sections import Cluster
from gochat.config.key import ADDRESS, NNG_ADDRESS, Key
from gochat.config.key import describe as _key


# fmt: off
class Node(msgspec.Struct, frozen=True):
    """The process and its folder."""

    name: Annotated[str, _key("text", max_length=64, why=
        "Names the node to clients and in logs; empty: the name of the host.")] = ""
    data: Annotated[str, _key("folder", min_length=1, flag="--data", why=
        "Holds the database, and the secret made when none is configured. Made when missing; for one node.")] = "data"
    drain_s: Annotated[float, _key("seconds", ge=0, le=600, why=
        "From SIGTERM to the end: sessions leave, rooms finish, the store closes. Some supervisors allow 10 s.")] = 10.0


class Http(msgspec.Struct, frozen=True):
    """HTTP and WebSocket, on one port."""

    bind: Annotated[str, _key(ADDRESS, flag="--http", does="Where HTTP and WebSocket listen", why=
        "Where to listen; an IPv6 host stands in brackets, port 0 takes a free one.")] = "127.0.0.1:8080"
    origins: Annotated[list[str], _key("origins", max_length=100, why=
        "Web origins whose pages may connect, beside the page's own host, such as https://chat.example.")] = []
    trusted_proxies: Annotated[list[str], _key("networks", max_length=100, why=
        "Peers whose X-Forwarded-For is believed, such as 10.0.0.0/8; from others it would defeat the limits.")] = []
    tls_cert: Annotated[str, _key("file", why=
        "Certificate chain, PEM, for TLS without a proxy in front; needs tls_key. Both are read again on SIGHUP.")] = ""
    tls_key: Annotated[str, _key("file", why=
        "The certificate's private key, PEM, without a passphrase.")] = ""
    metrics: Annotated[Literal["token", "all", "off"], _key("choice", why=
        "Who may read /metrics: tokens with the scope metrics or admin, everybody, or nobody.")] = "token"
    metrics_bind: Annotated[str, _key(ADDRESS, why=
        "An address of its own for /metrics, which http.bind then does not have; empty: none.")] = ""
    page: Annotated[bool, _key("yes or no", why=
        "Whether browsers get the page to chat in at /.")] = True


class Tcp(msgspec.Struct, frozen=True):
    """Raw TCP: a frame a line. It has no TLS, so keep it on loopback or a private network."""

    bind: Annotated[str, _key(ADDRESS, flag="--tcp", does="Where raw TCP listens; '' turns it off", why=
        "Where to listen; empty: off.")] = "127.0.0.1:8081"


class Nng(msgspec.Struct, frozen=True):
    """nng: requests and replies in pairs (REQ/REP), a frame a line. With tcp:// keep it on loopback as raw TCP."""

    bind: Annotated[str, _key(NNG_ADDRESS, flag="--nng", does=
        "Where nng listens, as tcp://HOST:PORT; '' turns it off", why=
        "Where to listen; empty: off.")] = "tcp://127.0.0.1:8082"
    tls_cert: Annotated[str, _key("file", why=
        "Certificate chain, PEM, for tls+tcp://; needs tls_key. Both are read at the start alone.")] = ""
    tls_key: Annotated[str, _key("file", why=
        "The certificate's private key, PEM, without a passphrase.")] = ""
    session_s: Annotated[float, _key("seconds", ge=1, le=3_600, why=
        "A session without a request for so long ends: nng does not tell that a peer is gone.")] = 60.0


class Auth(msgspec.Struct, frozen=True):
    """The tokens that users show. One key with one algorithm: `secret`, `key_file`, `jwks_file` or `jwks_url`."""

    algorithm: Annotated[Literal["HS256", "RS256", "ES256", "EdDSA"], _key("choice", why=
        "The only one accepted: a token may not choose. HS256 goes with secret, others with a public key.")] = "HS256"
    secret: Annotated[str, _key("text", secret=True, why=
        "Key for HS256, at least 32 bytes. With it anybody can be anyone: keep it out of files that others read.")] = ""
    key_file: Annotated[str, _key("file", why=
        "Public key, PEM, of the issuer of the tokens.")] = ""
    jwks_file: Annotated[str, _key("file", why=
        "Public keys as a JWK set; a token's kid picks one.")] = ""
    jwks_url: Annotated[str, _key("URL", why=
        "Where to fetch the JWK set, https or loopback; fetched again after 5 minutes, kept while that fails.")] = ""
    user_claim: Annotated[str, _key("claim", min_length=1, max_length=64, why=
        "The claim that holds the user id, for issuers whose sub is not fit to be shown.")] = "sub"
    user_map: Annotated[Literal["none", "escape"], _key("choice", why=
        "escape makes any id of an identity provider a user id, one to one: Ann@x.org is u__41nn_40x.org.")] = "none"
    mail_claim: Annotated[str, _key("claim", max_length=64, why=
        "The claim that holds a mail address for notifications (notify.smtp), such as email; empty: none.")] = ""
    issuer: Annotated[str, _key("text", max_length=512, why=
        "What iss must be; empty: not checked. Set it when the signer serves more than this site.")] = ""
    audience: Annotated[str, _key("text", min_length=1, max_length=512, why=
        "What aud must be or hold, so that a token for another service is of no use here.")] = "gochat"
    require_jti: Annotated[bool, _key("yes or no", why=
        "Whether a token must carry an id; one is needed to revoke a single token.")] = False
    max_lifetime_s: Annotated[int, _key("seconds", ge=60, le=366 * 86_400, why=
        "Longest time from iat to exp: a lost token is of use no longer than this.")] = 30 * 86_400
    leeway_s: Annotated[int, _key("seconds", ge=0, le=300, why=
        "How far the signer's clock may be off.")] = 5

    def __repr__(self) -> str:
        return f"Auth(algorithm={self.algorithm!r}, configured={self.configured})"

    @property
    def configured(self) -> bool:
        """Whether a key is configured; if none is, the node makes a secret in its data folder."""
        return bool(self.secret or self.key_file or self.jwks_file or self.jwks_url)


class Limits(msgspec.Struct, frozen=True):
    """Bounds for one client, and for all together. `welcome` tells clients those that concern them."""

    frame_bytes: Annotated[int, _key("bytes", ge=1_024, le=1_048_576, why=
        "A client's frame; a longer one closes the session before it is read.")] = 65_536
    body_chars: Annotated[int, _key("characters", ge=1, le=100_000, why=
        "A message's body; four times as many bytes must fit into a frame.")] = 4_000
    add_users: Annotated[int, _key("users", ge=1, le=1_000, why=
        "Users in one add: they become one fact, which every member gets.")] = 200
    group_members: Annotated[int, _key("users", ge=2, le=1_000_000, why=
        "Members of a group.")] = 100_000
    window: Annotated[int, _key("requests", ge=1, le=10_000, why=
        "Requests a session may have unsettled before its socket is not read: what one client can queue.")] = 128
    sessions: Annotated[int, _key("sessions", ge=1, le=1_000, why=
        "Sessions of one user at a time.")] = 20
    messages_per_s: Annotated[float, _key("messages a second", ge=0, le=1e9, why=
        "What a user may send in the long run, over all sessions; 0: no limit. People type slower.")] = 1.0
    message_burst: Annotated[int, _key("messages", ge=1, le=1_000_000, why=
        "What a user may send at once after a pause.")] = 1
    refusals_per_s: Annotated[float, _key("requests a second", ge=0, le=1e9, why=
        "Requests of one user that are refused or repeated, over all sessions; past it the user waits; 0: no limit."
    )] = 50.0
    refusal_burst: Annotated[int, _key("requests", ge=1, le=1_000_000, why=
        "The same at once after a pause.")] = 500
    reads_per_s: Annotated[float, _key("requests a second", ge=0, le=1e9, why=
        "Lists, pages, typing and the like of one user, over all sessions; past it the user waits; 0: no limit."
    )] = 50.0
    read_burst: Annotated[int, _key("requests", ge=1, le=1_000_000, why=
        "The same at once after a pause: a new device that pages a thousand rooms does not wait.")] = 2_000
    connections: Annotated[int, _key("connections", ge=1, le=1_000_000, why=
        "All connections at a time; the open files that the system allows are a limit too.")] = 50_000
    unauthenticated: Annotated[int, _key("connections", ge=1, le=1_000_000, why=
        "Connections at a time that have not signed in; past it the oldest of the address with most goes.")] = 2_000
    unauthenticated_per_address: Annotated[int, _key("connections", ge=1, le=1_000_000, why=
        "The same from one address (an IPv6 /64), so that one stranger can't take all of them.")] = 200
    unauthenticated_bytes: Annotated[int, _key("bytes", ge=1 << 20, le=1 << 40, why=
        "What may be kept for all of these together; past it the one for which most is kept goes.")] = 1 << 25
    handshake_s: Annotated[float, _key("seconds", gt=0, le=600, why=
        "From accept to the end of the TLS and WebSocket handshakes.")] = 5.0
    hello_s: Annotated[float, _key("seconds", gt=0, le=600, why=
        "From the handshake to hello.")] = 10.0
    outbox_bytes: Annotated[int, _key("bytes", ge=65_536, le=1 << 30, why=
        "What may wait for a slow reader; full, the reader is told lag and fetches the rest later.")] = 1_048_576
    outbox_total_bytes: Annotated[int, _key("bytes", ge=1 << 20, le=1 << 40, why=
        "The same for all slow readers together; above it those for whom most waits are told lag first.")] = 134_217_728
    mailbox: Annotated[int, _key("messages", ge=16, le=1_000_000, why=
        "What may wait for one user or room; full, requests are answered busy.")] = 8_192


class Policy(msgspec.Struct, frozen=True):
    """Rules for writing: strangers, words and links."""

    strangers: Annotated[Literal["request", "allow", "deny"], _key("choice", why=
        "Who is no contact may ask to write, simply write, or not write at all. A block goes before it.")] = "request"
    request_messages: Annotated[int, _key("messages", ge=1, le=100, why=
        "Messages of a stranger that may wait until the receiver answers.")] = 3
    request_budget: Annotated[int, _key("users a day", ge=0, le=1_000_000, why=
        "Strangers that one user may ask within 24 hours: a spammer writes to many, people to few.")] = 20
    add_budget: Annotated[int, _key("users a day", ge=0, le=1_000_000, why=
        "Users whom one user may add to groups within 24 hours without being their contact; 0: no limit.")] = 200
    decline_days: Annotated[int, _key("days", ge=0, le=3_650, why=
        "How long after a decline the same user is refused; then they may ask again.")] = 30
    group_adds: Annotated[Literal["anyone", "contacts"], _key("choice", why=
        "Whether users may be added to a group by anyone, or only by those who are in their contacts.")] = "anyone"
    word_action: Annotated[Literal["refuse", "mask", "flag", "off"], _key("choice", why=
        "For a listed word: refuse the text, put * in its place, or let it pass and tell the moderators.")] = "refuse"
    words_file: Annotated[str, _key("file", why=
        "The list of words, one a line, read again on SIGHUP; empty: the short one that comes with gochat.")] = ""
    links: Annotated[Literal["allow", "contacts", "deny"], _key("choice", why=
        "Links to other sites than own_domains; contacts: only between contacts, in private chats.")] = "deny"
    link_action: Annotated[Literal["refuse", "mask", "flag"], _key("choice", why=
        "For a link that is not allowed: refuse the text, mask it, or let it pass and tell the moderators.")] = "refuse"
    own_domains: Annotated[list[str], _key("domains", max_length=1_000, why=
        "Sites that may always be linked to, with all that is below them, such as chat.example.")] = []
    suffixes_file: Annotated[str, _key("file", why=
        "A public suffix list, which tells bare domains from other words; empty: the one that comes with gochat.")] = ""


class History(msgspec.Struct, frozen=True):
    """Rules for reading the past."""

    after_leaving: Annotated[bool, _key("yes or no", why=
        "Whether who was removed or has left may still read the group up to then.")] = True


class Retention(msgspec.Struct, frozen=True):
    """How long texts are kept. Older messages stay as deleted ones; `gochat room expire --dry-run` counts them."""

    group_days: Annotated[int, _key("days", ge=0, le=36_500, why=
        "Age at which messages of groups lose their texts, for good; 0: never. Backups keep what they hold.")] = 0
    private_days: Annotated[int, _key("days", ge=0, le=36_500, why=
        "The same for private chats; 0: never.")] = 0


class Notify(msgspec.Struct, frozen=True):
    """Users who are away are told of messages: by a webhook, Web Push, e-mail. All off unless set here."""

    after_minutes: Annotated[float, _key("minutes", ge=0, le=10_080, why=
        "From a message to its notification, if its receiver had no session since; fractions are allowed, 0: at once."
    )] = 5.0
    again_minutes: Annotated[float, _key("minutes", ge=0, le=525_600, why=
        "After a notification, how long until new messages of the room may cause another that is unread; 0: never."
    )] = 0.0
    title: Annotated[str, _key("template", max_length=200, why=
        "The title of a notification. {from}, {user}, {room}, {count} and {body} stand for what they say.")] = "{from}"
    text: Annotated[str, _key("template", max_length=500, why=
        "Its text. With {body} what was said leaves the node, 120 characters of it.")] = "{count} new in {room}"
    timeout_s: Annotated[float, _key("seconds", gt=0, le=120, why=
        "How long a receiver may take for one notification.")] = 10.0
    waiting: Annotated[int, _key("notifications", ge=100, le=10_000_000, why=
        "What may wait for each channel; further ones are dead letters at once, some 200 bytes each.")] = 100_000
    dead_letters: Annotated[int, _key("notifications", ge=0, le=10_000_000, why=
        "Of those that could not be delivered in 24 hours, how many each channel keeps: the latest.")] = 10_000
    allow_private: Annotated[bool, _key("yes or no", why=
        "Whether receivers may have private addresses, push services that users name included.")] = False
    webhook_url: Annotated[str, _key("URL", max_length=2_000, why=
        "Gets every notification as a POST that is signed as Standard Webhooks has it; empty: off.")] = ""
    webhook_secret: Annotated[str, _key("text", secret=True, why=
        "Signs them: whsec_ and 24 to 64 bytes in base64.")] = ""
    webhook_old_secret: Annotated[str, _key("text", secret=True, why=
        "Signs them too while receivers change from this one to webhook_secret; empty: none.")] = ""
    push: Annotated[bool, _key("yes or no", why=
        "Whether users may subscribe devices for Web Push. The key for it is made in the data folder.")] = False
    push_private: Annotated[bool, _key("yes or no", why=
        "Whether allow_private holds for the push services that users name as well.")] = True
    push_contact: Annotated[str, _key("URL", max_length=200, why=
        "Where a push service may reach you, mailto: or https:; some refuse pushes without it.")] = ""
    smtp: Annotated[str, _key("HOST:PORT", max_length=300, why=
        "The mail relay, such as mail.example:587; empty: no e-mail.")] = ""
    smtp_security: Annotated[Literal["starttls", "tls", "none"], _key("choice", why=
        "How the relay is spoken to; none sends mail in the clear, and no password.")] = "starttls"
    smtp_user: Annotated[str, _key("text", max_length=200, why=
        "Signs in at the relay; empty: without.")] = ""
    smtp_password: Annotated[str, _key("text", secret=True, why=
        "The password of smtp_user.")] = ""
    mail_from: Annotated[str, _key("address", max_length=254, why=
        "The sender of mails.")] = ""
    mail_lookup_url: Annotated[str, _key("URL", max_length=2_000, why=
        "Is asked, signed with webhook_secret, for the address of a user whose token named none; empty: nobody is."
    )] = ""

    @property
    def channels(self) -> list[str]:
        """The names of those that are on."""
        on = {"webhook": self.webhook_url, "push": self.push, "mail": self.smtp}
        return [name for name, value in on.items() if value]

    def __repr__(self) -> str:
        return f"Notify(channels={self.channels})"


class Session(msgspec.Struct, frozen=True):
    """When a session ends by itself."""

    heartbeat_s: Annotated[float, _key("seconds", gt=0, le=3_600, why=
        "Silence until the server pings, and again until it closes; proxies often cut idle streams at 60 s.")] = 30.0
    slow_s: Annotated[float, _key("seconds", gt=0, le=3_600, why=
        "How long a peer may read nothing while bytes wait for it.")] = 30.0
    token_grace_s: Annotated[float, _key("seconds", ge=0, le=3_600, why=
        "From the end of the token to the end of the session: time to refresh.")] = 25.0


class Rooms(msgspec.Struct, frozen=True):
    """Rooms and users in memory."""

    idle_s: Annotated[float, _key("seconds", gt=0, le=86_400, why=
        "After this long without mail a room or user leaves memory; it is read back when mail comes.")] = 60.0


class Log(msgspec.Struct, frozen=True):
    """The log on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], _key("choice", why=
        "The least that is written; debug tells of every connection.")] = "info"
    format: Annotated[Literal["text", "json"], _key("choice", why=
        "text for people, json for collectors: an object a line.")] = "text"
# fmt: on


class Settings(msgspec.Struct, frozen=True):
    """All settings of a node. `problems` says what is wrong between them."""

    node: Node = Node()
    http: Http = Http()
    tcp: Tcp = Tcp()
    nng: Nng = Nng()
    auth: Auth = Auth()
    limits: Limits = Limits()
    policy: Policy = Policy()
    history: History = History()
    retention: Retention = Retention()
    notify: Notify = Notify()
    cluster: Cluster = Cluster()
    session: Session = Session()
    rooms: Rooms = Rooms()
    log: Log = Log()


@cache
def sections() -> dict[str, type[msgspec.Struct]]:
    """The sections by name, in the order of the file."""
    return dict(typing.get_type_hints(Settings))


@cache
def keys() -> dict[str, Key]:
    """Every key by its path, such as `http.bind`, in the order of the file."""
    return {key.path: key for name, section in sections().items() for key in _keys_of(name, section)}


def _keys_of(name: str, section: type[msgspec.Struct]) -> Iterator[Key]:
    defaults = section()
    for field, hint in typing.get_type_hints(section, include_extras=True).items():
        (meta,) = hint.__metadata__
        yield Key(f"{name}.{field}", hint, getattr(defaults, field), why=meta.description, **meta.extra)


def binds(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every address that a node listens at: the path of its key, and HOST:PORT."""
    for key in keys().values():
        section, _, field = key.path.partition(".")
        text: str = getattr(getattr(settings, section), field)
        if key.unit == ADDRESS and (text or key.path == "http.bind"):
            yield key.path, text
        elif key.unit == NNG_ADDRESS and text:
            yield key.path, text.partition("://")[2]


def unencrypted(settings: Settings) -> Iterator[str]:
    """A warning for each address that other machines reach, and where tokens and messages are sent without TLS."""
    http, tcp, nng = settings.http, settings.tcp, settings.nng
    if tcp.bind and not parse_address(tcp.bind).loopback:
        yield f"tcp.bind = {tcp.bind}: raw TCP has no TLS, so tokens and messages can be read on the way"
    if nng.bind.startswith("tcp://") and not parse_address(nng.bind[6:]).loopback:
        yield f"nng.bind = {nng.bind} without TLS: tokens and messages can be read on the way; use tls+tcp://"
    if not http.tls_cert and not parse_address(http.bind).loopback:
        yield (
            f"http.bind = {http.bind} without TLS: tokens and messages can be read on the way, unless only a"
            " proxy that ends TLS reaches this address"
        )
    yield from in_the_open(settings.cluster)
