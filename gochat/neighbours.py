"""A node's dealings with the other nodes of its cluster, besides the log: presence, ephemeral events, who notifies, the
questions that nodes ask each other, and clients that have to go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from gochat.actors.actor import Registry
from gochat.actors.foreign import hear_event, hear_presence
from gochat.actors.live import Live
from gochat.actors.room import RoomActor
from gochat.actors.supervisor import Spec, Supervisor
from gochat.cluster.answers import answers
from gochat.cluster.cut_off import CutOff
from gochat.cluster.journal import ClusterJournal
from gochat.cluster.lease import Lease
from gochat.cluster.news import NewsCodec
from gochat.cluster.notices import LoggedNotices
from gochat.cluster.others import OtherNodes
from gochat.cluster.presence import ClusterPresence
from gochat.cluster.secret import push_secret
from gochat.cluster.shared import Shared
from gochat.cluster.signing import Signer
from gochat.cluster.soft import Soft
from gochat.errors import DRAINING, REPLACED
from gochat.http.internal import internal_routes
from gochat.http.router import Route
from gochat.session.devices import device_answers
from gochat.session.gateway import Gateway, SignedIn
from gochat.store import Store

#: Reasons that clients are given. Why a node serves nobody is its admins' business.
LOG_CHANGED: Final = "the log has changed; connect again"
SERVES_NOBODY: Final = "this node serves nobody now; connect again"


class Neighbours:
    """Made before the first session; `soft.run` must be running while there are sessions."""

    def __init__(self, shared: Shared, live: Live, store: Store, limit: int, now_ms: Callable[[], int]) -> None:
        """`store`: with the cluster's journal. `limit`: sessions of one user, on all nodes together."""
        identity, bulletin, journal = shared.identity, shared.bulletin, store.journal
        assert isinstance(journal, ClusterJournal)

        def note(user: str, last_seen: int) -> None:
            journal.note_user(user, last_seen=last_seen)

        common_ms = journal.registry.clock.common_ms
        # By a clock that was set forward a session would pass for newer than all that begin elsewhere afterwards.
        self.presence = ClusterPresence(identity.instance, limit, note=note, now_ms=common_ms)
        codec = NewsCodec(identity.cluster, identity.secret)
        self.soft = Soft(bulletin, codec, identity.instance, identity.boot, self.presence, now_ms=common_ms)
        self.notices = LoggedNotices(store.notices, journal)
        self.push_secret = push_secret(identity.cluster, identity.secret)
        self.notifier = Lease(bulletin, "notifier", identity.instance, partial(_may_notify, journal))
        self.others = None if shared.query is None else OtherNodes(journal.registry, shared.query)
        """For the questions of users; None where nodes can't ask each other."""
        self._shared = shared
        self._live = live
        self._archive = store.archive
        self._journal = journal
        self._now_ms = now_ms
        live.presence, live.ephemera = self.presence, self.soft

    def serve(self, gateway: Gateway, services: Supervisor) -> list[Route]:
        """Have clients go where the log or this node's part in it asks for that. Returns the routes by which other
        nodes ask this one."""
        journal, shared = self._journal, self._shared
        self._archive.follow_epoch(journal.epoch)
        clients_leave = partial(self._let_clients_go, gateway.sessions)
        journal.when_clients_leave(clients_leave)
        journal.nap_unless(self._live.has_listeners)
        if shared.query is not None:
            cut_off = CutOff(journal.serving, journal.registry, shared.query, clients_leave)
            services.start(Spec("cut off", cut_off.run))
        told = {**answers(journal, shared), **device_answers(gateway)}
        return internal_routes(told, Signer(shared.identity.secret, self._now_ms))

    def _let_clients_go(self, sessions: Mapping[str, SignedIn]) -> None:
        """They have to come again: with another epoch to start their rooms anew, or to another node."""
        self._archive.follow_epoch(self._journal.epoch)
        reason = LOG_CHANGED if self._journal.behind is None else SERVES_NOBODY
        for session in list(sessions.values()):
            session.close(DRAINING, reason)

    def listen(self, rooms: Registry[RoomActor], sessions: Mapping[str, SignedIn]) -> None:
        """Have what is heard told here. `sessions`: those that live, by their id."""
        self.presence.listen(partial(hear_presence, self._live), partial(_give_way, sessions))
        self.soft.listen(partial(hear_event, rooms, self._live))


def _may_notify(journal: ClusterJournal) -> bool:
    """Whether the node can record what it sends, and knows what users have read on other nodes. With a wrong clock it
    would record nothing, and as long as it had the lease no other node would notify either. Senders ask this too, since
    the lease is kept for some seconds more."""
    return journal.behind is None and journal.registry.clock_problem is None and journal.serving.lag is None


def _give_way(sessions: Mapping[str, SignedIn], session_id: str) -> None:
    session = sessions.get(session_id)
    if session is not None:
        session.close(REPLACED, "a newer session took this one's place")
        session.ended()
