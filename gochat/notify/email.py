"""E-mail by SMTP (RFC 5321), to a relay that the operator names."""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final, Literal, TypeAlias

import trio

from gochat.domain.notices import ChannelName, is_address
from gochat.notify.address import Unreachable, connect
from gochat.notify.channel import DELIVERED, GONE, Gone, Result, Retry, Target
from gochat.notify.notification import Notification, Templates

Security: TypeAlias = Literal["starttls", "tls", "none"]
#: Bytes of one answer of a relay, and lines of it.
MOST_BYTES: Final = 16 << 10
#: How a relay refuses a receiver for good: unknown, moved, not well formed (RFC 5321 section 4.2.2). The same codes are
#: given for what the operator has to mend, such as a missing login: the enhanced code tells (RFC 3463 section 3.2, RFC
#: 7505). Others below 5.1 are about the sender: Postfix tells of a bad one only when it hears of the receiver.
NO_MAILBOX: Final = (550, 551, 553)
NO_MAILBOX_STATUS: Final = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10")
#: In the text of a relay without enhanced codes: it does not know the node, rather than the receiver.
_UNWELCOME: Final = re.compile(r"relay|authenti|log ?in", re.IGNORECASE)
_STATUS: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?= |$)")
#: An address, perhaps in angle brackets.
_ADDRESS: Final = r"\S+@\S+"
#: Characters of a relay's text that are told.
_MOST_CHARS: Final = 120


class RelayRefused(Exception):
    """The relay said no. The text is for the operator, without the relay's words."""

    def __init__(self, code: int, told: str = "") -> None:
        """`told`: the last line behind its code."""
        found = _STATUS.match(told)
        self.code = code
        self.status = found[0] if found else ""
        """The enhanced code; empty where the relay gave none."""
        self.words = told.removeprefix(self.status).strip()
        super().__init__(f"the mail relay answered {code} {self.status}".rstrip())

    @property
    def is_no_mailbox(self) -> bool:
        """Whether the relay, asked for a receiver, knows of none, and would say so again."""
        if self.code not in NO_MAILBOX:
            return False
        return self.status in NO_MAILBOX_STATUS if self.status else not _UNWELCOME.search(self.words)


class ReceiverRefused(Exception):
    """The relay does not take mail for this receiver. The text is the relay's answer, without the address."""

    def __init__(self, refused: RelayRefused, receiver: str) -> None:
        name = re.escape(receiver.rpartition("@")[0])
        words = re.sub(rf"(?i){_ADDRESS}|(?<!\w){name}(?!\w)", "(address)", refused.words)
        words = "".join(char if " " <= char <= "~" else "?" for char in words)[:_MOST_CHARS]
        super().__init__(f"{refused} {words}".rstrip())
        self.for_good = refused.is_no_mailbox


class Relay:
    """Where e-mail is handed in, and how."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        security: Security = "starttls",
        user: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
        allow_private: bool = False,
    ) -> None:
        """The password is sent over TLS alone."""
        self._host, self._port = host, port
        self._security = security
        self._user, self._password = user, password
        self._tls = tls or ssl.create_default_context()
        self._allow_private = allow_private

    async def deliver(self, sender: str, receiver: str, message: bytes) -> None:
        """Hand one e-mail in. Raises RelayRefused, ReceiverRefused, Unreachable, trio.BrokenResourceError and
        ssl.SSLError."""
        stream: trio.abc.Stream = await connect(self._host, self._port, allow_private=self._allow_private)
        try:
            if self._security == "tls":
                stream = await self._secured(stream)
            dialogue = _Dialogue(stream)
            await dialogue.answer(220)
            await dialogue.ask(f"EHLO {_OWN_NAME}", 250)
            if self._security == "starttls":
                await dialogue.ask("STARTTLS", 220)
                stream = await self._secured(stream)
                dialogue = _Dialogue(stream)  # Bytes that came before the handshake are forgotten with the old one.
                await dialogue.ask(f"EHLO {_OWN_NAME}", 250)
            if self._user:
                told = base64.b64encode(f"\0{self._user}\0{self._password}".encode()).decode()
                await dialogue.ask(f"AUTH PLAIN {told}", 235)
            await dialogue.ask(f"MAIL FROM:<{sender}>", 250)
            try:
                await dialogue.ask(f"RCPT TO:<{receiver}>", 250, 251)
            except RelayRefused as error:
                raise ReceiverRefused(error, receiver) from error
            await dialogue.ask("DATA", 354)
            await stream.send_all(_stuffed(message))
            await dialogue.answer(250)
            with contextlib.suppress(RelayRefused, trio.BrokenResourceError, ssl.SSLError):
                await dialogue.ask("QUIT", 221)  # It has the e-mail; what it says to this changes nothing.
        finally:
            await trio.aclose_forcefully(stream)

    async def _secured(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        secured = trio.SSLStream(stream, self._tls, server_hostname=self._host)
        await secured.do_handshake()
        return secured


#: The greeting of a client without a name of its own (RFC 5321 section 4.1.3).
_OWN_NAME: Final = "[127.0.0.1]"


class _Dialogue:
    """Lines to and fro."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = b""

    async def ask(self, line: str, *good: int) -> None:
        await self._stream.send_all(line.encode() + b"\r\n")
        await self.answer(*good)

    async def answer(self, *good: int) -> None:
        """Read one answer, of one or more lines. Raises RelayRefused unless its code is one of those."""
        size = 0
        while True:
            while b"\n" not in self._buffer:
                data = await self._stream.receive_some(4_096)
                size += len(data)
                if not data or size > MOST_BYTES:
                    raise trio.BrokenResourceError("the relay ended the dialogue")
                self._buffer += data
            line, _, self._buffer = self._buffer.partition(b"\n")
            if not line[:3].isdigit():
                raise trio.BrokenResourceError("the relay does not speak SMTP")
            if line[3:4] != b"-":
                break
        if int(line[:3]) not in good:
            raise RelayRefused(int(line[:3]), line[4:].decode("ascii", "replace").strip())


