"""XMPP on plain TCP: in-band registration, SASL PLAIN, resource binding, and a join of a room (XEP-0045).

A room sends the writer his own message back, which settles it. A private message has no ack of its own: it is
settled when the receiver has it.
"""

from __future__ import annotations

import base64

from bench.peers.base import Inbox, Marks, Settings, Step, body, step

DOMAIN = "localhost"
ROOMS = "conference.localhost"
_OPEN = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
).encode()


class Xmpp:
    settings = Settings(
        stored="nothing: no archive, no offline store; a room keeps no history",
        settled="the writer's own copy",
        setup="no TLS, no shapers or rate limits, rooms do not tell of who comes and goes, log at errors",
    )
    room_copy = True
    room_acks = False
    direct_acks = False

    def greeting(self, user: str, room: str | None) -> list[Step]:
        secret = base64.b64encode(f"\0{user}\0secret".encode()).decode()
        steps = [
            step(_OPEN, b"</stream:features>"),
            step(
                f"<iq type='set' id='reg'><query xmlns='jabber:iq:register'><username>{user}</username>"
                "<password>secret</password></query></iq>".encode(),
                rb"<iq [^>]*type=['\"]result['\"][^>]*>",
            ),
            step(
                f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>".encode(),
                b"<success",
            ),
            step(_OPEN, b"</stream:features>"),
            step(
                b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                b"<resource>r</resource></bind></iq>",
                b"</jid>",
            ),
        ]
        if room:
            join = (
                f"<presence to='{room}@{ROOMS}/{user}'><x xmlns='http://jabber.org/protocol/muc'>"
                "<history maxstanzas='0'/></x></presence>"
            )
            # A room ends what it tells a newcomer with its subject.
            steps.append(step(join.encode(), b"<subject"))
        return steps

    def to_room(self, room: str, number: int) -> bytes:
        return b"<message type='groupchat' to='%s@%s' id='%d'><body>%s</body></message>" % (
            room.encode(),
            ROOMS.encode(),
            number,
            body(number),
        )

    def to_user(self, user: str, number: int) -> bytes:
        return b"<message type='chat' to='%s@%s/r' id='%d'><body>%s</body></message>" % (
            user.encode(),
            DOMAIN.encode(),
            number,
            body(number),
        )

    def inbox(self) -> Inbox:
        return Marks()
