"""The suite of `ports.Presence`. An implementation's tests give the fixture `presence`, of a node to which nobody has
signed in, and take the suite over as a subclass."""

from __future__ import annotations

from gochat.ports.presence import Presence


class PresenceContract:
    async def test_nobody_is_online_at_first(self, presence: Presence) -> None:
        assert not presence.is_online("ann")
        assert not presence.went("ann"), "users who were not online do not go offline"

    async def test_a_user_comes_online_once_and_goes_offline_once(self, presence: Presence) -> None:
        assert presence.came("ann")
        assert presence.is_online("ann")
        assert not presence.came("ann")
        assert presence.went("ann")
        assert not presence.is_online("ann")
        assert not presence.went("ann")
        assert presence.came("ann"), "and may come again"

    async def test_users_come_and_go_by_themselves(self, presence: Presence) -> None:
        presence.came("ann")
        presence.came("bob")
        presence.went("ann")
        assert (presence.is_online("ann"), presence.is_online("bob"), presence.is_online("an")) == (False, True, False)

    async def test_sessions_are_counted_by_user(self, presence: Presence) -> None:
        assert presence.count("ann") == 0
        presence.came("ann")
        presence.entered("s1", "ann", None)
        presence.entered("s2", "ann", "phone")
        presence.came("bob")
        presence.entered("s3", "bob", "phone")
        assert (presence.count("ann"), presence.count("bob")) == (2, 1)
        presence.left("s2")
        presence.left("s2")
        assert (presence.count("ann"), presence.count("bob")) == (1, 1)
        presence.left("s1")
        presence.went("ann")
        assert (presence.count("ann"), presence.is_online("ann")) == (0, False)

    async def test_a_session_that_never_entered_may_leave(self, presence: Presence) -> None:
        presence.left("")
        presence.left("s1")
        assert presence.count("ann") == 0