def _stuffed(message: bytes) -> bytes:
    """The lines of an e-mail as DATA takes them: a dot in front of each that begins with one, and a last one alone."""
    text = re.sub(rb"(?m)^\.", b"..", message)
    return (text if text.endswith(b"\r\n") else text + b"\r\n") + b".\r\n"


class Unwritable(Exception):
    """No e-mail can be made of this. The text is for the operator."""


def written(notification: Notification, templates: Templates, sender: str, receiver: str) -> bytes:
    """The e-mail. Its `Message-ID` is the notification's id, so that a repeat can be told. Raises Unwritable."""
    try:
        return _written(notification, templates, sender, receiver)
    except Exception as error:
        # The values come from tokens, rooms and settings, and Python's email package documents no exceptions. Of these
        # only the name is told: their text repeats addresses and what was said.
        raise Unwritable(f"the e-mail can't be written: {type(error).__name__}") from error


def _written(notification: Notification, templates: Templates, sender: str, receiver: str) -> bytes:
    title, text = templates.rendered(notification)
    # Not every relay takes lines of 8 bits.
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["From"] = sender
    message["To"] = receiver
    message["Subject"] = title
    message["Date"] = format_datetime(datetime.fromtimestamp(notification.ts / 1000, UTC))
    message["Message-ID"] = f"<{notification.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{text}\n")
    return message.as_bytes()


Lookup: TypeAlias = Callable[[str], Awaitable[str | None]]
"""The mail address of a user, or None. Raises NoAddress where that can't be told now."""


class NoAddress(Exception):
    """The address can't be looked up now. The text is for the operator."""


class Email:
    """The channel `mail`. `target` is the address that the user's token named, or None: then it is looked up."""

    name: ChannelName = "mail"

    def __init__(
        self, relay: Relay, sender: str, templates: Templates, timeout_s: float, lookup: Lookup | None = None
    ) -> None:
        self._relay = relay
        self._sender = sender
        self._templates = templates
        self._timeout_s = timeout_s
        self._lookup = lookup
        self.everybody = lookup is not None

    async def send(self, notification: Notification, target: Target) -> Result:
        """A user without an address is `Gone`; so is one whose address the relay refuses for good."""
        assert not isinstance(target, tuple)
        try:
            with trio.fail_after(self._timeout_s):
                address = target
                if address is None and self._lookup is not None:
                    address = await self._lookup(notification.user)
                if address is None or not is_address(address):
                    return GONE
                message = written(notification, self._templates, self._sender, address)
                await self._relay.deliver(self._sender, address, message)
        except trio.TooSlowError:
            return Retry(f"no answer within {self._timeout_s:g} s")
        except (NoAddress, Unwritable) as error:
            return Retry(str(error))
        except ReceiverRefused as error:
            return Gone(str(error)) if error.for_good else Retry(str(error))
        except (RelayRefused, Unreachable) as error:
            return Retry(str(error))
        except (OSError, trio.BrokenResourceError) as error:
            return Retry(f"the mail relay broke off: {type(error).__name__}")
        return DELIVERED
