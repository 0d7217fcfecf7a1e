"""The rules that texts are judged by now: one value, replaced as a whole when the lists are read again."""

from __future__ import annotations

import logging

from gochat.config import Policy
from gochat.domain.moderation import Rules, Verdict
from gochat.errors import ConfigError
from gochat.policy.loading import load_rules

log = logging.getLogger(__name__)


class RulesInForce:
    """In force from the first text on. Any thread may ask and any thread may reload: readers see old rules or new."""

    def __init__(self, policy: Policy) -> None:
        """Reads the lists. Raises ConfigError."""
        self._policy = policy
        self.current: Rules = load_rules(policy)

    def check(self, text: str, *, contacts: bool) -> Verdict:
        """The verdict on `text`; see `Rules.check`."""
        return self.current.check(text, contacts=contacts)

    def warm_up(self) -> None:
        """Compile the rules now, so that the first text need not wait: 20 ms for gochat's own list, 0.3 s for 1,000
        words."""
        self.current.words.compile()

    def reload(self, policy: Policy | None = None) -> ConfigError | None:
        """Read the lists again, those of `policy` if one is given. Returns the problem, if there is one: the old rules
        stay then.

        Takes as long as `warm_up` and reads files: for a thread.
        """
        try:
            rules = load_rules(policy or self._policy)
        except ConfigError as error:
            log.error("the rules stay as they were: %s", error)
            return error
        rules.words.compile()
        self._policy, self.current = policy or self._policy, rules
        log.info("the rules for words and links are read again")
        return None
