"""Makes the channels that the settings ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from gochat import config
from gochat.config import parse_address
from gochat.notify.channel import Channel
from gochat.notify.email import Email, NoAddress, Relay
from gochat.notify.http import NoAnswer, Poster
from gochat.notify.notification import Templates
from gochat.notify.vapid_key import own_key, shared_key
from gochat.notify.webhook import Webhook
from gochat.notify.webpush import WebPush

log = logging.getLogger(__name__)


class Channels:
    """Those that are on. `aclose` lets go of their connections."""

    def __init__(
        self, settings: config.Notify, folder: Path, now_ms: Callable[[], int], push_secret: bytes | None = None
    ) -> None:
        """Makes the key for Web Push in `folder` at the first use; or, with `push_secret`, takes the one that the nodes
        of a cluster share. Raises GochatError where something can't be used."""
        self._settings = settings
        self._now_ms = now_ms
        self._templates = Templates(settings.title, settings.text)
        self._posters: list[Poster] = []
        self.push_key: str | None = None
        self.all: list[Channel] = []
        if settings.webhook_url:
            self.all.append(self._webhook(settings.webhook_url))
        if settings.push:
            allowed = settings.allow_private and settings.push_private
            key = own_key(folder) if push_secret is None else shared_key(push_secret)
            push = WebPush(self._poster(allowed), key, settings.push_contact, self._templates, now_ms)
            self.push_key = push.public_key
            self.all.append(push)
        if settings.smtp:
            self.all.append(self._email())

    async def aclose(self) -> None:
        """One that can't let go is logged, and keeps no other from it."""
        async with trio.open_nursery() as nursery:
            for poster in self._posters:
                nursery.start_soon(_close, poster)

    def _poster(self, allow_private: bool) -> Poster:
        """Connections of one channel alone: a slow receiver of one must not hold up another."""
        self._posters.append(Poster(self._settings.timeout_s, allow_private=allow_private))
        return self._posters[-1]

    def _webhook(self, url: str) -> Webhook:
        settings = self._settings
        secrets = [secret for secret in (settings.webhook_secret, settings.webhook_old_secret) if secret]
        return Webhook(self._poster(settings.allow_private), url, secrets, self._templates, self._now_ms)

    def _email(self) -> Email:
        settings = self._settings
        host, port = parse_address(settings.smtp)
        relay = Relay(
            host,
            port,
            security=settings.smtp_security,
            user=settings.smtp_user,
            password=settings.smtp_password,
            allow_private=settings.allow_private,
        )
        lookup = None
        if settings.mail_lookup_url:
            lookup = AddressLookup(self._webhook(settings.mail_lookup_url)).find
        return Email(relay, settings.mail_from, self._templates, settings.timeout_s, lookup)


async def _close(poster: Poster) -> None:
    try:
        await poster.aclose()
    except Exception:
        log.exception("connections to receivers were not closed")


class _Found(msgspec.Struct):
    mail: str | None = None


class AddressLookup:
    """Asks a service of the operator's for the mail address of a user, by a signed POST of `address.wanted`."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook

    async def find(self, user: str) -> str | None:
        """None where the service knows of none: it answers 404, or without `mail`. Raises NoAddress."""
        try:
            answer = await self._webhook.post("address.wanted", f"adr_{user}", {"user": user})
        except NoAnswer as error:
            raise NoAddress(f"the address lookup: {error}") from error
        if answer.status == 404:
            return None
        if not answer.ok:
            raise NoAddress(f"the address lookup answered {answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=_Found).mail
        except msgspec.MsgspecError:
            raise NoAddress("the address lookup did not answer with an object of JSON") from None
