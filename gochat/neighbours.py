"""A node's dealings with the other nodes of its cluster, besides the log: presence, ephemeral events, who notifies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from gochat.actors.actor import Registry
from gochat.actors.foreign import hear_event, hear_presence
from gochat.actors.live import Live
from gochat.actors.room import RoomActor
from gochat.cluster.lease import Lease
from gochat.cluster.news import NewsCodec
from gochat.cluster.notices import LoggedNotices
from gochat.cluster.presence import ClusterPresence
from gochat.cluster.secret import push_secret
from gochat.cluster.shared import Shared
from gochat.cluster.soft import Soft
from gochat.errors import REPLACED
from gochat.session.gateway import SignedIn
from gochat.store import Store


class Neighbours:
    """Made before the first session; `soft.run` must be running while there are sessions."""

    def __init__(self, shared: Shared, live: Live, store: Store, limit: int, now_ms: Callable[[], int]) -> None:
        """`store`: with the cluster's journal. `limit`: sessions of one user, on all nodes together."""
        identity, bulletin, journal = shared.identity, shared.bulletin, store.journal

        def note(user: str, last_seen: int) -> None:
            journal.note_user(user, last_seen=last_seen)

        self.presence = ClusterPresence(identity.instance, limit, note=note, now_ms=now_ms)
        codec = NewsCodec(identity.cluster, identity.secret)
        self.soft = Soft(bulletin, codec, identity.instance, identity.boot, self.presence, now_ms=now_ms)
        self.notices = LoggedNotices(store.notices, journal)
        self.push_secret = push_secret(identity.cluster, identity.secret)
        self.notifier = Lease(bulletin, "notifier", identity.instance, lambda: journal.behind is None)
        self._live = live
        live.presence, live.ephemera = self.presence, self.soft

    def listen(self, rooms: Registry[RoomActor], sessions: Mapping[str, SignedIn]) -> None:
        """Have what is heard told here. `sessions`: those that live, by their id."""
        self.presence.listen(partial(hear_presence, self._live), partial(_give_way, sessions))
        self.soft.listen(partial(hear_event, rooms, self._live))


def _give_way(sessions: Mapping[str, SignedIn], session_id: str) -> None:
    session = sessions.get(session_id)
    if session is not None:
        session.close(REPLACED, "a newer session took this one's place")
        session.ended()
