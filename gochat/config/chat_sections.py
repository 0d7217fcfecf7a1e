"""The sections of the chat: limits, rules, what is kept, notifications, sessions, the log."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gochat.config.key import key


class Limits(msgspec.Struct, frozen=True):
    """Bounds for one client, and for all together. `welcome` tells clients those that concern them."""

    frame_bytes: Annotated[
        int,
        key("bytes", ge=1_024, le=1_048_576),
        "A client's frame; a longer one closes the session before it is read.",
    ] = 65_536
    body_chars: Annotated[
        int, key("characters", ge=1, le=100_000), "A message's body; four times as many bytes must fit into a frame."
    ] = 4_000
    add_users: Annotated[
        int, key("users", ge=1, le=1_000), "Users in one add: they become one fact, which every member gets."
    ] = 200
    group_members: Annotated[int, key("users", ge=2, le=1_000_000), "Members of a group."] = 100_000
    window: Annotated[
        int,
        key("requests", ge=1, le=10_000),
        "Requests a session may have unsettled before its socket is not read: what one client can queue.",
    ] = 128
    sessions: Annotated[int, key("sessions", ge=1, le=1_000), "Sessions of one user at a time."] = 20
    messages_per_s: Annotated[
        float,
        key("messages a second", ge=0, le=1e9),
        "What a user may send in the long run, over all sessions; 0: no limit. People type slower.",
    ] = 1.0
    message_burst: Annotated[
        int, key("messages", ge=1, le=1_000_000), "What a user may send at once after a pause."
    ] = 1
    refusals_per_s: Annotated[
        float,
        key("requests a second", ge=0, le=1e9),
        "Requests of one user that are refused or repeated, over all sessions; past it the user waits; 0: no limit.",
    ] = 50.0
    refusal_burst: Annotated[int, key("requests", ge=1, le=1_000_000), "The same at once after a pause."] = 500
    reads_per_s: Annotated[
        float,
        key("requests a second", ge=0, le=1e9),
        "Lists, pages, typing and the like of one user, over all sessions; past it the user waits; 0: no limit.",
    ] = 50.0
    read_burst: Annotated[
        int,
        key("requests", ge=1, le=1_000_000),
        "The same at once after a pause: a new device that pages a thousand rooms does not wait.",
    ] = 2_000
    connections: Annotated[
        int,
        key("connections", ge=1, le=1_000_000),
        "All connections at a time; the open files that the system allows are a limit too.",
    ] = 50_000
    unauthenticated: Annotated[
        int,
        key("connections", ge=1, le=1_000_000),
        "Connections at a time that have not signed in; past it the oldest of the address with most goes.",
    ] = 2_000
    unauthenticated_per_address: Annotated[
        int,
        key("connections", ge=1, le=1_000_000),
        "The same from one address (an IPv6 /64), so that one stranger can't take all of them.",
    ] = 200
    unauthenticated_bytes: Annotated[
        int,
        key("bytes", ge=1 << 20, le=1 << 40),
        "What may be kept for all of these together; past it the one for which most is kept goes.",
    ] = 1 << 25
    handshake_s: Annotated[
        float, key("seconds", gt=0, le=600), "From accept to the end of the TLS and WebSocket handshakes."
    ] = 5.0
    hello_s: Annotated[float, key("seconds", gt=0, le=600), "From the handshake to hello."] = 10.0
    outbox_bytes: Annotated[
        int,
        key("bytes", ge=65_536, le=1 << 30),
        "What may wait for a slow reader; full, the reader is told lag and fetches the rest later.",
    ] = 1_048_576
    outbox_total_bytes: Annotated[
        int,
        key("bytes", ge=1 << 20, le=1 << 40),
        "The same for all slow readers together; above it those for whom most waits are told lag first.",
    ] = 134_217_728
    mailbox: Annotated[
        int,
        key("messages", ge=16, le=1_000_000),
        "What may wait for one user or room; full, requests are answered busy.",
    ] = 8_192


class Policy(msgspec.Struct, frozen=True):
    """Rules for writing: strangers, words and links."""

    strangers: Annotated[
        Literal["request", "allow", "deny"],
        key("choice"),
        "Who is no contact may ask to write, simply write, or not write at all. A block goes before it.",
    ] = "request"
    request_messages: Annotated[
        int, key("messages", ge=1, le=100), "Messages of a stranger that may wait until the receiver answers."
    ] = 3
    request_budget: Annotated[
        int,
        key("users a day", ge=0, le=1_000_000),
        "Strangers that one user may ask within 24 hours: a spammer writes to many, people to few.",
    ] = 20
    add_budget: Annotated[
        int,
        key("users a day", ge=0, le=1_000_000),
        "Users whom one user may add to groups within 24 hours without being their contact; 0: no limit.",
    ] = 200
    decline_days: Annotated[
        int, key("days", ge=0, le=3_650), "How long after a decline the same user is refused; then they may ask again."
    ] = 30
    group_adds: Annotated[
        Literal["anyone", "contacts"],
        key("choice"),
        "Whether users may be added to a group by anyone, or only by those who are in their contacts.",
    ] = "anyone"
    word_action: Annotated[
        Literal["refuse", "mask", "flag", "off"],
        key("choice"),
        "For a listed word: refuse the text, put * in its place, or let it pass and tell the moderators.",
    ] = "refuse"
    words_file: Annotated[
        str,
        key("file"),
        "The list of words, one a line, read again on SIGHUP; empty: the short one that comes with gochat.",
    ] = ""
    links: Annotated[
        Literal["allow", "contacts", "deny"],
        key("choice"),
        "Links to other sites than own_domains; contacts: only between contacts, in private chats.",
    ] = "deny"
    link_action: Annotated[
        Literal["refuse", "mask", "flag"],
        key("choice"),
        "For a link that is not allowed: refuse the text, mask it, or let it pass and tell the moderators.",
    ] = "refuse"
    own_domains: Annotated[
        list[str],
        key("domains", max_length=1_000),
        "Sites that may always be linked to, with all that is below them, such as chat.example.",
    ] = []
    suffixes_file: Annotated[
        str,
        key("file"),
        "A public suffix list, which tells bare domains from other words; empty: the one that comes with gochat.",
    ] = ""


class History(msgspec.Struct, frozen=True):
    """Rules for reading the past."""

    after_leaving: Annotated[
        bool, key("yes or no"), "Whether who was removed or has left may still read the group up to then."
    ] = True


class Retention(msgspec.Struct, frozen=True):
    """How long texts are kept. Older messages stay as deleted ones; `gochat room expire --dry-run` counts them."""

    group_days: Annotated[
        int,
        key("days", ge=0, le=36_500),
        "Age at which messages of groups lose their texts, for good; 0: never. Backups keep what they hold.",
    ] = 0
    private_days: Annotated[int, key("days", ge=0, le=36_500), "The same for private chats; 0: never."] = 0


class Notify(msgspec.Struct, frozen=True):
    """Users who are away are told of messages: by a webhook, Web Push, e-mail. All off unless set here."""

    after_minutes: Annotated[
        float,
        key("minutes", ge=0, le=10_080),
        "From a message to its notification, if its receiver had no session since; fractions are allowed, 0: at once.",
    ] = 5.0
    again_minutes: Annotated[
        float,
        key("minutes", ge=0, le=525_600),
        "After a notification, how long until new messages of the room may cause another that is unread; 0: never.",
    ] = 0.0
    title: Annotated[
        str,
        key("template", max_length=200),
        "The title of a notification. {from}, {user}, {room}, {count} and {body} stand for what they say.",
    ] = "{from}"
    text: Annotated[
        str,
        key("template", max_length=500),
        "Its text. With {body} what was said leaves the node, 120 characters of it.",
    ] = "{count} new in {room}"
    timeout_s: Annotated[float, key("seconds", gt=0, le=120), "How long a receiver may take for one notification."] = (
        10.0
    )
    waiting: Annotated[
        int,
        key("notifications", ge=100, le=10_000_000),
        "What may wait for each channel; further ones are dead letters at once, some 200 bytes each.",
    ] = 100_000
    dead_letters: Annotated[
        int,
        key("notifications", ge=0, le=10_000_000),
        "Of those that could not be delivered in 24 hours, how many each channel keeps: the latest.",
    ] = 10_000
    allow_private: Annotated[
        bool, key("yes or no"), "Whether receivers may have private addresses, push services that users name included."
    ] = False
    webhook_url: Annotated[
        str,
        key("URL", max_length=2_000),
        "Gets every notification as a POST that is signed as Standard Webhooks has it; empty: off.",
    ] = ""
    webhook_secret: Annotated[str, key("text", secret=True), "Signs them: whsec_ and 24 to 64 bytes in base64."] = ""
    webhook_old_secret: Annotated[
        str,
        key("text", secret=True),
        "Signs them too while receivers change from this one to webhook_secret; empty: none.",
    ] = ""
    push: Annotated[
        bool,
        key("yes or no"),
        "Whether users may subscribe devices for Web Push. The key for it is made in the data folder.",
    ] = False
    push_private: Annotated[
        bool, key("yes or no"), "Whether allow_private holds for the push services that users name as well."
    ] = True
    push_contact: Annotated[
        str,
        key("URL", max_length=200),
        "Where a push service may reach you, mailto: or https:; some refuse pushes without it.",
    ] = ""
    smtp: Annotated[
        str, key("HOST:PORT", max_length=300), "The mail relay, such as mail.example:587; empty: no e-mail."
    ] = ""
    smtp_security: Annotated[
        Literal["starttls", "tls", "none"],
        key("choice"),
        "How the relay is spoken to; none sends mail in the clear, and no password.",
    ] = "starttls"
    smtp_user: Annotated[str, key("text", max_length=200), "Signs in at the relay; empty: without."] = ""
    smtp_password: Annotated[str, key("text", secret=True), "The password of smtp_user."] = ""
    mail_from: Annotated[str, key("address", max_length=254), "The sender of mails."] = ""
    mail_lookup_url: Annotated[
        str,
        key("URL", max_length=2_000),
        "Is asked, signed with webhook_secret, for the address of a user whose token named none; empty: nobody is.",
    ] = ""

    @property
    def channels(self) -> list[str]:
        """The names of those that are on."""
        on = {"webhook": self.webhook_url, "push": self.push, "mail": self.smtp}
        return [name for name, value in on.items() if value]

    def __repr__(self) -> str:
        return f"Notify(channels={self.channels})"


class Session(msgspec.Struct, frozen=True):
    """When a session ends by itself."""

    heartbeat_s: Annotated[
        float,
        key("seconds", gt=0, le=3_600),
        "Silence until the server pings, and again until it closes; proxies often cut idle streams at 60 s.",
    ] = 30.0
    slow_s: Annotated[
        float, key("seconds", gt=0, le=3_600), "How long a peer may read nothing while bytes wait for it."
    ] = 30.0
    token_grace_s: Annotated[
        float, key("seconds", ge=0, le=3_600), "From the end of the token to the end of the session: time to refresh."
    ] = 25.0


class Rooms(msgspec.Struct, frozen=True):
    """Rooms and users in memory."""

    idle_s: Annotated[
        float,
        key("seconds", gt=0, le=86_400),
        "After this long without mail a room or user leaves memory; it is read back when mail comes.",
    ] = 60.0


class Log(msgspec.Struct, frozen=True):
    """The log on standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        key("choice"),
        "The least that is written; debug tells of every connection.",
    ] = "info"
    format: Annotated[
        Literal["text", "json"], key("choice"), "text for people, json for collectors: an object a line."
    ] = "text"
