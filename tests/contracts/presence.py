"""The suite of `ports.Presence`. An implementation's tests give the fixture `presence`, of a node to which nobody has
signed in, and take the suite over as a subclass."""

from __future__ import annotations

from gochat.ports import Presence


class PresenceContract:
    def test_nobody_is_online_at_first(self, presence: Presence) -> None:
        assert not presence.is_online("ann")
        assert not presence.went("ann"), "users who were not online do not go offline"

    def test_a_user_comes_online_once_and_goes_offline_once(self, presence: Presence) -> None:
        assert presence.came("ann")
        assert presence.is_online("ann")
        assert not presence.came("ann")
        assert presence.went("ann")
        assert not presence.is_online("ann")
        assert not presence.went("ann")
        assert presence.came("ann"), "and may come again"

    def test_users_come_and_go_by_themselves(self, presence: Presence) -> None:
        presence.came("ann")
        presence.came("bob")
        presence.went("ann")
        assert (presence.is_online("ann"), presence.is_online("bob"), presence.is_online("an")) == (False, True, False)
